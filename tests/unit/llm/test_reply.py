from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.llm.backend import Reply
from harness.llm.failures import AttemptError, FailureKind
from harness.llm.reply import parse_chat, parse_prompt_logprobs
from harness.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
CHOICE_KEYS = ["message", "finish_reason", "logprobs", "text"]
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "content": JSON,
        "refusal": JSON,
        "tool_calls": JSON,
        "reasoning": JSON,
        "provider_specific_fields": JSON,
    },
)
TOKEN = st.fixed_dictionaries({}, optional={"token": JSON, "logprob": JSON, "top_logprobs": JSON})
LOGPROBS = st.fixed_dictionaries(
    {},
    optional={"content": JSON | st.lists(JSON | TOKEN), "tokens": JSON, "token_logprobs": JSON, "top_logprobs": JSON},
)
CHOICES = st.fixed_dictionaries(
    {}, optional={"message": JSON | MESSAGES, "finish_reason": JSON, "logprobs": JSON | LOGPROBS}
)
BODIES = st.fixed_dictionaries(
    {}, optional={"choices": JSON | st.lists(JSON | CHOICES, max_size=2), "usage": JSON, "error": JSON}
)


@given(BODIES, st.booleans())
def test_any_json_object_becomes_a_reply_or_a_failed_attempt(body: dict[str, Any], short: bool) -> None:
    parsers: list[Callable[[], Reply]] = [
        lambda: parse_chat(body, short_answer=short),
        lambda: parse_prompt_logprobs(body),
    ]
    for parse in parsers:
        try:
            reply = parse()
        except AttemptError as error:
            reply = Reply(Outcome.ERROR, error=error.failure.line)
        assert (reply.text is not None) <= (reply.outcome in {Outcome.OK, Outcome.TRUNCATED})
        assert (reply.error is None) or reply.error.isprintable()
        json.dumps(
            [[item.token, item.logprob, dict(item.alternatives)] for item in reply.logprobs or ()], allow_nan=False
        )


def body(text: Any = "Yes", **choice: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"content": text}, "finish_reason": "stop", **choice}]}


def test_infinite_and_nan_logprobs_are_unknown() -> None:
    top = [
        {"token": "a", "logprob": float("-inf")},
        {"token": "b", "logprob": float("nan")},
        {"token": "c", "logprob": -1},
    ]
    token = {"token": "a", "logprob": float("-inf"), "top_logprobs": top}
    reply = parse_chat(body(logprobs={"content": [token]}), short_answer=True)
    assert reply.logprobs is not None
    assert reply.logprobs[0].logprob is None
    assert reply.logprobs[0].alternatives == {"c": -1.0}


def test_of_equal_token_texts_the_likeliest_is_kept() -> None:
    top = [{"token": "\ufffd", "logprob": -3.0}, {"token": "\ufffd", "logprob": -2.0}]
    reply = parse_chat(
        body(logprobs={"content": [{"token": "x", "logprob": -1.0, "top_logprobs": top}]}), short_answer=True
    )
    assert reply.logprobs is not None
    assert reply.logprobs[0].alternatives == {"\ufffd": -2.0}


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": 0, "completion_tokens": 0}, {"prompt_tokens": "3"}, 7])
def test_unreported_usage_is_unknown(usage: Any) -> None:
    reply = parse_chat({**body(), "usage": usage}, short_answer=False)
    assert (reply.input_tokens, reply.output_tokens) == (None, None)


@pytest.mark.parametrize("short", [True, False])
def test_the_token_limit(short: bool) -> None:
    reply = parse_chat(body("Ye", finish_reason="length"), short_answer=short)
    assert reply.outcome is (Outcome.OK if short else Outcome.TRUNCATED)
    assert reply.text == "Ye"
    empty = parse_chat(body(None, finish_reason="length"), short_answer=short)
    assert (empty.outcome, empty.text) == (Outcome.TRUNCATED, None)


def test_a_refusal_is_no_text() -> None:
    moved = {"content": None, "provider_specific_fields": {"refusal": "no"}}
    for choice in ({"message": moved}, {"finish_reason": "content_filter"}, {"message": {"refusal": "no"}}):
        reply = parse_chat(body(**choice), short_answer=False)
        assert (reply.outcome, reply.text) == (Outcome.REFUSED, None)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "busy", "code": 503}, FailureKind.OVERLOADED),
        ({"message": "slow down", "code": 429}, FailureKind.RATE_LIMIT),
        ({"message": "who?", "code": "invalid"}, FailureKind.OVERLOADED),
        ("just text", FailureKind.OVERLOADED),
    ],
)
def test_an_error_wearing_status_200(error: Any, kind: FailureKind) -> None:
    with pytest.raises(AttemptError) as caught:
        parse_chat({"error": error}, short_answer=False)
    assert caught.value.failure.kind is kind


def test_prompt_tokens_are_cut_where_the_prompt_ends() -> None:
    logprobs = {
        "tokens": ["a", "b", "c"],
        "token_logprobs": [None, -1, -2],
        "top_logprobs": [None, {"x": -1}, {"y": -3}],
    }
    whole = {"choices": [{"logprobs": logprobs}], "usage": {"prompt_tokens": 2, "completion_tokens": 1}}
    reply = parse_prompt_logprobs(whole)
    assert reply.logprobs is not None
    assert [(item.token, item.logprob, dict(item.alternatives)) for item in reply.logprobs] == [
        ("a", None, {}),
        ("b", -1.0, {"x": -1.0}),
    ]


@pytest.mark.parametrize("logprobs", [None, {}, {"tokens": ["a"], "token_logprobs": None}, {"content": []}])
def test_prompt_tokens_that_are_not_there(logprobs: Any) -> None:
    with pytest.raises(AttemptError) as caught:
        parse_prompt_logprobs({"choices": [{"logprobs": logprobs}]})
    assert caught.value.failure.kind is FailureKind.UNSUPPORTED
