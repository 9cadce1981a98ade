from __future__ import annotations

import threading
from concurrent.futures import CancelledError, wait
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.llm.batching import Batcher, Job, choose_batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LINGER_S = 0.05


def job(question: str, tokens: Sequence[int] = (1,), room: int = 1, kind: str = "verdict") -> Job[str]:
    return Job(question, tuple(tokens), room, kind)


class Engine:
    """Answers with the question in capitals; the first batch waits until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.begun = threading.Event()
        self.go = threading.Event()

    def work(self, jobs: Sequence[Job[str]]) -> list[str]:
        self.batches.append([each.question for each in jobs])
        self.begun.set()
        assert self.go.wait(10)
        if any(each.question == "bad" for each in jobs):
            message = "it broke"
            raise RuntimeError(message)
        return [each.question.upper() for each in jobs]


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def batcher(engine: Engine) -> Iterator[Batcher[str, str]]:
    batcher: Batcher[str, str] = Batcher(engine.work, budget=100, linger_s=LINGER_S)
    yield batcher
    engine.go.set()
    batcher.close()


def test_what_comes_together_is_done_together(engine: Engine, batcher: Batcher[str, str]) -> None:
    engine.go.set()
    futures = [batcher.submit(job(name)) for name in "abc"]
    assert [future.result(10) for future in futures] == ["A", "B", "C"]
    assert engine.batches == [["a", "b", "c"]]


def test_what_waits_while_a_batch_runs_is_the_next_one(engine: Engine, batcher: Batcher[str, str]) -> None:
    first = batcher.submit(job("first"))
    assert engine.begun.wait(10)
    rest = [batcher.submit(job(name)) for name in ("x", "y")]
    engine.go.set()
    wait([first, *rest], 10)
    assert engine.batches == [["first"], ["x", "y"]]


def test_a_cancelled_job_is_never_done(engine: Engine, batcher: Batcher[str, str]) -> None:
    first = batcher.submit(job("first"))
    assert engine.begun.wait(10)
    given_up, kept = batcher.submit(job("given up")), batcher.submit(job("kept"))
    assert given_up.cancel()
    engine.go.set()
    assert kept.result(10) == "KEPT"
    assert first.result(10) == "FIRST"
    assert engine.batches == [["first"], ["kept"]]


def test_what_the_engine_raises_reaches_its_batch_and_no_other(engine: Engine, batcher: Batcher[str, str]) -> None:
    engine.go.set()
    bad = batcher.submit(job("bad"))
    with pytest.raises(RuntimeError, match="it broke"):
        bad.result(10)
    assert batcher.submit(job("good")).result(10) == "GOOD"


def test_closing_drops_what_waits_and_ends_the_thread(engine: Engine, batcher: Batcher[str, str]) -> None:
    first = batcher.submit(job("first"))
    assert engine.begun.wait(10)
    waiting = batcher.submit(job("waiting"))
    closing = threading.Thread(target=batcher.close)
    closing.start()
    with pytest.raises(CancelledError):
        waiting.result(10)
    engine.go.set()
    closing.join(10)
    assert first.result(0) == "FIRST"
    with pytest.raises(RuntimeError, match="closed"):
        batcher.submit(job("late"))
    batcher.close()


JOBS = st.lists(
    st.builds(
        job,
        st.text(max_size=1),
        st.lists(st.integers(0, 1), min_size=1, max_size=5),
        st.integers(1, 60),
        st.sampled_from(["verdict", "answer"]),
    ),
    min_size=1,
    max_size=12,
)


@given(JOBS, st.integers(1, 200))
def test_a_batch_has_the_oldest_job_its_kind_and_no_more_than_fits(waiting: list[Job[str]], budget: int) -> None:
    places = choose_batch(waiting, budget)
    chosen = [waiting[place] for place in places]
    assert places == sorted(set(places))
    assert places[0] == 0
    assert {each.kind for each in chosen} == {waiting[0].kind}
    assert len(chosen) == 1 or len(chosen) * max(each.room for each in chosen) <= budget


def test_those_that_share_most_come_first() -> None:
    waiting = [job("a", (1, 2, 3), 10), job("b", (9, 9, 9), 10), job("c", (1, 2, 4), 10), job("d", (1, 2), 10)]
    assert choose_batch(waiting, 20) == [0, 2]
    assert choose_batch(waiting, 40) == [0, 1, 2, 3]
