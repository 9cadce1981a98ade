"""The bytes of a reply, right or wrong."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from tests.support.loopback.answers import chat_answer, echo_answer
from tests.support.loopback.faults import Fault

__all__ = ["RawReply", "answer_to", "error_reply", "json_reply", "wrong_reply"]

_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class RawReply:
    """A reply as it goes over the wire; ``closes`` ends the connection after it."""

    status: int
    raw: bytes
    closes: bool = False


def json_reply(status: int, body: Any, *, headers: str = "") -> RawReply:
    """Return a reply of JSON; ``headers`` are further lines, each with its line end."""
    return _reply(status, json.dumps(body, separators=(",", ":")).encode(), _JSON, headers=headers)


def error_reply(status: int, message: str, *, headers: str = "", code: str | None = None) -> RawReply:
    """Return an error in OpenAI's layout."""
    error = {"message": message, "type": "loopback", "code": code}
    return json_reply(status, {"error": error}, headers=headers)


def answer_to(path: str, body: dict[str, Any], digest: bytes) -> RawReply:
    """Return the right answer to a completion request."""
    answer = chat_answer(body, digest) if path.endswith("/chat/completions") else echo_answer(body, digest)
    return json_reply(200, answer)


def wrong_reply(fault: Fault, path: str, body: dict[str, Any], digest: bytes, retry_after_s: float) -> RawReply:
    """Return the reply in which ``fault`` shows. A time-out has none."""
    if fault in _STATUSES:
        status, message = _STATUSES[fault]
        return error_reply(status, message, headers=_wait(fault, retry_after_s))
    if fault is Fault.CUT_BODY:
        right = answer_to(path, body, digest).raw
        return RawReply(200, right[: len(right) - len(right) // 4], closes=True)
    if fault in _BODIES:
        content_type, raw = _BODIES[fault]
        return _reply(200, raw, content_type)
    return json_reply(200, _odd_answer(fault, body, digest))


_CHUNK = {"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "Yes"}}]}
_BODIES = {
    Fault.MALFORMED: (_JSON, b'{"id": "c", "choices": [{"index": 0, "mess'),
    Fault.HTML: ("text/html", b"<html><body>Please sign in.</body></html>"),
    Fault.STREAM: ("text/event-stream", f"data: {json.dumps(_CHUNK)}\n\ndata: [DONE]\n\n".encode()),
    Fault.ERROR_BODY: (_JSON, b'{"error": {"message": "the engine is busy", "code": 503}}'),
}
_STATUSES = {
    Fault.RATE_LIMIT: (429, "rate limit reached"),
    Fault.RATE_LIMIT_SECONDS: (429, "rate limit reached"),
    Fault.RATE_LIMIT_DATE: (429, "rate limit reached"),
    Fault.RATE_LIMIT_MS: (429, "rate limit reached"),
    Fault.SERVER_ERROR: (500, "internal error"),
    Fault.UNAVAILABLE: (503, "overloaded"),
}


def _wait(fault: Fault, seconds: float) -> str:
    if fault is Fault.RATE_LIMIT_SECONDS:
        return f"retry-after: {seconds:g}\r\n"
    if fault is Fault.RATE_LIMIT_DATE:
        return f"retry-after: {formatdate(time.time() + seconds + 1, usegmt=True)}\r\n"
    if fault is Fault.RATE_LIMIT_MS:
        return f"retry-after-ms: {seconds * 1000:.0f}\r\n"
    return ""


def _odd_answer(fault: Fault, body: dict[str, Any], digest: bytes) -> dict[str, Any]:
    """Return a well-formed chat completion without an answer."""
    answer = chat_answer(body, digest)
    if fault is Fault.NO_CHOICES:
        return {**answer, "choices": []}
    call = {"id": "1", "type": "function", "function": {"name": "answer", "arguments": '{"match": true}'}}
    messages: dict[Fault, dict[str, Any]] = {
        Fault.EMPTY: {"content": ""},
        Fault.NULL: {"content": None},
        Fault.REASONING: {"content": None, "reasoning_content": "The text is about fruit, so"},
        Fault.TOOL_CALL: {"content": None, "tool_calls": [call]},
    }
    choice = {"index": 0, "finish_reason": "tool_calls" if fault is Fault.TOOL_CALL else "stop"}
    return {**answer, "choices": [{**choice, "message": {"role": "assistant", **messages[fault]}}]}


def _reply(status: int, body: bytes, content_type: str, *, headers: str = "") -> RawReply:
    head = (
        f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}\r\n"
        f"content-type: {content_type}\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
    )
    return RawReply(status, head.encode("latin-1") + body)
