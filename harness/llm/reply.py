"""From the JSON of an OpenAI-shaped answer to a ``Reply``. Pure; trusts nothing it is given."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeGuard

from harness.llm.backend import Reply
from harness.llm.failures import AttemptError, Failure, FailureKind, brief, kind_of_status
from harness.llm.protocol import TokenAlternatives
from harness.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["parse_chat", "parse_prompt_logprobs"]

_REFUSALS = frozenset({"content_filter", "refusal", "safety"})
_SERVER_ERROR = 500


def parse_chat(body: Mapping[str, Any], *, short_answer: bool) -> Reply:
    """Return the reply in a chat completion's body.

    Args:
        body: The decoded JSON object.
        short_answer: Whether the caller asked for one token or one of fixed choices, so that stopping at the token
            limit is a whole answer.

    Raises:
        AttemptError: If the body is an error wearing status 200.
    """
    _raise_error_body(body)
    counts = _usage(body.get("usage"))
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return Reply(Outcome.ERROR, error="the answer has no choices", **counts)
    finish = choice.get("finish_reason")
    finish = finish if isinstance(finish, str) else None
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    text = message.get("content")
    text = text if isinstance(text, str) else None
    outcome, error = _outcome(text, finish, message, short_answer=short_answer)
    kept = text if outcome in {Outcome.OK, Outcome.TRUNCATED} and text else None
    logprobs = _chat_logprobs(choice.get("logprobs"))
    return Reply(outcome, text=kept, logprobs=logprobs, finish_reason=finish, error=error, **counts)


def _outcome(
    text: str | None, finish: str | None, message: Mapping[str, Any], *, short_answer: bool
) -> tuple[Outcome, str | None]:
    refusal = _refusal(message)
    if refusal or finish in _REFUSALS:
        return Outcome.REFUSED, brief(refusal or f"stopped by {finish}")
    if finish == "length" and not (short_answer and text):
        return Outcome.TRUNCATED, None if text else "the token limit was reached before any answer text"
    if text:
        return Outcome.OK, None
    if message.get("tool_calls") or message.get("function_call"):
        return Outcome.ERROR, "a tool call instead of a text"
    if message.get("reasoning_content") or message.get("reasoning"):
        return Outcome.ERROR, "reasoning but no answer"
    return Outcome.ERROR, "an empty answer"


def _refusal(message: Mapping[str, Any]) -> str | None:
    """Return the model's refusal, from where OpenAI puts it or from where litellm moves it."""
    moved = message.get("provider_specific_fields")
    found = (message.get("refusal"), moved.get("refusal") if isinstance(moved, dict) else None)
    return next((text for text in found if isinstance(text, str) and text), None)


def _raise_error_body(body: Mapping[str, Any]) -> None:
    error = body.get("error")
    if not error or body.get("choices"):
        return
    fields = error if isinstance(error, dict) else {"message": str(error)}
    code = fields.get("code") or fields.get("status")
    status = code if isinstance(code, int) and code >= 400 else _SERVER_ERROR  # noqa: PLR2004 -- HTTP
    message = brief(str(fields.get("message") or error))
    raise AttemptError(Failure(kind_of_status(status, message), message, status))


def _usage(usage: Any) -> dict[str, Any]:
    if not isinstance(usage, dict):
        return {}
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    counts = (_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))
    # Libraries fill a missing report with zeros; no endpoint answers a prompt of no tokens.
    if not counts[0]:
        return {}
    return {"input_tokens": counts[0], "output_tokens": counts[1], "cached_input_tokens": _count(cached) or 0}


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _chat_logprobs(logprobs: Any) -> tuple[TokenAlternatives, ...] | None:
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(content, list) or not content:
        return None
    tokens = tuple(
        _chat_token(item) for item in content if isinstance(item, dict) and isinstance(item.get("token"), str)
    )
    return tokens or None


def _chat_token(item: Mapping[str, Any]) -> TokenAlternatives:
    top = item.get("top_logprobs")
    pairs = [(alt.get("token"), alt.get("logprob")) for alt in top if isinstance(alt, dict)] if _is_list(top) else []
    return TokenAlternatives(item["token"], _finite(item.get("logprob")), _alternatives(pairs))


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _alternatives(pairs: Iterable[tuple[Any, Any]]) -> dict[str, float]:
    """Return token -> log-probability; of distinct tokens with equal text (byte pieces) the likeliest is kept."""
    found: dict[str, float] = {}
    for token, logprob in pairs:
        value = _finite(logprob)
        if isinstance(token, str) and value is not None:
            found[token] = max(value, found.get(token, value))
    return found


def _finite(value: Any) -> float | None:
    """Return a log-probability, or None for what is not one (minus infinity has no JSON form)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def parse_prompt_logprobs(body: Mapping[str, Any]) -> Reply:
    """Return the prompt's tokens from an echoed text completion with ``logprobs`` (the OpenAI legacy layout).

    One generated token at most is expected after the prompt; tokens are cut at the prompt's count where it is known.

    Raises:
        AttemptError: If the body is an error, or has no per-token log-probabilities (kind ``unsupported``).
    """
    _raise_error_body(body)
    counts = _usage(body.get("usage"))
    choices = body.get("choices")
    choice = choices[0] if _is_list(choices) and choices and isinstance(choices[0], dict) else {}
    logprobs = choice.get("logprobs")
    fields = logprobs if isinstance(logprobs, dict) else {}
    tokens, values, tops = fields.get("tokens"), fields.get("token_logprobs"), fields.get("top_logprobs")
    if not _is_list(tokens) or not _is_list(values) or len(tokens) != len(values) or not tokens:
        raise AttemptError(Failure(FailureKind.UNSUPPORTED, "it reports no log-probabilities of prompt tokens"))
    tops = tops if _is_list(tops) and len(tops) == len(tokens) else [None] * len(tokens)
    rows = [
        TokenAlternatives(str(token), _finite(value), _alternatives(top.items() if isinstance(top, dict) else ()))
        for token, value, top in zip(tokens, values, tops, strict=True)
    ]
    prompt_tokens = counts.get("input_tokens") or len(rows)
    return Reply(Outcome.OK, logprobs=tuple(rows[:prompt_tokens]), finish_reason=choice.get("finish_reason"), **counts)
