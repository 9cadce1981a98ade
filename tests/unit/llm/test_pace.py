from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.llm.failures import Failure, FailureKind
from harness.llm.pace import Pace, Signal, signal_of

BUSY, ILL, WELL = Signal.CONGESTED, Signal.UNWELL, Signal.WELL


def fill(pace: Pace, now: float = 0.0) -> float:
    """Press until the limit is at the ceiling; return the time that took."""
    begun = now
    while (again := pace.pressed(now)) is not None:
        now = again
    return now - begun


def rounds(pace: Pace, count: int, now: float = 0.0) -> None:
    """Let ``count`` full rounds of requests go well."""
    for _ in range(count):
        size = pace.limit
        epochs = [pace.sent(number + 1) for number in range(size)]
        for epoch in epochs:
            pace.came_back(epoch, WELL, now)


def test_it_begins_small_and_is_at_the_ceiling_within_half_a_second_of_demand() -> None:
    pace = Pace(128)
    assert pace.limit == 16
    assert fill(pace) == pytest.approx(0.3)
    assert pace.limit == 128


def test_without_demand_it_does_not_grow() -> None:
    pace = Pace(128)
    for _ in range(1000):
        pace.came_back(pace.sent(1), WELL, 0.0)
    assert pace.limit == 16


def test_one_objection_cuts_once_however_many_requests_met_it() -> None:
    pace = Pace(100)
    fill(pace)
    epochs = [pace.sent(number + 1) for number in range(2)]
    for epoch in epochs:
        pace.came_back(epoch, BUSY, 1.0)
    assert pace.limit == 70


def test_it_grows_back_by_a_twentieth_of_the_ceiling_per_full_round() -> None:
    pace = Pace(100)
    fill(pace)
    pace.came_back(pace.sent(100), BUSY, 1.0)
    rounds(pace, 1)
    assert pace.limit == 75
    rounds(pace, 5)
    assert pace.limit == 100
    rounds(pace, 5)
    assert pace.limit == 100


def test_it_does_not_grow_on_rounds_that_did_not_use_it() -> None:
    pace = Pace(100)
    fill(pace)
    pace.came_back(pace.sent(100), BUSY, 1.0)
    for _ in range(200):
        pace.came_back(pace.sent(3), WELL, 2.0)
    assert pace.limit == 70


def test_server_errors_hold_growth_but_do_not_cut() -> None:
    pace = Pace(100)
    fill(pace)
    pace.came_back(pace.sent(100), BUSY, 1.0)
    epochs = [pace.sent(number + 1) for number in range(70)]
    for epoch in epochs[:69]:
        pace.came_back(epoch, WELL, 1.0)
    pace.came_back(epochs[69], ILL, 1.0)
    assert pace.limit == 70


def test_a_storm_is_sat_out_with_single_probes_at_growing_distances() -> None:
    pace = Pace(128)
    fill(pace)
    epochs = [pace.sent(number + 1) for number in range(128)]
    for epoch in epochs:
        pace.came_back(epoch, BUSY, 10.0)
    assert (pace.stalled, pace.limit) == (True, 1)
    pauses, now = [], 10.0
    for _ in range(7):
        pauses.append(pace.resume_at - now)
        now = pace.resume_at
        pace.came_back(pace.sent(1), BUSY, now)
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 4.0, 4.0]
    pace.came_back(pace.sent(1), WELL, now)
    assert (pace.stalled, pace.limit) == (False, int(128 * 0.7))
    rounds(pace, 7)
    assert pace.limit == 128


def test_answers_to_what_was_sent_before_a_storm_do_not_end_it() -> None:
    pace = Pace(128)
    fill(pace)
    early = pace.sent(1)
    for epoch in [pace.sent(2) for _ in range(64)]:
        pace.came_back(epoch, BUSY, 1.0)
    pace.came_back(early, WELL, 1.1)
    assert pace.stalled


def test_bad_luck_is_no_storm() -> None:
    pace, stalls = Pace(64), 0
    fill(pace)
    luck = random.Random(0)  # noqa: S311 -- a fixed sequence
    for _ in range(5000):
        epoch = pace.sent(pace.limit)
        pace.came_back(epoch, ILL if luck.random() < 0.3 else WELL, 0.0)
        stalls += pace.stalled
    assert stalls == 0


def test_a_wait_that_was_asked_for_is_kept_while_stalled() -> None:
    pace = Pace(8)
    for _ in range(5):
        pace.came_back(pace.sent(1), BUSY, 5.0, 7.5)
    assert pace.resume_at == 12.5


@given(
    st.integers(1, 200),
    st.lists(st.tuples(st.sampled_from(Signal), st.booleans(), st.floats(0, 5)), max_size=200),
)
def test_the_limit_is_always_between_one_and_the_ceiling(
    ceiling: int, events: list[tuple[Signal, bool, float]]
) -> None:
    pace, now, old = Pace(ceiling), 0.0, 0
    for signal, late, wait in events:
        now += wait
        pace.pressed(now)
        epoch = pace.sent(pace.limit)
        pace.came_back(old if late else epoch, signal, now, wait)
        old = epoch
        assert 1 <= pace.limit <= ceiling


@given(st.integers(1, 300), st.lists(st.sampled_from(Signal), max_size=100))
def test_whatever_happened_forty_good_rounds_lead_back_to_the_ceiling(ceiling: int, events: list[Signal]) -> None:
    pace = Pace(ceiling)
    for signal in events:
        pace.came_back(pace.sent(pace.limit), signal, 0.0)
    for number in range(40):
        rounds(pace, 1)
        fill(pace, float(number))
    assert pace.limit == ceiling


@pytest.mark.parametrize(
    ("kind", "status", "signal"),
    [
        (FailureKind.RATE_LIMIT, 429, BUSY),
        (FailureKind.OVERLOADED, 503, BUSY),
        (FailureKind.OVERLOADED, 529, BUSY),
        (FailureKind.OVERLOADED, 500, ILL),
        (FailureKind.TIMEOUT, None, ILL),
        (FailureKind.UNREACHABLE, None, ILL),
        (FailureKind.MALFORMED, None, WELL),
        (FailureKind.BAD_REQUEST, 400, WELL),
        (FailureKind.CONTEXT, 400, WELL),
    ],
)
def test_what_a_failure_says_about_the_endpoint(kind: FailureKind, status: int | None, signal: Signal) -> None:
    assert signal_of(Failure(kind, "x", status)) is signal
    assert signal_of(None) is WELL
