"""What yes/no evidence is worth: the metrics detection and fuzzing share, as pure functions of their items.

An item that was not answered enters no number here. A metric whose definition divides by nothing is None, with the
reason; it is never a fabricated 0 or 0.5. So is one of a side, the positives or the negatives, most of which has no
answer: what a content filter refuses, say, is no draw from it, and a number from the rest would be of something else.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.outcome import Outcome
from harness.scoring.protocol import MetricSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from harness.scoring.protocol import Item

__all__ = [
    "CLASSIFICATION_METRICS",
    "Confusion",
    "Metrics",
    "answered",
    "auroc",
    "breakdown",
    "classification_metrics",
    "confusion",
    "graded_auroc",
    "unanswered_side",
]

CLASSIFICATION_METRICS: tuple[MetricSpec, ...] = (
    MetricSpec("auroc", "P(a positive is graded above a negative), ties half", chance=0.5),
    MetricSpec("balanced_accuracy", "mean of recall and specificity", chance=0.5),
    MetricSpec("precision", "share of yes answers that are right"),
    MetricSpec("recall", "share of positives answered yes (true positive rate)"),
    MetricSpec("specificity", "share of negatives answered no (true negative rate)"),
    MetricSpec("f1", "harmonic mean of precision and recall"),
)
"""Metrics of a yes/no scorer. The last four depend on how often the judge says yes, so they have no chance level."""

NO_ANSWERS = "no question was answered"
NO_POSITIVES = "no positive item was answered"
NO_NEGATIVES = "no negative item was answered"
MOST_UNANSWERED = 0.5
"""Share of a side's questions without an answer up to which a number is still one of that side."""

_SIDES = {True: "positive", False: "negative"}
_ONE_SIDED = {"recall": True, "specificity": False}  # the metrics that are of one side only


@dataclass(frozen=True, slots=True)
class Metrics:
    """Values by metric name, and for every None the reason."""

    values: Mapping[str, float | None]
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of answered items: true and false positives and negatives."""

    tp: int
    fn: int
    tn: int
    fp: int

    @property
    def positives(self) -> int:
        """Return how many answered items are truly positive."""
        return self.tp + self.fn

    @property
    def negatives(self) -> int:
        """Return how many answered items are truly negative."""
        return self.tn + self.fp


def auroc(positive: Sequence[float], negative: Sequence[float]) -> float | None:
    """Return the share of (positive, negative) pairs ranked rightly, ties counted one half; None if a side is empty.

    This is the Mann-Whitney U statistic over the number of pairs, the area under the ROC curve. Exact counts of half
    pairs are summed as integers, so the result does not depend on the order of the values.
    """
    if not positive or not negative:
        return None
    ranked = sorted(negative)
    half_wins = sum(bisect_left(ranked, value) + bisect_right(ranked, value) for value in positive)
    return half_wins / (2 * len(positive) * len(negative))


def answered(items: Iterable[Item]) -> list[Item]:
    """Return the items that have an answer and a truth to compare it with."""
    return [item for item in items if item.outcome is Outcome.OK and item.truth is not None]


def confusion(items: Iterable[Item]) -> Confusion:
    """Return the counts of the answered items that carry a prediction."""
    cells = [(item.truth, item.prediction) for item in answered(items) if item.prediction is not None]
    return Confusion(
        tp=cells.count((True, True)),
        fn=cells.count((True, False)),
        tn=cells.count((False, False)),
        fp=cells.count((False, True)),
    )


def graded_auroc(items: Sequence[Item]) -> tuple[float | None, str | None]:
    """Return the AUROC of the graded answers (``Item.value``), or None and why."""
    known = answered(items)
    if not known:
        return None, NO_ANSWERS
    graded = [item for item in known if item.value is not None]
    if not graded:
        return None, "the answers carry no graded value"
    positive = [item.value for item in graded if item.truth and item.value is not None]
    negative = [item.value for item in graded if not item.truth and item.value is not None]
    if not positive:
        return None, NO_POSITIVES
    if not negative:
        return None, NO_NEGATIVES
    why = unanswered_side(items)
    return (auroc(positive, negative), None) if why is None else (None, why)


def unanswered_side(items: Iterable[Item]) -> str | None:
    """Return of which side most questions have no answer, as a reason; None if of neither.

    A number from what is left of such a side is none of the explanation: which items are refused, cut off or not read
    may depend on what they hold. What was never asked (``skipped``) does not count.
    """
    return next(iter(_unanswered_sides(items).values()), None)


def classification_metrics(items: Sequence[Item]) -> Metrics:
    """Return every metric of ``CLASSIFICATION_METRICS`` over the answered items."""
    area, why_no_area = graded_auroc(items)
    cells = confusion(items)
    recall = _ratio(cells.tp, cells.positives)
    specificity = _ratio(cells.tn, cells.negatives)
    values: dict[str, float | None] = {
        "auroc": area,
        "balanced_accuracy": None if recall is None or specificity is None else (recall + specificity) / 2,
        "precision": _ratio(cells.tp, cells.tp + cells.fp),
        "recall": recall,
        "specificity": specificity,
        "f1": _ratio(2 * cells.tp, 2 * cells.tp + cells.fp + cells.fn) if cells.positives else None,
    }
    reasons = {name: _why(name, cells) for name, value in values.items() if value is None}
    if why_no_area is not None:
        reasons["auroc"] = why_no_area
    for side, why in _unanswered_sides(items).items():
        for name, value in list(values.items()):
            if value is not None and _ONE_SIDED.get(name, side) is side:
                values[name], reasons[name] = None, why
    return Metrics(values, reasons)


def breakdown(items: Sequence[Item], *, graded: str) -> dict[str, dict[str, float | None]]:
    """Return the metrics by decile of the positives (``decile_1`` ...) and by kind of the negatives (``kind_...``).

    A decile is set against all negatives, a kind of negative against all positives. ``graded`` names the mean of the
    graded answers, for instance ``mean_p_yes``. Where questions have no answer, ``answered`` has the share of either
    side that has one.
    """
    known = answered(items)
    positives = [item for item in known if item.truth]
    negatives = [item for item in known if not item.truth]
    parts: dict[str, dict[str, float | None]] = {}
    for decile in sorted({item.decile for item in positives if item.decile is not None}, reverse=True):
        own = [item for item in positives if item.decile == decile]
        parts[f"decile_{decile}"] = _part(own, [*own, *negatives], graded, "recall", lambda item: item.prediction)
    for kind in sorted({item.kind for item in negatives}):
        own = [item for item in negatives if item.kind == kind]
        parts[f"kind_{kind}"] = _part(own, [*positives, *own], graded, "specificity", _said_no)
    asked = {name: _asked(items, side) for side, name in _SIDES.items()}
    if any(one.outcome is not Outcome.OK for side in asked.values() for one in side):
        parts["answered"] = {name: _ratio(len(answered(side)), len(side)) for name, side in asked.items()}
    return parts


def _asked(items: Iterable[Item], side: bool) -> list[Item]:
    return [item for item in items if item.truth is side and item.outcome is not Outcome.SKIPPED]


def _unanswered_sides(items: Iterable[Item]) -> dict[bool, str]:
    """Return, for each side most of whose questions have no answer, how many they are and what became of them."""
    items, found = list(items), {}
    for side, name in _SIDES.items():
        asked = _asked(items, side)
        failed = Counter(item.outcome.value for item in asked if item.outcome is not Outcome.OK)
        if failed.total() > MOST_UNANSWERED * len(asked):
            fates = ", ".join(f"{n} {outcome}" for outcome, n in sorted(failed.items()))
            found[side] = f"{failed.total()} of {len(asked)} {name} items have no answer ({fates})"
    return found


def _part(
    own: Sequence[Item], compared: Sequence[Item], graded: str, rate: str, hit: Callable[[Item], bool | None]
) -> dict[str, float | None]:
    hits = [hit(item) for item in own if item.prediction is not None]
    grades = [item.value for item in own if item.value is not None]
    part: dict[str, float | None] = {"n": float(len(own)), "auroc": graded_auroc(compared)[0]}
    if hits:
        part[rate] = _ratio(sum(bool(one) for one in hits), len(hits))
    part[graded] = math.fsum(grades) / len(grades) if grades else None
    return part


def _said_no(item: Item) -> bool | None:
    return None if item.prediction is None else not item.prediction


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _why(name: str, cells: Confusion) -> str:
    if not cells.positives and not cells.negatives:
        return NO_ANSWERS
    if name == "precision":
        return "no item was answered yes"
    if not cells.positives and name != "specificity":
        return NO_POSITIVES
    return NO_NEGATIVES
