from __future__ import annotations

import pytest

from harness.llm.breaker import Breaker
from harness.llm.failures import Failure, FailureKind

BAD = Failure(FailureKind.BAD_REQUEST, "no parameter 'x'", 400)
BUSY = Failure(FailureKind.OVERLOADED, "busy", 503)


def fail(breaker: Breaker, failure: Failure, times: int, *, every_s: float = 0.0, start: float = 0.0) -> None:
    for number in range(times):
        breaker.failed(failure, start + number * every_s, f"explanation {number % 5}")


def test_twenty_identical_refusals_open_it() -> None:
    breaker = Breaker(300.0)
    fail(breaker, BAD, 19)
    assert breaker.tripped is None
    fail(breaker, BAD, 1)
    opened: object = breaker.tripped
    assert opened == (BAD, "20 times in a row")


def test_numbers_do_not_make_messages_different() -> None:
    breaker = Breaker(300.0)
    for number in range(20):
        breaker.failed(Failure(FailureKind.BAD_REQUEST, f"request {number} is bad", 400), 0.0, str(number))
    assert breaker.tripped is not None


def test_one_explanation_that_cannot_be_stomached_does_not_open_it() -> None:
    breaker = Breaker(300.0)
    for number in range(400):
        breaker.failed(BAD, 0.0, f"explanation {number // 100}")
    assert breaker.tripped is None


def test_different_refusals_and_single_answers_keep_it_closed() -> None:
    breaker = Breaker(300.0)
    for number in range(100):
        breaker.failed(Failure(FailureKind.BAD_REQUEST, "a" if number % 2 else "b", 400), 0.0)
    assert breaker.tripped is None
    for _ in range(10):
        fail(breaker, BAD, 15)
        breaker.succeeded()
    assert breaker.tripped is None


def test_an_outage_is_waited_out_for_as_long_as_patience_lasts() -> None:
    breaker = Breaker(300.0)
    fail(breaker, BUSY, 299, every_s=1.0)
    assert breaker.tripped is None

    fail(breaker, BUSY, 2, every_s=1.0, start=300.0)
    opened: object = breaker.tripped
    assert "without one answer" in str(opened)


def test_a_few_slow_failures_are_no_outage() -> None:
    breaker = Breaker(10.0)
    fail(breaker, BUSY, 7, every_s=100.0)
    assert breaker.tripped is None


def test_a_wait_asked_for_that_is_beyond_patience_opens_it() -> None:
    breaker = Breaker(300.0)
    fail(breaker, Failure(FailureKind.RATE_LIMIT, "daily limit", 429, 3600.0), 5)
    assert breaker.tripped is not None
    assert "3600 s" in breaker.tripped[1]


@pytest.mark.parametrize("kind", [FailureKind.REFUSED, FailureKind.CONTEXT])
def test_what_is_said_of_a_question_is_not_held_against_the_endpoint(kind: FailureKind) -> None:
    breaker = Breaker(300.0)
    fail(breaker, Failure(kind, "no", 400), 100)
    assert breaker.tripped is None


def test_a_page_in_place_of_an_api_opens_it() -> None:
    breaker = Breaker(300.0)
    fail(breaker, Failure(FailureKind.MALFORMED, "<html>Log in</html>"), 20)
    assert breaker.tripped is not None
