"""Killing a run at moments drawn by seed, spread over its calls."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from tests.support.judged_run import JudgedRun
    from tests.support.loopback.process import EndpointProcess

__all__ = ["Kill", "kill_often"]

_ANYWHERE = 0.1  # the share of kills that do not wait for calls
_START_S = 10.0  # how long a start lasts at most before its calls
_PAUSE_S = 0.01


@dataclass(frozen=True)
class Kill:
    """One kill: how many calls the endpoint had answered by then, and how many were in flight.

    A call is in flight from when it is sent until its answer is on disk, so this is what the killed process had sent
    less what it had stored. ``unanswered`` are those of them that the endpoint had not answered.
    """

    answered: int
    in_flight: int
    unanswered: int


def kill_often(run: JudgedRun, endpoint: EndpointProcess, times: int, draw: np.random.Generator) -> list[Kill]:
    """Start ``run`` and kill it, ``times`` times, and return the kills that met a running process.

    Most kills wait until a drawn number of distinct calls was answered, in rising order, and then for a drawn part of a
    second; the others come at a drawn time after the start.
    """
    anywhere = int(times * _ANYWHERE)
    among = times - anywhere
    reached = sorted(int(number) for number in draw.integers(0, int(run.size.calls * 0.98), among))
    moments: list[tuple[int | None, float]] = [(number, float(draw.uniform(0.0, 0.5))) for number in reached]
    for _ in range(anywhere):
        moments.insert(int(draw.integers(0, len(moments) + 1)), (None, float(draw.uniform(0.0, _START_S))))
    kills = []
    for answers, wait_s in moments:
        kill = _kill(run, endpoint, answers, wait_s)
        if kill is not None:
            kills.append(kill)
    return kills


def _kill(run: JudgedRun, endpoint: EndpointProcess, answers: int | None, wait_s: float) -> Kill | None:
    began = time.monotonic()
    due: float | None = began + wait_s if answers is None else None
    begun, stored = endpoint.stats(), run.stored
    before = begun["received"]

    def ready() -> bool:
        nonlocal due
        stats = endpoint.stats()
        # A start of which no call was seen yet has not come to the moment that was drawn, whatever was answered before.
        if due is None and stats["received"] > before and stats["distinct_answered"] >= (answers or 0):
            due = time.monotonic() + wait_s
        return due is not None and time.monotonic() >= due

    if not run.kill_when(ready, lambda: time.sleep(_PAUSE_S)):
        return None
    stats = endpoint.stats()
    unanswered = stats["in_flight"] + stats["abandoned"] - begun["in_flight"] - begun["abandoned"]
    return Kill(stats["distinct_answered"], stats["received"] - before - (run.stored - stored), unanswered)
