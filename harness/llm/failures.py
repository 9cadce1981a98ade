"""Why one attempt at a model call failed, in terms the rest of the room can act on. Knows no provider library."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "FATAL",
    "RETRYABLE",
    "AttemptError",
    "Failure",
    "FailureKind",
    "brief",
    "kind_of_status",
    "says_too_long",
]

_LIMIT = 200
_QUOTA_WORDS = ("insufficient_quota", "exceeded your current quota", "billing", "credit balance")
_MODEL_WORDS = ("model", "deployment")
_CONTEXT_WORDS = ("context size", "context length", "context window")


class FailureKind(StrEnum):
    """What went wrong with one attempt."""

    UNREACHABLE = "unreachable"
    KEY = "key"
    MODEL = "model"
    QUOTA = "quota"
    UNSUPPORTED = "unsupported"
    RATE_LIMIT = "rate_limit"
    OVERLOADED = "overloaded"
    TIMEOUT = "timeout"
    DEADLINE = "deadline"
    DROPPED = "dropped"
    MALFORMED = "malformed"
    NOT_FOUND = "not_found"
    CONTEXT = "context"
    BAD_REQUEST = "bad_request"
    REFUSED = "refused"


RETRYABLE = frozenset(
    {
        FailureKind.UNREACHABLE,
        FailureKind.RATE_LIMIT,
        FailureKind.OVERLOADED,
        FailureKind.TIMEOUT,
        FailureKind.DROPPED,
        FailureKind.MALFORMED,
    }
)
"""Failures after which the very same request may succeed."""

FATAL = frozenset(
    {
        FailureKind.UNREACHABLE,
        FailureKind.KEY,
        FailureKind.MODEL,
        FailureKind.NOT_FOUND,
        FailureKind.QUOTA,
        FailureKind.UNSUPPORTED,
    }
)
"""Failures that no other question to the same endpoint can escape (the retryable one: once its retries are spent)."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt.

    Attributes:
        kind: What went wrong.
        message: One short line, free of control characters and of keys.
        status: HTTP status, where there was one.
        retry_after_s: Seconds the endpoint asked us to wait, where it did.
        models: Names of the models the endpoint has, where they are known and matter.
    """

    kind: FailureKind
    message: str
    status: int | None = None
    retry_after_s: float | None = None
    models: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """Return the kind, the status and the message as one line."""
        status = f" (HTTP {self.status})" if self.status else ""
        return f"{self.kind.value.replace('_', ' ')}{status}: {self.message}"


class AttemptError(Exception):
    """One attempt failed; carries the ``Failure``. Never leaves the room."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.line)
        self.failure = failure


def brief(text: str, *, secrets: Iterable[str] = (), limit: int = _LIMIT) -> str:
    """Return ``text`` as one printable line of at most ``limit`` characters, with every secret replaced.

    What an endpoint says ends in logs, records and terminals, and may have been written by an attacker: control
    characters are escaped, never passed on.
    """
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    words = " ".join(text.split())
    printable = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in words)
    return printable if len(printable) <= limit else printable[: limit - 3] + "..."


def kind_of_status(status: int, message: str) -> FailureKind:
    """Return the kind of failure an HTTP error status means; ``message`` decides where the status is ambiguous."""
    said = message.lower()
    if status == 402 or (status == 429 and any(word in said for word in _QUOTA_WORDS)):  # noqa: PLR2004 -- HTTP
        return FailureKind.QUOTA
    if status == 404:  # noqa: PLR2004 -- HTTP
        return FailureKind.MODEL if any(word in said for word in _MODEL_WORDS) else FailureKind.NOT_FOUND
    if status == 400 and "model" in said and ("not exist" in said or "not found" in said):  # noqa: PLR2004 -- HTTP
        return FailureKind.MODEL
    known = {
        401: FailureKind.KEY,
        403: FailureKind.KEY,
        408: FailureKind.TIMEOUT,
        409: FailureKind.OVERLOADED,
        429: FailureKind.RATE_LIMIT,
        504: FailureKind.OVERLOADED,
    }
    if status in known:
        return known[status]
    return FailureKind.OVERLOADED if status >= 500 else FailureKind.BAD_REQUEST  # noqa: PLR2004 -- HTTP


def says_too_long(message: str) -> bool:
    """Return whether an endpoint's words are about a prompt that does not fit into the model's context."""
    said = message.lower()
    return any(words in said for words in _CONTEXT_WORDS)
