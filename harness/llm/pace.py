"""How many requests may be in flight at one endpoint: a control law without clocks, sockets or tasks of its own.

Additive increase, multiplicative decrease. It begins small and doubles quickly while nothing objects; the first
objection (HTTP 429, or overload) cuts it, and from there it grows by a twentieth of its ceiling per round of requests
that all went well and really used what was allowed. One objection cuts once: requests that were sent before a cut say
nothing about what came after it.

An endpoint that answers nothing but errors, five in a row or half as many as may be in flight, is stalled: it is asked
with one request at a time, after growing pauses, until one succeeds. Then the limit is what it was after the cut,
however long the stall was.
"""

from __future__ import annotations

from enum import StrEnum

from harness.llm.failures import RETRYABLE, Failure, FailureKind

__all__ = ["Pace", "Signal", "signal_of"]

_START = 16
_RAMP_S = 0.1
_DECREASE = 0.7
_ROUNDS_TO_CEILING = 20
_SATURATED = 0.8
_FEWEST_STRIKES = 5
_STRIKES_PER_PLACE = 0.5
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 4.0
_BUSY_STATUS = frozenset({429, 503, 529})
# What answers at once, with something else than a completion, is neither busy nor down.
_UNWELL = (RETRYABLE | {FailureKind.DEADLINE}) - {FailureKind.MALFORMED}


class Signal(StrEnum):
    """What one reply says about the endpoint."""

    WELL = "well"
    CONGESTED = "congested"
    UNWELL = "unwell"


def signal_of(failure: Failure | None) -> Signal:
    """Return what became of an attempt, from the endpoint's point of view; a question it refuses is a good answer."""
    if failure is None:
        return Signal.WELL
    if failure.kind is FailureKind.RATE_LIMIT or failure.status in _BUSY_STATUS:
        return Signal.CONGESTED
    return Signal.UNWELL if failure.kind in _UNWELL else Signal.WELL


class Pace:
    """The limit of one endpoint. Times are seconds of any monotonic clock.

    Args:
        ceiling: Most requests in flight, at least 1.

    Attributes:
        epoch: Number of cuts so far; a request carries the one it was sent in.
    """

    def __init__(self, ceiling: int) -> None:
        self._ceiling = ceiling
        self._window = float(min(_START, ceiling))
        self._ramping = True
        self._raise_at: float | None = None
        self._round = 0
        self._most_in_round = 0
        self._strikes = 0
        self._probes_failed = 0
        self._resume_at = 0.0
        self.epoch = 0

    @property
    def ceiling(self) -> int:
        """Return the most requests ever in flight."""
        return self._ceiling

    def lower_ceiling(self, ceiling: int) -> None:
        """Allow no more than ``ceiling`` in flight from now on."""
        self._ceiling = min(self._ceiling, ceiling)
        self._window = min(self._window, float(self._ceiling))

    @property
    def stalled(self) -> bool:
        """Return whether the endpoint has answered nothing but errors of late."""
        # More in a row the more are in flight: where a third of all replies fails by chance, five in a row are common.
        return self._strikes >= max(_FEWEST_STRIKES, _STRIKES_PER_PLACE * self._window)

    @property
    def limit(self) -> int:
        """Return how many requests may be in flight now."""
        return 1 if self.stalled else max(1, int(self._window))

    @property
    def resume_at(self) -> float:
        """Return the time before which nothing may be sent."""
        return self._resume_at if self.stalled else 0.0

    def pressed(self, now: float) -> float | None:
        """Note that a request waits because the limit is used up; return when the limit may be raised, if it may.

        While ramping, the limit doubles every tenth of a second: refusals come back quickly, so that is time enough for
        an endpoint to object, and none is lost waiting for slow answers.
        """
        if not self._ramping or self._window >= self._ceiling or self.stalled:
            return None
        if self._raise_at is None:
            self._raise_at = now + _RAMP_S
        if now >= self._raise_at:
            self._raise_at = now + _RAMP_S
            self._window = min(2 * self._window, self._ceiling)
        return self._raise_at if self._window < self._ceiling else None

    def sent(self, in_flight: int) -> int:
        """Note that a request goes out as the ``in_flight``-th; return the epoch it belongs to."""
        self._most_in_round = max(self._most_in_round, in_flight)
        return self.epoch

    def came_back(self, epoch: int, signal: Signal, now: float, wait_s: float | None = None) -> None:
        """Note what became of a request sent in ``epoch``; ``wait_s`` is the wait the endpoint asked for, if any."""
        if signal is Signal.WELL:
            self._succeeded(epoch)
        else:
            self._failed(epoch, signal, now, wait_s)

    def _succeeded(self, epoch: int) -> None:
        if epoch != self.epoch:
            # Sent before the endpoint objected: no news while it is stalled.
            self._strikes = self._strikes if self.stalled else 0
            return
        self._strikes = self._probes_failed = 0
        self._round += 1
        if self._round >= self._window:
            if not self._ramping and self._most_in_round >= _SATURATED * int(self._window):
                self._window = min(self._window + max(1.0, self._ceiling / _ROUNDS_TO_CEILING), self._ceiling)
            self._new_round()

    def _failed(self, epoch: int, signal: Signal, now: float, wait_s: float | None) -> None:
        was_stalled = self.stalled
        self._strikes += 1
        self._new_round()
        current = epoch == self.epoch
        cut = signal is Signal.CONGESTED and current and not was_stalled
        stalls = self.stalled and not was_stalled
        if cut:
            self._window = max(1.0, self._window * _DECREASE)
            self._ramping = False
        if stalls or (was_stalled and current):
            pause = min(_FIRST_PAUSE_S * 2.0 ** min(self._probes_failed, 16), _LONGEST_PAUSE_S)
            self._resume_at = now + max(pause, wait_s or 0.0)
            self._probes_failed += 1
        if cut or stalls:
            # What is still under way was sent before this was known.
            self.epoch += 1

    def _new_round(self) -> None:
        self._round = 0
        self._most_in_round = 0
