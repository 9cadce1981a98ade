"""What goes wrong at the loopback endpoint, how often and in which reply: the same for the same requests."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TRANSIENT", "Fault", "FaultPlan", "even_shares"]

_DRAWS = 1 << 64


class Fault(StrEnum):
    """One way for a reply to be wrong."""

    RATE_LIMIT = "429"
    RATE_LIMIT_SECONDS = "429, retry-after in seconds"
    RATE_LIMIT_DATE = "429, retry-after as a date"
    RATE_LIMIT_MS = "429, retry-after-ms"
    SERVER_ERROR = "500"
    UNAVAILABLE = "503"
    TIMEOUT = "timeout"
    CUT_BODY = "cut body"
    MALFORMED = "malformed JSON"
    EMPTY = "empty content"
    NULL = "content null"
    REASONING = "reasoning without answer"
    TOOL_CALL = "tool call"
    NO_CHOICES = "empty choices"
    HTML = "text/html"
    STREAM = "text/event-stream"
    ERROR_BODY = "200 with an error body"


TRANSIENT = (
    Fault.RATE_LIMIT,
    Fault.SERVER_ERROR,
    Fault.UNAVAILABLE,
    Fault.TIMEOUT,
    Fault.CUT_BODY,
    Fault.MALFORMED,
    Fault.EMPTY,
)
"""The faults an endpoint under load shows, one of each kind."""


def even_shares(share: float, faults: tuple[Fault, ...] = TRANSIENT) -> dict[Fault, float]:
    """Return ``share`` of all replies split evenly among ``faults``."""
    return dict.fromkeys(faults, share / len(faults))


@dataclass(frozen=True)
class FaultPlan:
    """Shares of replies that go wrong.

    A fault is drawn from the request's digest and the number of the attempt at it, so that neither the order of
    requests nor how many are in flight changes which replies go wrong.

    Attributes:
        shares: Share of all attempts by fault; their sum is at most 1.
        seed: Another seed, other faults.
        only_first: The attempts at one request that may go wrong; None for all of them.
        retry_after_s: What a rate limit that names a wait asks for.
    """

    shares: Mapping[Fault, float] = field(default_factory=dict)
    seed: int = 0
    only_first: int | None = None
    retry_after_s: float = 1.0

    def draw(self, digest: bytes, attempt: int) -> Fault | None:
        """Return what goes wrong with attempt number ``attempt`` (from 0) at the request of ``digest``, or None."""
        if not self.shares or (self.only_first is not None and attempt >= self.only_first):
            return None
        drawn = hashlib.blake2b(digest + attempt.to_bytes(4, "big"), digest_size=8, salt=self.seed.to_bytes(8, "big"))
        place = int.from_bytes(drawn.digest(), "big") / _DRAWS
        for fault, share in self.shares.items():
            if place < share:
                return fault
            place -= share
        return None

    def to_json(self) -> dict[str, Any]:
        """Return plain data that ``from_json`` reads."""
        shares = {fault.value: share for fault, share in self.shares.items()}
        return {
            "shares": shares,
            "seed": self.seed,
            "only_first": self.only_first,
            "retry_after_s": self.retry_after_s,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> FaultPlan:
        """Return the plan that ``to_json`` wrote."""
        return cls(**{**fields, "shares": {Fault(name): share for name, share in fields.get("shares", {}).items()}})
