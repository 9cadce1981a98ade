"""What the loopback endpoint answers: stable answers of the right shape, made from nothing but the request."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["chat_answer", "echo_answer", "prompt_tokens"]

_UNIT = 1 << 32
_CHARACTERS_PER_TOKEN = 4
_CACHE_BLOCK = 16  # tokens; engines with a prefix cache count whole blocks
_SHORT = 5  # an answer of no more tokens than this is a word
_FILLERS = tuple(f" w{number}" for number in range(18))
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_NUMBERED = re.compile(r"^\d+\. ", re.MULTILINE)
_REMINDED = re.compile(r"JSON list of (\d+) numbers")
_TOPICS = ("names of places", "past-tense verbs", "numbers and dates", "closing brackets", "words about the law")


def chat_answer(body: dict[str, Any], digest: bytes) -> dict[str, Any]:
    """Return the body of a chat completion that answers the request ``body`` of ``digest``."""
    text, choices = _text(body, digest)
    choice: dict[str, Any] = {
        "index": 0,
        "finish_reason": "length" if body.get("max_tokens") == 1 else "stop",
        "message": {"role": "assistant", "content": text},
    }
    if body.get("logprobs"):
        choice["logprobs"] = {"content": [_token(text, choices, int(body.get("top_logprobs") or 0), digest)]}
    return _answer("chat.completion", body, choice, _usage(body, text))


def echo_answer(body: dict[str, Any], digest: bytes) -> dict[str, Any]:
    """Return the body of a text completion that repeats its prompt with log-probabilities."""
    prompt = str(body.get("prompt", ""))
    tokens = re.findall(r"\s*\S+", prompt) or [prompt]
    shown = [*tokens, " end"] if body.get("max_tokens") else tokens
    wanted = body.get("logprobs")
    logprobs = None
    if body.get("echo") and wanted is not None:
        values = [None, *(-round(0.1 + 5 * _share(digest, place), 6) for place in range(1, len(shown)))]
        tops = [None if value is None else {token: value} for token, value in zip(shown, values, strict=True)]
        logprobs = {"tokens": shown, "token_logprobs": values, "top_logprobs": tops if wanted else None}
    choice = {"index": 0, "text": "".join(shown), "finish_reason": "length", "logprobs": logprobs}
    usage = {"prompt_tokens": len(tokens), "completion_tokens": len(shown) - len(tokens), "total_tokens": len(shown)}
    return _answer("text_completion", body, choice, usage)


def _answer(kind: str, body: dict[str, Any], choice: dict[str, Any], usage: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "c",
        "object": kind,
        "created": 1,
        "model": body.get("model", "m"),
        "choices": [choice],
        "usage": usage,
    }


def _text(body: dict[str, Any], digest: bytes) -> tuple[str, tuple[str, ...]]:
    """Return the answer, and the answers it was chosen from where there are such."""
    choices = _choices(body)
    if choices:
        return choices[int(_share(digest, 0) * len(choices))], choices
    if (schema := _schema(body)) is not None:
        return json.dumps(_instance(schema, digest, 0)), ()
    last = str(_messages(body)[-1].get("content", ""))
    listed = len(_NUMBERED.findall(last))
    reminded = _REMINDED.search(last)
    if reminded or listed > 1:
        n = int(reminded[1]) if reminded else listed
        return json.dumps([int(_share(digest, place) < 0.5) for place in range(n)]), ()
    if int(body.get("max_tokens") or _SHORT + 1) <= _SHORT:
        yes_no = ("Yes", "No")
        return yes_no[int(_share(digest, 0) * 2)], yes_no
    return f"[EXPLANATION]: {_TOPICS[int(_share(digest, 1) * len(_TOPICS))]}, case {digest[:3].hex()}", ()


def _messages(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    messages = body.get("messages")
    return messages if isinstance(messages, list) and messages else [{}]


def _choices(body: dict[str, Any]) -> tuple[str, ...]:
    structured = body.get("structured_outputs")
    listed = body.get("guided_choice") or (structured.get("choice") if isinstance(structured, dict) else None)
    if listed:
        return tuple(str(choice) for choice in listed)
    grammar = body.get("grammar")
    return tuple(_QUOTED.findall(grammar)) if isinstance(grammar, str) and "::=" in grammar else ()


def _schema(body: dict[str, Any]) -> dict[str, Any] | None:
    wanted = body.get("response_format")
    if not isinstance(wanted, dict):
        return None
    if wanted.get("type") == "json_schema":
        schema = (wanted.get("json_schema") or {}).get("schema")
        return schema if isinstance(schema, dict) else {}
    return {"type": "object", "properties": {"match": {"type": "boolean"}}}


def _instance(schema: dict[str, Any], digest: bytes, place: int) -> Any:
    """Return a value that satisfies the common part of JSON Schema."""
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][int(_share(digest, place) * len(schema["enum"]))]
    kind = schema.get("type", "object")
    if kind == "object":
        fields = schema.get("properties") or {}
        return {name: _instance(inner, digest, place + n) for n, (name, inner) in enumerate(fields.items())}
    if kind == "array":
        items = schema.get("items") or {"type": "integer"}
        return [_instance(items, digest, place + number) for number in range(schema.get("minItems", 1))]
    return _scalar(schema, kind, digest, place)


def _scalar(schema: dict[str, Any], kind: str, digest: bytes, place: int) -> Any:
    share = _share(digest, place)
    if kind == "boolean":
        return share < 0.5
    if kind in {"integer", "number"}:
        low = schema.get("minimum", 0)
        return low + int(share * (schema.get("maximum", low + 1) - low + 1))
    return f"text {digest[:3].hex()}"


def _token(text: str, choices: tuple[str, ...], top: int, digest: bytes) -> dict[str, Any]:
    """Return the first token of ``text`` with ``top`` alternatives, the other choices likeliest among them."""
    certain = 0.5 + 0.49 * _share(digest, 2)
    others = [choice for choice in choices if choice != text]
    rest = (1.0 - certain) * 0.9
    shown = [(text, certain), *((choice, rest / len(others)) for choice in others)]
    least = (1.0 - certain) * 0.1 / (len(_FILLERS) + 1)
    shown += [(filler, least) for filler in _FILLERS]
    alternatives = [{"token": token, "logprob": round(math.log(share), 6)} for token, share in shown[:top]]
    return {"token": text, "logprob": round(math.log(certain), 6), "top_logprobs": alternatives}


def prompt_tokens(body: Mapping[str, Any]) -> int:
    """Return how many tokens the endpoint takes the prompt of a request for."""
    return len(str(body["prompt"])) // _CHARACTERS_PER_TOKEN if "prompt" in body else sum(_message_tokens(body))


def _message_tokens(body: Mapping[str, Any]) -> list[int]:
    return [len(str(message.get("content", ""))) // _CHARACTERS_PER_TOKEN + 4 for message in _messages(body)]


def _usage(body: dict[str, Any], text: str) -> dict[str, Any]:
    counts = _message_tokens(body)
    prompt, answer = sum(counts), len(text) // _CHARACTERS_PER_TOKEN + 1
    # As if everything before the last message had been read before: stable, whatever the order of requests.
    cached = sum(counts[:-1]) // _CACHE_BLOCK * _CACHE_BLOCK
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def _share(digest: bytes, place: int) -> float:
    """Return a stable number in [0, 1) for a place of the answer to the request of ``digest``."""
    mixed = (int.from_bytes(digest[:8], "big") + place * 0x9E3779B97F4A7C15) * 0xBF58476D1CE4E5B9 & (2**64 - 1)
    return (mixed >> 32) / _UNIT
