"""What an explanation says of a feature's inputs beside what it says of its outputs: two axes, never one number.

Scorers of different kinds have different scales, so nothing here is a mean over scorers. Each scorer stands on the axis
that its plugin declares, with its values as shares of the way from chance to the best that is possible; quadrants are
counted for every pair of a scorer of inputs and one of outputs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from statistics import quantiles
from typing import TYPE_CHECKING, Literal

from harness.errors import ResultsError, UnknownNameError
from harness.leaderboard.agreement import refuse_other_protocols, refuse_other_subjects
from harness.leaderboard.collect import collect
from harness.leaderboard.fade import FadeProfile, fade_profiles
from harness.leaderboard.measured import Measured, goods_of
from harness.stats import Estimate, mean_interval, wilson_interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from harness.leaderboard.collect import Entry, Group
    from harness.results.manifest import MetricFacts

__all__ = [
    "THRESHOLD",
    "Axis",
    "FeatureValue",
    "Profile",
    "Quadrants",
    "Side",
    "StandIn",
    "best_of",
    "corrected",
    "profiles",
]

Side = Literal["input", "output"]

THRESHOLD = 0.5
"""A feature counts as good from this share of the way from chance to the best."""

_QUARTERS = 2  # fewer values have no quartiles


@dataclass(frozen=True)
class FeatureValue:
    """A feature's value as it was reported, and corrected for chance where that can be done."""

    feature: int
    value: float
    corrected: float | None
    good: bool | None


@dataclass(frozen=True)
class StandIn:
    """Another metric of a scorer, by which a feature is good where the primary one has no best value.

    How far above chance is far has no answer on a scale without an end: the least thing would do, and half of all
    explanations that say nothing would be good.
    """

    metric: str
    good_from: float


@dataclass(frozen=True)
class Axis:
    """One scorer's values of an explanation set.

    Attributes:
        scorer: Its name.
        judge: The judge, None if it asks none.
        metric: Its primary metric.
        protocol: Fingerprint.
        side: What it holds explanations against; None if its plugin does not say, or it reads none.
        n: Features with a value.
        features: Features it was run on; ``n`` of them is the coverage.
        median: Median of the values as reported.
        lower_quartile: A quarter lies below.
        upper_quartile: A quarter lies above.
        corrected: Mean of (value - chance) / (best - chance) with its interval over features; None if undefined.
        uncorrected: Why there is no such mean.
        good_from: The value from which a feature counts as good; None if that cannot be said of this metric.
        values: Every feature's, in order of feature.
        stand_in: What says it instead; None where nothing does or need.
    """

    scorer: str
    judge: str | None
    metric: str
    protocol: str
    side: str | None
    n: int
    features: int
    median: float | None
    lower_quartile: float | None
    upper_quartile: float | None
    corrected: Estimate | None
    uncorrected: str | None
    good_from: float | None
    values: tuple[FeatureValue, ...]
    stand_in: StandIn | None = None


@dataclass(frozen=True)
class Quadrants:
    """How many of the features that two scorers share are good by both, one or neither.

    The estimates are of shares of the shared features, with Wilson's interval: a feature is in one quadrant or not.
    """

    input: str
    output: str
    shared: int
    both: Estimate
    input_only: Estimate
    output_only: Estimate
    neither: Estimate


@dataclass(frozen=True)
class Profile:
    """All scorers of one explanation set on one subject by axis, the quadrants of pairs across the axes, and FADE's."""

    subject: str
    explanation_set: str
    control: str | None
    threshold: float
    axes: tuple[Axis, ...]
    quadrants: tuple[Quadrants, ...]
    fade: tuple[FadeProfile, ...] = ()


def best_of(metric: MetricFacts) -> float | None:
    """Return the best value that can be reached, or None if the metric has no bound."""
    return metric.high if metric.higher_is_better else metric.low


def corrected(value: float, metric: MetricFacts) -> float | None:
    """Return (value - chance) / (best - chance): 0 at chance, 1 at the best, below 0 if worse than chance.

    None for a metric without a chance level or a best value, or whose chance level is its best.
    """
    best, chance = best_of(metric), metric.chance
    if best is None or chance is None or best == chance:
        return None
    return (value - chance) / (best - chance)


def profiles(runs: Sequence[Path], *, sets: Iterable[str] = (), threshold: float = THRESHOLD) -> list[Profile]:
    """Return the profiles of ``runs``, per subject and explanation set, both in order of name.

    Args:
        runs: Folders of runs.
        sets: Only these explanation sets; by default all but controls.
        threshold: From which share of the way from chance to the best a feature counts as good, above 0, at most 1.

    Raises:
        ResultsError: If a run cannot be read, the runs may not be compared, the threshold makes no sense, or there are
            no scores.
        UnknownNameError: If a set is in none of the runs.
    """
    if not 0 < threshold <= 1:
        raise ResultsError(f"{threshold} is not a share of the way from chance to the best", hint="above 0, at most 1")
    groups = sorted(collect(runs), key=lambda group: (group.scorer, group.protocol, group.facts.judge or ""))
    wanted = frozenset(sets)
    known = {scored.name for group in groups for scored in group.sets}
    for name in sorted(wanted - known):
        raise UnknownNameError("explanation set", name, known)
    refuse_other_protocols(groups)
    refuse_other_subjects(runs)
    found: dict[tuple[str, str, str | None], list[Measured]] = {}
    for group in groups:
        for key, measured in _measured(group, threshold):
            if key[1] in wanted if wanted else key[2] is None:
                found.setdefault(key, []).append(measured)
    if not found:
        raise ResultsError("these runs have no scores of such a set", hint="name runs that have scored explanations")
    return [
        Profile(*key, threshold, tuple(one.axis for one in parts), tuple(_all_quadrants(parts)), fade_profiles(parts))
        for key, parts in sorted(found.items(), key=lambda item: str(item[0]))
    ]


def _measured(group: Group, threshold: float) -> Iterable[tuple[tuple[str, str, str | None], Measured]]:
    for scored in group.sets:
        by_subject: dict[str, dict[int, Entry]] = {}
        for (subject, feature), entry in scored.cell.entries.items():
            by_subject.setdefault(subject, {})[feature] = entry
        for subject, entries in by_subject.items():
            key = (subject, scored.name, scored.cell.control)
            axis = _axis(group, entries, threshold)
            texts = {feature: entry.explanation for feature, entry in entries.items()}
            yield key, Measured(group.facts.aspect, group.metric.published, axis, texts)


def _axis(group: Group, entries: Mapping[int, Entry], threshold: float) -> Axis:
    metric = group.metric
    values = {feature: entry.value for feature, entry in sorted(entries.items()) if entry.value is not None}
    judging = _judging(group)
    good_from = None if judging is None else _good_from(judging, threshold)
    given = list(values.values())
    lower, median, upper = quantiles(given, n=4, method="inclusive") if len(given) >= _QUARTERS else [None, None, None]
    mean, why = _corrected_mean(given, metric)
    return Axis(
        scorer=group.scorer,
        judge=group.facts.judge,
        metric=metric.name,
        protocol=group.protocol,
        side=group.facts.fidelity,
        n=len(values),
        features=len(entries),
        median=given[0] if len(given) == 1 else median,
        lower_quartile=lower,
        upper_quartile=upper,
        corrected=mean,
        uncorrected=why,
        good_from=good_from if judging is metric else None,
        values=tuple(
            FeatureValue(feature, value, corrected(value, metric), _good(group, entries[feature], judging, good_from))
            for feature, value in values.items()
        ),
        stand_in=None
        if judging is None or judging is metric or good_from is None
        else StandIn(judging.name, good_from),
    )


def _judging(group: Group) -> MetricFacts | None:
    """Return the metric that says which features are good: the primary one, unless it has a chance level and no end.

    Then it is the first other one, in the order declared, that has a chance level and a best value, if there is one.
    """
    metric = group.metric
    if metric.chance is None or best_of(metric) is not None:
        return metric
    others = (one for one in group.facts.metrics if one.name in group.secondary)
    return next((one for one in others if one.chance is not None and best_of(one) is not None), None)


def _corrected_mean(values: Sequence[float], metric: MetricFacts) -> tuple[Estimate | None, str | None]:
    if metric.chance is None:
        return None, f"'{metric.name}' has no chance level"
    if best_of(metric) is None:
        return None, f"'{metric.name}' has no best value"
    shares = [share for value in values if (share := corrected(value, metric)) is not None]
    if not shares:
        return None, "no feature has a value" if not values else f"chance is the best value of '{metric.name}'"
    worst = metric.low if metric.higher_is_better else metric.high
    least = None if worst is None else corrected(worst, metric)
    return mean_interval(shares, -math.inf if least is None else least, 1.0), None


def _good_from(metric: MetricFacts, threshold: float) -> float | None:
    """Return the value from which a feature is good."""
    best = best_of(metric)
    return None if metric.chance is None or best is None else metric.chance + threshold * (best - metric.chance)


def _good(group: Group, entry: Entry, judging: MetricFacts | None, good_from: float | None) -> bool | None:
    if judging is None or good_from is None:
        return None
    value = entry.value if judging is group.metric else entry.others[group.secondary.index(judging.name)]
    if value is None:
        return None
    return value >= good_from if judging.higher_is_better else value <= good_from


def _all_quadrants(parts: Sequence[Measured]) -> Iterable[Quadrants]:
    inputs, outputs = (
        [part for part in parts if part.axis.side == side and (part.axis.good_from is not None or part.axis.stand_in)]
        for side in ("input", "output")
    )
    for one, other in product(inputs, outputs):
        pairs = goods_of(one, other)
        n = len(pairs)
        yield Quadrants(
            input=one.axis.scorer,
            output=other.axis.scorer,
            shared=n,
            both=wilson_interval(pairs.count((True, True)), n),
            input_only=wilson_interval(pairs.count((True, False)), n),
            output_only=wilson_interval(pairs.count((False, True)), n),
            neither=wilson_interval(pairs.count((False, False)), n),
        )
