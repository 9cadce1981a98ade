from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.llm.buckets import MinuteBucket


def test_no_ceiling_lets_everything_through() -> None:
    bucket = MinuteBucket(None)
    bucket.take(10**9, 0.0)
    assert bucket.ready_at(0.0) == 0.0


@given(st.integers(1, 5000), st.floats(0, 1e6))
def test_no_minute_has_more_than_the_ceiling(per_minute: int, start: float) -> None:
    bucket, now, sent = MinuteBucket(per_minute), start, list[float]()
    while len(sent) < min(3 * per_minute, 600) and now < start + 240:
        now = max(now, bucket.ready_at(now))
        bucket.take(1, now)
        sent.append(now)
    for first in range(len(sent)):
        # A hair's breadth under a minute: sums of floats may differ in the last digit.
        within = sum(1 for time in sent[first:] if time < sent[first] + 59.999)
        assert within <= max(per_minute, 1) + 1


@given(st.integers(60, 100_000))
def test_nearly_all_of_the_ceiling_can_be_used(per_minute: int) -> None:
    bucket, now, sent = MinuteBucket(per_minute), 0.0, 0
    step = max(1, per_minute // 500)
    while (now := max(now, bucket.ready_at(now))) < 60.0:
        bucket.take(step, now)
        sent += step
    assert sent >= 0.95 * per_minute


def test_a_demand_larger_than_the_ceiling_is_paid_off_afterwards() -> None:
    bucket = MinuteBucket(600)
    assert bucket.ready_at(0.0) == 0.0
    bucket.take(1200, 0.0)
    assert 110 <= bucket.ready_at(0.0) <= 130


def test_what_was_not_needed_is_given_back() -> None:
    bucket = MinuteBucket(600)
    bucket.take(600, 0.0)
    late = bucket.ready_at(0.0)
    bucket.take(-590, 0.0)
    assert bucket.ready_at(0.0) < late / 10
