"""Ceilings per minute: how many requests, and how many tokens, may be sent."""

from __future__ import annotations

__all__ = ["MinuteBucket"]

_MINUTE = 60.0


class MinuteBucket:
    """Lets through at most ``per_minute`` in any minute, evenly. Times are seconds of any monotonic clock.

    A single demand larger than what a second allows is let through and paid off afterwards, so nothing starves.

    Args:
        per_minute: The ceiling; None lets everything through.
    """

    def __init__(self, per_minute: int | None) -> None:
        self._set(per_minute)
        self._level = self._capacity
        self._seen: float | None = None

    def lower(self, per_minute: int | None) -> None:
        """Keep ``per_minute`` from now on, if that is less."""
        if per_minute is not None and (self._per_minute is None or per_minute < self._per_minute):
            level = self._level if self._per_minute is not None else None
            self._set(per_minute)
            self._level = self._capacity if level is None else min(level, self._capacity)

    def _set(self, per_minute: int | None) -> None:
        self._per_minute = per_minute
        # What may be sent at once; it comes off the even flow, or the first minute would pass the ceiling.
        self._capacity = 0.0 if per_minute is None else max(1.0, per_minute / _MINUTE)
        self._rate = 0.0 if per_minute is None else max(per_minute - self._capacity, per_minute / 2) / _MINUTE

    def ready_at(self, now: float) -> float:
        """Return when the next one may be sent: ``now`` or later."""
        if self._per_minute is None:
            return now
        self._refill(now)
        missing = min(1.0, self._capacity) - self._level
        return now if missing <= 0 else now + missing / self._rate

    def take(self, amount: float, now: float) -> None:
        """Count ``amount`` as sent; negative to give back what turned out not to be needed."""
        if self._per_minute is not None:
            self._refill(now)
            self._level = min(self._level - amount, self._capacity)

    def _refill(self, now: float) -> None:
        if self._seen is not None:
            self._level = min(self._level + (now - self._seen) * self._rate, self._capacity)
        self._seen = now
