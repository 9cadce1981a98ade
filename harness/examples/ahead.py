"""Building records on several processors: results come in the order asked for, with the bytes that one would give.

A record depends on its feature alone (every draw is seeded by what it is for), so it does not matter who builds it or
when. What is built ahead and not needed in the end is thrown away.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import BrokenExecutor, Future
from typing import TYPE_CHECKING, TypeAlias

from harness.examples.record import FeatureRecord, SkippedFeature

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

Result: TypeAlias = FeatureRecord | SkippedFeature

__all__ = ["CHUNK", "BuildAhead", "InTurn", "Result"]

CHUNK = 8
"""Features handed to another processor at once: some hundredths of a second's work."""
_CHUNKS_AHEAD = 8
"""Chunks given out per other process. It has up to three in hand, which nobody else can take any more: one that it
works on and two waiting for it. What is beyond those may be built here instead."""


class InTurn:
    """Builds each record when it is asked for.

    Args:
        build: Returns the record of a feature, or why it has none.
    """

    ahead = 0
    """How many features it wants to be told of beforehand."""

    def __init__(self, build: Callable[[int], Result]) -> None:
        self._build = build

    def result(self, feature: int, upcoming: Sequence[int] = ()) -> Result:  # noqa: ARG002 -- builds nothing ahead
        """Return what ``build`` does."""
        return self._build(feature)


class BuildAhead:
    """Has records built by other processes while this one builds, too.

    Chunks that no other process has begun are built here when there is nothing to wait for but them, so this process
    is never idle while there is work, and processes that start slowly or die cost nothing but their help.

    Args:
        build: Returns the record of a feature, or why it has none; for this process.
        executor: The other processes.
        many: The same for several features, for the other processes.
        workers: How many of those there are.
    """

    def __init__(
        self,
        build: Callable[[int], Result],
        executor: Executor,
        many: Callable[[list[int]], list[Result]],
        workers: int,
    ) -> None:
        self._build, self._executor, self._many = build, executor, many
        self._most = workers * _CHUNKS_AHEAD
        self.ahead = (self._most + 1) * CHUNK
        self._given: deque[tuple[list[int], Future[list[Result]]]] = deque()
        self._taken: set[int] = set()
        self._results: dict[int, Result] = {}
        self._broken = False

    def result(self, feature: int, upcoming: Sequence[int] = ()) -> Result:
        """Return the record of ``feature``, or why it has none.

        Args:
            feature: The feature.
            upcoming: Those that will probably be asked for next, in order; told each time anew.
        """
        self._give([feature, *upcoming])
        while feature not in self._results:
            self._collect()
            if feature in self._results:
                break
            holder = next((pair for pair in self._given if feature in pair[0]), None)
            if holder is None:
                self._results[feature] = self._build(feature)
            elif not self._help(holder):
                self._wait(holder)
        self._taken.discard(feature)
        return self._results.pop(feature)

    def _give(self, features: Sequence[int]) -> None:
        """Hand out chunks of what nobody has yet."""
        if self._broken or len(self._given) >= self._most:
            return
        free = [feature for feature in features if feature not in self._taken and feature not in self._results]
        # Only whole chunks: what is left over is soon part of one, or of the end, and is quickly built here.
        for begin in range(0, len(free) - CHUNK + 1, CHUNK):
            if len(self._given) >= self._most:
                return
            chunk = free[begin : begin + CHUNK]
            try:
                self._given.append((chunk, self._executor.submit(self._many, chunk)))
            except BrokenExecutor:
                self._broken = True
                return
            self._taken.update(chunk)

    def _collect(self) -> None:
        """Take in what is finished."""
        for chunk, future in [pair for pair in self._given if pair[1].done()]:
            self._given.remove((chunk, future))
            self._taken.difference_update(chunk)
            try:
                self._results.update(zip(chunk, future.result(), strict=True))
            except BrokenExecutor:
                self._broken = True  # its features are built here when they are asked for

    def _help(self, holder: tuple[list[int], Future[list[Result]]]) -> bool:
        """Build a chunk here that no other process has begun, if there is one: the one waited for, or the last."""
        for pair in (holder, *reversed(self._given)):
            if pair[1].cancel():
                chunk = pair[0]
                self._given.remove(pair)
                self._taken.difference_update(chunk)
                self._results.update((feature, self._build(feature)) for feature in chunk)
                return True
        return False

    def _wait(self, holder: tuple[list[int], Future[list[Result]]]) -> None:
        try:
            holder[1].result()
        except BrokenExecutor:
            self._broken = True
