"""How long an endpoint asks to be left alone: the Retry-After headers, in seconds or as a date."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["retry_after"]


def retry_after(headers: object) -> float | None:
    """Return the seconds that ``headers`` (any mapping of names to texts) ask to wait; None if they ask for none."""
    milliseconds = _header(headers, "retry-after-ms")
    return _header(headers, "retry-after") if milliseconds is None else milliseconds / 1000


def _header(headers: object, name: str) -> float | None:
    get = getattr(headers, "get", None)
    value = get(name) if callable(get) else None
    if not isinstance(value, str):
        return None
    try:
        seconds = float(value)
    except ValueError:
        return _seconds_until(value)
    return seconds if math.isfinite(seconds) else None


def _seconds_until(date: str) -> float | None:
    try:
        when = parsedate_to_datetime(date)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
