"""Ranks scorers by what they make of planted explanations, whose order is known: which scorer tells which from which.

The other way round from a leaderboard of explanations: there the scorer is trusted and explanations are compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.errors import ResultsError
from harness.leaderboard.agreement import refuse_other_subjects
from harness.leaderboard.collect import collect
from harness.stats import Estimate, mean_interval, separation, wilson_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.leaderboard.collect import Entry, Feature, Group

__all__ = ["DISTORTIONS", "STEPS", "Cost", "ScorerReport", "report_scorers"]

TRUE = "true"
DISTORTIONS = ("broad", "narrow", "related", "wrong_token", "other", "shuffled", "empty")
"""The sets that the true explanations are compared with, in the order shown."""

STEPS = (
    ("true", "narrow"),
    ("true", "broad"),
    ("narrow", "related"),
    ("broad", "related"),
    ("related", "other"),
    ("related", "empty"),
)
"""What ranks above what."""

_EXPLAINER = "planted"
_PREFIX = "planted_"
_SCORED = "scored"
_SEED = 0


@dataclass(frozen=True, slots=True)
class Cost:
    """What one verdict, the score of one explanation of one feature, takes on average.

    All that was spent, also where scoring failed, over the explanations that were scored; None where there are none,
    and in dollars where a price is unknown. Scored without a value is a verdict: a scorer may decline to score.
    """

    calls: float | None
    tokens: float | None
    usd: float | None


@dataclass(frozen=True)
class ScorerReport:
    """What a scorer makes of planted explanations.

    Attributes:
        subject: The subject.
        scorer: The scorer.
        version: Its version.
        judge: The judge, if it has one.
        protocol: Fingerprint of the protocol.
        metric: Its primary metric.
        chance: Its chance level, None if it has none.
        scores: Mean score of every set.
        features: How many features have a true explanation here.
        auroc: AUROC of the true explanations over each distortion, over features' scores, where both are defined.
        declined: Share of the features with a score of the true explanation for which a distortion was scored and came
            out undefined: told apart, if not by a number.
        steps: Share of the features for which a set is scored above the one that ranks below it, strictly.
        order_kept: Share of the features for which all of that holds at once.
        cost: Of one verdict.
        verdicts: How many verdicts there are.
        undefined: How many of those have no score.
    """

    subject: str
    scorer: str
    version: int
    judge: str | None
    protocol: str
    metric: str
    chance: float | None
    features: int
    scores: Mapping[str, Estimate]
    auroc: Mapping[str, Estimate]
    declined: Mapping[str, Estimate]
    steps: Mapping[str, Estimate]
    order_kept: Estimate
    cost: Cost
    verdicts: int
    undefined: int


def report_scorers(runs: Sequence[Path]) -> list[ScorerReport]:
    """Return a report on every scorer of ``runs`` for every subject with planted explanations, best first.

    Best is who is sure to tell true explanations from those of other features best: the lower end of the interval
    decides, which is low where few features have both scores; then who is sure to keep the order most often.

    Args:
        runs: Folders of runs.

    Raises:
        ResultsError: If a run cannot be read, none has planted explanations, or two have different ones of one name.
    """
    refuse_other_subjects(runs)
    reports = [
        _report(group, subject, sets)
        for group in collect(runs)
        for subject, sets in _by_subject(group).items()
        if TRUE in sets and len(sets) > 1
    ]
    if not reports:
        raise ResultsError(
            "no run here has planted explanations beside their distortions",
            hint="harness run experiment=scorer_benchmark judge=oracle",
        )
    return sorted(reports, key=_place)


def _place(report: ScorerReport) -> tuple[str, float, float, str, str]:
    told = report.auroc.get("other") or next(iter(report.auroc.values()))
    return (report.subject, -(told.low or 0.0), -(report.order_kept.low or 0.0), report.scorer, report.protocol)


def _by_subject(group: Group) -> dict[str, dict[str, dict[Feature, Entry]]]:
    """Return the entries of every planted set, by subject and by what the set is called here."""
    found: dict[str, dict[str, dict[Feature, Entry]]] = {}
    for scored in group.sets:
        control = scored.cell.control
        true = control is None and scored.name.partition("@")[0] == _EXPLAINER
        name = TRUE if true else (control or "").removeprefix(_PREFIX)
        if name != TRUE and name not in DISTORTIONS:
            continue
        for feature, entry in scored.cell.entries.items():
            mine = found.setdefault(feature[0], {}).setdefault(name, {})
            if mine.setdefault(feature, entry) != entry:
                raise ResultsError(
                    f"runs differ in '{group.scorer}' of the {name} explanation of feature {feature[1]}",
                    where=feature[0],
                    hint="name the runs to look at",
                )
    return found


def _report(group: Group, subject: str, sets: Mapping[str, Mapping[Feature, Entry]]) -> ScorerReport:
    metric = group.metric
    values = {name: _values(entries) for name, entries in sets.items()}
    # Turned so that above is better.
    turned = {
        name: {feature: value if metric.higher_is_better else -value for feature, value in scored.items()}
        for name, scored in values.items()
    }
    low = -math.inf if metric.low is None else metric.low
    high = math.inf if metric.high is None else metric.high
    ordered = [name for name in (TRUE, *DISTORTIONS) if name in sets]
    entries = [entry for scored in sets.values() for entry in scored.values()]
    steps = [step for step in STEPS if step[0] in sets and step[1] in sets]
    return ScorerReport(
        subject=subject,
        scorer=group.scorer,
        version=group.version,
        judge=group.facts.judge,
        protocol=group.protocol,
        metric=metric.name,
        chance=metric.chance,
        features=len(sets[TRUE]),
        scores={name: mean_interval(list(values[name].values()), low, high) for name in ordered},
        auroc={name: separation(turned[TRUE], turned[name], seed=_SEED) for name in ordered if name != TRUE},
        declined={name: _declined(values[TRUE], sets[name]) for name in ordered if name != TRUE},
        steps={f"{upper} > {lower}": _kept(turned, [(upper, lower)]) for upper, lower in steps},
        order_kept=_kept(turned, steps),
        cost=_cost(entries),
        verdicts=len(entries),
        undefined=sum(entry.value is None for entry in entries),
    )


def _values(entries: Mapping[Feature, Entry]) -> dict[Feature, float]:
    return {feature: entry.value for feature, entry in entries.items() if entry.value is not None}


def _kept(values: Mapping[str, Mapping[Feature, float]], steps: Sequence[tuple[str, str]]) -> Estimate:
    """Return the share of the features, among those with a score in every set named, for which all steps hold."""
    named = [values[name] for step in steps for name in step]
    shared = [feature for feature in (named[0] if named else ()) if all(feature in scored for scored in named)]
    return _share(sum(all(values[upper][one] > values[lower][one] for upper, lower in steps) for one in shared), shared)


def _declined(true: Mapping[Feature, float], wrong: Mapping[Feature, Entry]) -> Estimate:
    scored = [feature for feature in true if feature in wrong and wrong[feature].status == _SCORED]
    return _share(sum(wrong[feature].value is None for feature in scored), scored)


def _share(holds: int, features: Sequence[Feature]) -> Estimate:
    """Return a share of features: one value for each, so that they are the independent items the interval wants."""
    method = "wilson over features" if features else "none: no features"
    return replace(wilson_interval(holds, len(features)), method=method)


def _cost(entries: Sequence[Entry]) -> Cost:
    verdicts = sum(entry.status == _SCORED for entry in entries)
    if not verdicts:
        return Cost(None, None, None)
    prices = [entry.usd for entry in entries]
    known = [price for price in prices if price is not None]
    return Cost(
        calls=sum(entry.calls for entry in entries) / verdicts,
        tokens=sum(entry.tokens for entry in entries) / verdicts,
        usd=math.fsum(known) / verdicts if len(known) == len(prices) else None,
    )
