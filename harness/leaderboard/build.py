"""Computes the rows of a leaderboard from the records of runs."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING

from harness.errors import ResultsError
from harness.leaderboard.collect import collect
from harness.leaderboard.store import row_order
from harness.results.records import IntervalLine, LeaderboardRow, MarginLine
from harness.stats import mean_interval, paired_interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from harness.leaderboard.collect import Entry, Feature, Group, ScoredSet
    from harness.stats import Estimate

__all__ = ["ALL_SUBJECTS", "build_rows"]

ALL_SUBJECTS = "*"
"""The subject of a row over all subjects of a protocol."""

UNDEFINED = "undefined"
"""Status of a feature that was scored but whose primary metric is undefined."""


def build_rows(runs: Sequence[Path]) -> list[LeaderboardRow]:
    """Return the rows of a leaderboard over ``runs``, in the leaderboard's order.

    One row per protocol, subject, explanation set, scorer and judge; where a protocol has several subjects, also one
    over all of them for each set that has scores on all. Means are over features; a feature that failed, has no
    explanation or an undefined metric is counted in the coverage and never enters a mean.

    Args:
        runs: Folders of runs.

    Raises:
        ResultsError: If a run cannot be read, is inconsistent, lies outside its metric's range, or contradicts another.
    """
    rows = [row for group in collect(runs) for row in _group_rows(group)]
    return sorted(rows, key=row_order)


@dataclass(frozen=True)
class _Slice:
    """An explanation set's entries on one subject, or on all."""

    scored: ScoredSet
    entries: dict[Feature, Entry]

    @property
    def name(self) -> str:
        """Return the set's name."""
        return self.scored.name

    @property
    def values(self) -> dict[Feature, float]:
        """Return the primary metric of every feature that has one."""
        return {feature: entry.value for feature, entry in self.entries.items() if entry.value is not None}

    @property
    def undefined(self) -> list[Feature]:
        """Return the features that were scored and have no value."""
        return [feature for feature, entry in self.entries.items() if entry.status == "scored" and entry.value is None]


def _group_rows(group: Group) -> list[LeaderboardRow]:
    rows = []
    for subject, slices in _slices(group).items():
        differences = _Differences(group, slices)
        rows += [_row(group, subject, part, slices, differences) for part in slices]
    return rows


def _slices(group: Group) -> dict[str, list[_Slice]]:
    """Return the sets of every subject, then those that have all subjects."""
    per_set: list[tuple[ScoredSet, dict[str, dict[Feature, Entry]]]] = []
    slices: dict[str, list[_Slice]] = {}
    for scored in group.sets:
        by_subject: dict[str, dict[Feature, Entry]] = {}
        for feature, entry in scored.cell.entries.items():
            by_subject.setdefault(feature[0], {})[feature] = entry
        per_set.append((scored, by_subject))
        for subject, entries in by_subject.items():
            slices.setdefault(subject, []).append(_Slice(scored, entries))
    n_subjects = len(slices)
    if n_subjects > 1:
        # A mean over some of the subjects would be ranked beside means over others.
        complete = [scored for scored, by_subject in per_set if len(by_subject) == n_subjects]
        if complete:
            slices[ALL_SUBJECTS] = [_Slice(scored, scored.cell.entries) for scored in complete]
    return slices


class _Differences:
    """Paired differences between the sets of one protocol and subject.

    For ranking, and for nothing else, a set that was scored on a feature without a value there counts as chance if
    another set has a value: it is the explanation that left nothing to measure, and to drop the feature would reward
    that. A set without any value has no rank, so nothing of it is filled in.
    """

    def __init__(self, group: Group, slices: Sequence[_Slice]) -> None:
        self._low, self._high = _range(group)
        self._sign = 1.0 if group.metric.higher_is_better else -1.0
        self._where = f"scorer '{group.scorer}', metric '{group.metric.name}'"
        self._values = {id(part.scored): part.values for part in slices}
        known = {feature for values in self._values.values() for feature in values}
        chance = group.metric.chance
        self._filled = {
            id(part.scored): {}
            if chance is None or not self._values[id(part.scored)]
            else {feature: chance for feature in part.undefined if feature in known}
            for part in slices
        }

    def mean(self, part: _Slice) -> Estimate:
        """Return the mean of one set with its interval."""
        try:
            return mean_interval(list(self._values[id(part.scored)].values()), self._low, self._high)
        except ValueError as error:
            raise ResultsError(
                f"{error}", where=self._where, hint="the scorer gives values outside the range it declares"
            ) from error

    def between(self, part: _Slice, other: _Slice) -> Estimate:
        """Return the mean of ``part`` minus ``other`` over the features both have, with its interval."""
        mine, theirs = self._values[id(part.scored)], self._values[id(other.scored)]
        return paired_interval(mine, theirs, self._low, self._high)

    def at_chance(self, part: _Slice) -> int:
        """Return how many features without a value count as chance."""
        return len(self._filled[id(part.scored)])

    def ranked_by(self, part: _Slice) -> float | None:
        """Return the mean with these; None where there are none."""
        return fmean(self._ranked(part).values()) if self.at_chance(part) else None

    def verdict(self, part: _Slice, other: _Slice) -> int:
        """Return 1 where ``part`` beats ``other``, -1 where it is beaten, 0 where the two cannot be told apart."""
        difference = paired_interval(self._ranked(part), self._ranked(other), self._low, self._high)
        low, high = difference.low, difference.high
        if low is None or high is None or low <= 0 <= high:
            return 0
        return 1 if low * self._sign > 0 else -1

    def _ranked(self, part: _Slice) -> dict[Feature, float]:
        return self._values[id(part.scored)] | self._filled[id(part.scored)]


def _row(
    group: Group, subject: str, part: _Slice, slices: Sequence[_Slice], differences: _Differences
) -> LeaderboardRow:
    scored, metric = part.scored, group.metric
    estimate = differences.mean(part)
    margins = _margins(part, slices, differences)
    values = part.values
    done = [entry for entry in part.entries.values() if entry.status == "scored"]
    explaining = scored.cell.explaining
    taken = [explaining[feature] for feature in part.entries if feature in explaining]
    written = [usd for _, usd in taken]
    verdicts = {other.name: differences.verdict(part, other) for other in slices if other is not part}
    return LeaderboardRow(
        protocol=group.protocol,
        protocol_fields=group.fields,
        subject=subject,
        explanation_set=scored.name,
        control=scored.cell.control,
        explainer_model=scored.explainer_model,
        scorer=group.scorer,
        scorer_version=group.version,
        judge=group.facts.judge,
        metric=metric.name,
        chance=metric.chance,
        higher_is_better=metric.higher_is_better,
        n=estimate.n,
        mean=estimate.mean,
        se=estimate.se,
        interval=_interval(estimate),
        median=median(values.values()) if values else None,
        secondary={name: _mean(entry.others[index] for entry in done) for index, name in enumerate(group.secondary)},
        margins=margins,
        features_coverage=_statuses(part.entries.values()),
        items_coverage=_items(part.entries.values()),
        tokens_per_feature=_per(len(done), [entry.tokens for entry in part.entries.values()]),
        usd_per_feature=_per(len(done), [entry.usd for entry in part.entries.values()]),
        explainer_tokens_per_feature=_mean(tokens for tokens, _ in taken),
        explainer_usd_per_feature=None if None in written else _mean(written),
        distinguishes_controls=_distinguishes(margins, higher_is_better=metric.higher_is_better),
        tied_with=sorted(name for name, verdict in verdicts.items() if verdict == 0),
        beaten_by=sorted(name for name, verdict in verdicts.items() if verdict < 0),
        counted_as_chance=differences.at_chance(part) or None,
        ranked_by=differences.ranked_by(part),
        run_ids=sorted(scored.cell.runs),
    )


def _range(group: Group) -> tuple[float, float]:
    low, high = group.metric.low, group.metric.high
    return (-math.inf if low is None else low, math.inf if high is None else high)


def _margins(part: _Slice, slices: Sequence[_Slice], differences: _Differences) -> list[MarginLine]:
    """Return a real set's margin over every control that was scored beside it in one of its runs."""
    if part.scored.cell.control is not None:
        return []
    runs = set(part.scored.cell.runs)
    margins = []
    for other in slices:
        cell = other.scored.cell
        if cell.control is not None and runs.intersection(cell.runs):
            estimate = differences.between(part, other)
            margins.append(
                MarginLine(
                    control=cell.control,
                    n=estimate.n,
                    mean=estimate.mean,
                    se=estimate.se,
                    interval=_interval(estimate),
                )
            )
    return sorted(margins, key=lambda margin: margin.control)


def _distinguishes(margins: Sequence[MarginLine], *, higher_is_better: bool) -> bool | None:
    """Return whether every margin lies on the better side of 0; None where that cannot be known."""
    near_ends = [margin.interval.low if higher_is_better else margin.interval.high for margin in margins]
    known = [end for end in near_ends if end is not None]
    if any((end <= 0) if higher_is_better else (end >= 0) for end in known):
        return False
    return True if margins and len(known) == len(margins) else None


def _interval(estimate: Estimate) -> IntervalLine:
    return IntervalLine(level=estimate.level, low=estimate.low, high=estimate.high, method=estimate.method)


def _statuses(entries: Iterable[Entry]) -> dict[str, int]:
    counts = Counter(
        UNDEFINED if entry.status == "scored" and entry.value is None else entry.status for entry in entries
    )
    return dict(sorted(counts.items()))


def _items(entries: Iterable[Entry]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for entry in entries:
        counts.update(dict(entry.items))
    return dict(sorted(counts.items()))


def _mean(values: Iterable[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return fmean(defined) if defined else None


def _per(obtained: int, spent: Sequence[float | None]) -> float | None:
    """Return all that was spent, also on features that failed, per score obtained; None where either is unknown."""
    known = [value for value in spent if value is not None]
    return math.fsum(known) / obtained if obtained and len(known) == len(spent) else None
