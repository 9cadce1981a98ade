"""What the loopback endpoint has seen, in numbers a test can hold a client to."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

__all__ = ["BUCKET_S", "Counters"]

BUCKET_S = 0.25


@dataclass
class Counters:
    """Counts since the last reset. Completions only: listings of models are not counted.

    Attributes:
        received: Requests that came in whole.
        answered: Right answers sent.
        abandoned: Requests whose connection was closed before their reply.
        by_kind: Replies by what they were: ``ok``, a fault's name, ``storm``, ``too many``, ``key``.
        attempts: Requests by digest.
        answers: Right answers by digest.
        in_flight: Requests without a reply now.
        most_in_flight: The most of them at one time.
        timeline: By time since the reset, in steps of ``BUCKET_S``: received, answered, refused with 429, and the most
            in flight.
    """

    received: int = 0
    answered: int = 0
    abandoned: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)
    attempts: Counter[bytes] = field(default_factory=Counter)
    answers: Counter[bytes] = field(default_factory=Counter)
    in_flight: int = 0
    most_in_flight: int = 0
    timeline: dict[int, list[int]] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    def receive(self, digest: bytes) -> int:
        """Count a request and return the number of the attempt it is, from 0."""
        attempt = self.attempts[digest]
        self.attempts[digest] = attempt + 1
        self.received += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        bucket = self._bucket()
        bucket[0] += 1
        bucket[3] = max(bucket[3], self.in_flight)
        return attempt

    def reply(self, kind: str, digest: bytes, status: int) -> None:
        """Count a reply."""
        self.in_flight -= 1
        self.by_kind[kind] += 1
        bucket = self._bucket()
        if kind == "ok":
            self.answered += 1
            self.answers[digest] += 1
            bucket[1] += 1
        elif status == 429:
            bucket[2] += 1

    def abandon(self) -> None:
        """Count a request nobody waits for any more."""
        self.in_flight -= 1
        self.abandoned += 1

    def emptied(self) -> Counters:
        """Return fresh counters that still know what is in flight."""
        return Counters(in_flight=self.in_flight, most_in_flight=self.in_flight)

    def to_json(self) -> dict[str, Any]:
        """Return the counts as plain data."""
        return {
            "received": self.received,
            "answered": self.answered,
            "abandoned": self.abandoned,
            "by_kind": dict(self.by_kind),
            "distinct": len(self.attempts),
            "distinct_answered": len(self.answers),
            "in_flight": self.in_flight,
            "most_in_flight": self.most_in_flight,
            "now_s": time.monotonic() - self.began,
            "timeline": [[place * BUCKET_S, *row] for place, row in sorted(self.timeline.items())],
        }

    def _bucket(self) -> list[int]:
        place = int((time.monotonic() - self.began) / BUCKET_S)
        return self.timeline.setdefault(place, [0, 0, 0, 0])
