"""Notices that an endpoint will not answer any more, so that a run stops instead of paying for failures for days."""

from __future__ import annotations

import re

from harness.llm.failures import RETRYABLE, Failure, FailureKind

__all__ = ["Breaker"]

_SAME = 20
_GROUPS = 5
_FEWEST = 8
_FEWEST_TOLD_TO_WAIT = 5
_NUMBERS = re.compile(r"\d+")
# Said of the question, not of the endpoint; a call that ran out of its own time says nothing of either.
_BLAMELESS = frozenset({FailureKind.REFUSED, FailureKind.CONTEXT})
_WAITED = (RETRYABLE | {FailureKind.DEADLINE}) - {FailureKind.MALFORMED}


class Breaker:
    """Opens when failures leave no hope. One success closes every count. Times are seconds of any monotonic clock.

    It opens on twenty refusals in a row that say the same, numbers aside (a parameter the endpoint does not take), and
    come from five groups of questions at least: one explanation that an endpoint cannot stomach is asked about forty
    times. It opens as well on nothing but failures for ``patience_s``, or a wait asked for that is longer than that.

    Args:
        patience_s: How long an endpoint may answer with nothing but errors.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._same: tuple[FailureKind, int | None, str] | None = None
        self._same_count = 0
        self._groups: set[str] = set()
        self._count = 0
        self._since: float | None = None
        self._tripped: tuple[Failure, str] | None = None

    @property
    def tripped(self) -> tuple[Failure, str] | None:
        """Return the failure that opened it and why, or None while it is closed."""
        return self._tripped

    def succeeded(self) -> None:
        """Note an answer."""
        self._same, self._same_count, self._count, self._since = None, 0, 0, None

    def failed(self, failure: Failure, now: float, group: str = "") -> None:
        """Note a failed attempt; ``group`` names the questions that this one was asked with."""
        if failure.kind in _BLAMELESS:
            self.succeeded()
            return
        same = (failure.kind, failure.status, _NUMBERS.sub("#", failure.message))
        if same != self._same:
            self._same, self._same_count, self._groups = same, 0, set()
        self._same_count += 1
        self._groups.add(group)
        self._count += 1
        self._since = now if self._since is None else self._since
        if self._tripped is None and (why := self._why(failure, now - self._since)):
            self._tripped = (failure, why)

    def _why(self, failure: Failure, elapsed_s: float) -> str | None:
        if failure.kind not in _WAITED:
            hopeless = self._same_count >= _SAME and len(self._groups) >= _GROUPS
            return f"{self._same_count} times in a row" if hopeless else None
        if self._count >= _FEWEST_TOLD_TO_WAIT and (failure.retry_after_s or 0.0) > self._patience_s:
            return f"and asks to wait {failure.retry_after_s:.0f} s"
        if self._count >= _FEWEST and elapsed_s >= self._patience_s:
            return f"{self._count} failures in {elapsed_s:.0f} s without one answer"
        return None
