from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.llm.failures import FATAL, RETRYABLE, Failure, FailureKind, brief, kind_of_status


@given(st.text(), st.integers(min_value=10, max_value=300))
def test_brief_is_one_short_printable_line(text: str, limit: int) -> None:
    line = brief(text, limit=limit)
    assert line.isprintable()
    assert len(line) <= limit


def test_brief_hides_secrets_even_repeated() -> None:
    assert brief("key sk-1 is wrong: sk-1", secrets=("sk-1", "")) == "key *** is wrong: ***"


def test_brief_escapes_terminal_sequences() -> None:
    assert brief("a\x1b]0;title\x07\u202eb\n\nc") == "a\\x1b]0;title\\x07\\u202eb c"


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "bad value", FailureKind.BAD_REQUEST),
        (400, "model 'x' does not exist", FailureKind.MODEL),
        (401, "", FailureKind.KEY),
        (402, "", FailureKind.QUOTA),
        (403, "", FailureKind.KEY),
        (404, "no such route", FailureKind.NOT_FOUND),
        (404, "The model `x` does not exist", FailureKind.MODEL),
        (408, "", FailureKind.TIMEOUT),
        (422, "", FailureKind.BAD_REQUEST),
        (429, "slow down", FailureKind.RATE_LIMIT),
        (429, "You exceeded your current quota", FailureKind.QUOTA),
        (500, "", FailureKind.OVERLOADED),
        (503, "", FailureKind.OVERLOADED),
        (529, "", FailureKind.OVERLOADED),
    ],
)
def test_kind_of_status(status: int, message: str, kind: FailureKind) -> None:
    assert kind_of_status(status, message) is kind


def test_only_an_unreachable_endpoint_is_both_worth_retrying_and_fatal() -> None:
    assert {FailureKind.UNREACHABLE} == RETRYABLE & FATAL


def test_line_names_kind_and_status() -> None:
    assert Failure(FailureKind.RATE_LIMIT, "slow down", 429).line == "rate limit (HTTP 429): slow down"
    assert Failure(FailureKind.DROPPED, "gone").line == "dropped: gone"
