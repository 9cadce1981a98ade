"""What of a run's scores has no value, and the reason most of it has none for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.results.records import ScoreLine

__all__ = ["Undefined", "has_value", "undefined_of"]

_NO_REASON = "the scorer gives no reason"


@dataclass(frozen=True, slots=True)
class Undefined:
    """The features that a scorer looked at in one explanation set without coming to a value.

    Attributes:
        scorer: Its name.
        explanation_set: The set.
        real: Whether the set is the real one, not a control.
        features: How many features were scored, over all subjects.
        reasons: Why there is no value, one for each feature without one.
    """

    scorer: str
    explanation_set: str
    real: bool
    features: int
    reasons: tuple[str, ...]

    @property
    def everywhere(self) -> bool:
        """Return whether no feature has a value."""
        return len(self.reasons) == self.features

    @property
    def reason(self) -> str:
        """Return the commonest reason; of equally common ones the first."""
        return Counter(self.reasons).most_common(1)[0][0]

    def __str__(self) -> str:
        """Return for instance ``saebench, top_tokens: 2 of 8 features: WHY``, and how many if not for all of them."""
        missing, common = len(self.reasons), self.reasons.count(self.reason)
        alike = "" if common == missing else f" ({common} of the {missing})"
        return f"{self.scorer}, {self.explanation_set}: {missing} of {self.features} features: {self.reason}{alike}"


def has_value(line: ScoreLine) -> bool:
    """Return whether a line holds a value of the metric that is ranked by."""
    return line.status == "scored" and line.metrics.get(line.primary_metric) is not None


def undefined_of(scores: Iterable[ScoreLine]) -> list[Undefined]:
    """Return what has no value, by scorer and set: real sets first, otherwise in the order in which they come."""
    groups: dict[tuple[str, str], list[ScoreLine]] = {}
    for line in scores:
        if line.status == "scored":
            groups.setdefault((line.scorer, line.explanation_set), []).append(line)
    found = [
        Undefined(scorer, name, lines[0].control is None, len(lines), reasons)
        for (scorer, name), lines in groups.items()
        if (reasons := _reasons(lines))
    ]
    return sorted(found, key=lambda one: not one.real)


def _reasons(lines: Sequence[ScoreLine]) -> tuple[str, ...]:
    return tuple(line.reasons.get(line.primary_metric, _NO_REASON) for line in lines if not has_value(line))
