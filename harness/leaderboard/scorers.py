"""Ranks scorers by what they make of planted explanations, whose order is known: which scorer tells which from which.

The other way round from a leaderboard of explanations: there the scorer is trusted and explanations are compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import fmean
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
_SEED = 0


@dataclass(frozen=True, slots=True)
class Cost:
    """What one verdict, the score of one explanation of one feature, takes on average; None in dollars if unknown."""

    calls: float
    tokens: float
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
        auroc: AUROC of the true explanations over each distortion, over features' scores.
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
    scores: Mapping[str, Estimate]
    auroc: Mapping[str, Estimate]
    steps: Mapping[str, Estimate]
    order_kept: Estimate
    cost: Cost
    verdicts: int
    undefined: int


def report_scorers(runs: Sequence[Path]) -> list[ScorerReport]:
    """Return a report on every scorer of ``runs`` for every subject with planted explanations, best first.

    Best is who tells true explanations from those of other features best, then who keeps the order most often.

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
    return (report.subject, -(told.mean or 0.0), -(report.order_kept.mean or 0.0), report.scorer, report.protocol)


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
    done = [entry for entry in entries if entry.status == "scored"]
    steps = [step for step in STEPS if step[0] in sets and step[1] in sets]
    return ScorerReport(
        subject=subject,
        scorer=group.scorer,
        version=group.version,
        judge=group.facts.judge,
        protocol=group.protocol,
        metric=metric.name,
        chance=metric.chance,
        scores={name: mean_interval(list(values[name].values()), low, high) for name in ordered},
        auroc={name: separation(turned[TRUE], turned[name], seed=_SEED) for name in ordered if name != TRUE},
        steps={f"{upper} > {lower}": _kept(turned, [(upper, lower)]) for upper, lower in steps},
        order_kept=_kept(turned, steps),
        cost=_cost(done),
        verdicts=len(entries),
        undefined=sum(entry.value is None for entry in entries),
    )


def _values(entries: Mapping[Feature, Entry]) -> dict[Feature, float]:
    return {feature: entry.value for feature, entry in entries.items() if entry.value is not None}


def _kept(values: Mapping[str, Mapping[Feature, float]], steps: Sequence[tuple[str, str]]) -> Estimate:
    """Return the share of the features, among those with a score in every set named, for which all steps hold."""
    named = [values[name] for step in steps for name in step]
    shared = [feature for feature in (named[0] if named else ()) if all(feature in scored for scored in named)]
    kept = sum(all(values[upper][one] > values[lower][one] for upper, lower in steps) for one in shared)
    # One value for each feature, so that features are the independent items that the interval wants.
    return replace(wilson_interval(kept, len(shared)), method="wilson over features" if shared else "none: no features")


def _cost(done: Sequence[Entry]) -> Cost:
    if not done:
        return Cost(0.0, 0.0, 0.0)
    prices = [entry.usd for entry in done]
    known = [price for price in prices if price is not None]
    return Cost(
        calls=fmean(entry.calls for entry in done),
        tokens=fmean(entry.tokens for entry in done),
        usd=fmean(known) if len(known) == len(prices) else None,
    )
