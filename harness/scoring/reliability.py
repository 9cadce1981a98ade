"""Does P(yes) mean what it says? How far a judge's graded answers are from the shares that are truly yes.

A judge can rank windows well and be far too sure of itself; AUROC does not see it, and a threshold at 0.5 suffers from
it. These numbers describe the judge on the questions of one unit. They are no measure of the explanation, so they stand
in a score's breakdown, not among its metrics.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.scoring.classification import NO_ANSWERS, answered

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.scoring.protocol import Item

__all__ = ["BINS", "brier_score", "calibration_error", "reliability"]

BINS = 10
"""Bins of the expected calibration error, where there are so many answers."""

NO_GRADES = "the answers carry no graded value"


def brier_score(graded: Sequence[tuple[float, bool]]) -> float | None:
    """Return the mean squared difference between P(yes) and the truth (Brier 1950), or None if there is no answer.

    Always answering 0.5 gives 0.25; 0 is best.

    Args:
        graded: P(yes) and the truth of each answer.
    """
    if not graded:
        return None
    return math.fsum((p_yes - truth) ** 2 for p_yes, truth in graded) / len(graded)


def calibration_error(graded: Sequence[tuple[float, bool]], bins: int = BINS) -> float | None:
    """Return the expected calibration error with bins of equal count, or None if there is no answer.

    That is the mean over answers of the distance between a bin's mean P(yes) and its share of truly yes ones (Naeini et
    al. 2015; equal counts as Nixon et al. 2019, so that no bin is empty). Equal grades stay in one bin, so the order of
    the answers changes nothing; bins are then less equal, or fewer.

    Args:
        graded: P(yes) and the truth of each answer.
        bins: How many bins, at most one for each answer.
    """
    if not graded:
        return None
    gaps = [abs(math.fsum(p_yes - truth for p_yes, truth in part)) for part in _bins(sorted(graded), bins)]
    return math.fsum(gaps) / len(graded)


def reliability(items: Iterable[Item]) -> tuple[dict[str, float | None], str | None]:
    """Return ``n``, ``expected_calibration_error`` and ``brier`` of the graded answers, and why they are None if so."""
    known = answered(items)
    graded = [(item.value, item.truth) for item in known if item.value is not None and item.truth is not None]
    numbers = {
        "n": float(len(graded)),
        "expected_calibration_error": calibration_error(graded),
        "brier": brier_score(graded),
    }
    if graded:
        return numbers, None
    return numbers, NO_GRADES if known else NO_ANSWERS


def _bins(ordered: Sequence[tuple[float, bool]], bins: int) -> list[Sequence[tuple[float, bool]]]:
    """Return the answers, which ascend, cut into parts of about equal length that do not part equal grades."""
    n = len(ordered)
    ends = []
    for number in range(1, bins + 1):
        end = number * n // bins
        while 0 < end < n and ordered[end][0] == ordered[end - 1][0]:
            end += 1
        ends.append(end)
    starts = [0, *ends[:-1]]
    return [ordered[start:end] for start, end in zip(starts, ends, strict=True) if end > start]
