"""Causes that cannot be had from a loopback server; the others are shown against a real one."""

from __future__ import annotations

import pytest

from harness.llm.failures import FailureKind
from harness.llm.litellm_failures import classify


def error(name: str, message: str, *, cause: BaseException | None = None, **fields: object) -> Exception:
    made = type(name, (Exception,), fields)(message)
    assert isinstance(made, Exception)
    made.__cause__ = cause
    return made


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (error("BadRequestError", "LLM Provider NOT provided. You passed model=x", status_code=400), FailureKind.MODEL),
        (error("InternalServerError", "Missing credentials. Please pass", status_code=500), FailureKind.KEY),
        (error("AuthenticationError", "Missing Anthropic API Key", status_code=401), FailureKind.KEY),
        (error("UnsupportedParamsError", "no 'logprobs'", status_code=400), FailureKind.UNSUPPORTED),
        (error("ContentPolicyViolationError", "no", status_code=400), FailureKind.REFUSED),
        (error("APIConnectionError", "x", cause=error("gaierror", "no such host")), FailureKind.UNREACHABLE),
        (error("InternalServerError", "x", cause=error("PoolTimeout", "")), FailureKind.TIMEOUT),
        (error("KeyError", "'choices'"), FailureKind.MALFORMED),
        # A provider whose library raises no httpx error still has its status believed.
        (error("RateLimitError", "slow", status_code=429), FailureKind.RATE_LIMIT),
    ],
)
def test_kinds(raised: Exception, kind: FailureKind) -> None:
    assert classify(raised).kind is kind


def test_the_message_is_the_endpoints_own_and_holds_no_secret() -> None:
    raised = error(
        "APIError", "litellm.APIError: APIError: OpenAIException - bad key sk-1\x1b[0m\nTraceback (most recent"
    )
    assert classify(raised, secrets=("sk-1",)).message == "bad key ***\\x1b[0m Traceback (most recent"
    traced = error("APIError", "OpenAIException - odd\nTraceback (most recent call last):\n secret/path.py")
    assert classify(traced).message == "odd"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2020 07:28:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "inf"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert classify(error("RateLimitError", "x", litellm_response_headers=headers)).retry_after_s == seconds


def test_a_ring_of_causes_ends() -> None:
    first, second = error("A", "x"), error("B", "y")
    first.__cause__, second.__cause__ = second, first
    assert classify(first).kind is FailureKind.MALFORMED
