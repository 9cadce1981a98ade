"""Work that waits is done in batches: one thread, whatever is waiting when it is free, alike things together."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from harness.llm.prefixes import common_length

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Batcher", "Job", "choose_batch"]

_LINGER_S = 0.005

Q = TypeVar("Q")
A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Job(Generic[Q]):
    """One question that waits.

    Attributes:
        question: What is asked.
        tokens: Its prompt.
        room: Tokens it may occupy in all, prompt and answer.
        kind: Only jobs of one kind share a batch.
    """

    question: Q
    tokens: tuple[int, ...]
    room: int
    kind: str


def choose_batch(waiting: Sequence[Job[Q]], budget: int) -> list[int]:
    """Return the places in ``waiting`` of the jobs to do together, ascending.

    The job that waits longest is always among them. Others of its kind join in the order of how much they share with
    it, then of how near they are in length, as long as all padded to the longest are within ``budget`` tokens.
    """
    first = waiting[0]
    alike = [place for place, job in enumerate(waiting) if job.kind == first.kind and place]
    alike.sort(
        key=lambda place: (
            -common_length(first.tokens, waiting[place].tokens),
            abs(len(first.tokens) - len(waiting[place].tokens)),
            place,
        )
    )
    chosen, longest = [0], first.room
    for place in alike:
        longest_then = max(longest, waiting[place].room)
        if longest_then * (len(chosen) + 1) > budget:
            continue
        chosen.append(place)
        longest = longest_then
    return sorted(chosen)


class Batcher(Generic[Q, A]):
    """Collects jobs from any thread and does them in one thread of its own, batch by batch.

    Args:
        work: Does a batch and returns an answer per job, in order. What it raises, every job of the batch gets.
        budget: Tokens of one batch, as in ``choose_batch``.
        linger_s: Seconds to wait after the first arrival, so that those sent together are done together.
    """

    def __init__(
        self, work: Callable[[Sequence[Job[Q]]], Sequence[A]], budget: int, linger_s: float = _LINGER_S
    ) -> None:
        self._work = work
        self._budget = budget
        self._linger_s = linger_s
        self._waiting: list[tuple[Job[Q], Future[A]]] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="harness-llm-batches", daemon=True)
        self._thread.start()

    def submit(self, job: Job[Q]) -> Future[A]:
        """Return the future answer; cancelling it before its batch begins takes the job out.

        Raises:
            RuntimeError: If the batcher was closed.
        """
        future: Future[A] = Future()
        with self._changed:
            if self._closed:
                message = "the batcher is closed"
                raise RuntimeError(message)
            self._waiting.append((job, future))
            self._changed.notify_all()
        return future

    def close(self) -> None:
        """Drop what waits, let the running batch end, and end the thread; idempotent."""
        with self._changed:
            self._closed = True
            for _, future in self._waiting:
                future.cancel()
            self._waiting.clear()
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._take():
            jobs, futures = [job for job, _ in batch], [future for _, future in batch]
            try:
                answers = list(self._work(jobs))
            except Exception as error:  # noqa: BLE001 -- it belongs to whoever waits for the answers, not to this thread
                for future in futures:
                    future.set_exception(error)
                continue
            for future, answer in zip(futures, answers, strict=True):
                future.set_result(answer)

    def _take(self) -> list[tuple[Job[Q], Future[A]]]:
        """Return the next batch, waiting for one; empty once closed."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: bool(self._waiting) or self._closed)
                seen = 0
                while not self._closed and len(self._waiting) > seen:
                    seen = len(self._waiting)
                    self._changed.wait_for(lambda: self._closed, self._linger_s)
                if self._closed:
                    return []
                places = choose_batch([job for job, _ in self._waiting], self._budget)
                taken = set(places)
                batch = [self._waiting[place] for place in places]
                self._waiting = [each for place, each in enumerate(self._waiting) if place not in taken]
                begun = [(job, future) for job, future in batch if future.set_running_or_notify_cancel()]
                if begun:
                    return begun
