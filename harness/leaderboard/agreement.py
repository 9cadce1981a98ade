"""How far scorers agree: correlations over the features that both scored, never an average over unlike scales.

Two scorers measure the same thing twice only if they saw the same explanation of the same feature, on examples drawn in
the same way. So the corpus, the examples, the root seed and the subjects must be equal, explanations are matched by
their digest, and scorer, judge and embedder are what is compared. Which features a run chose does not matter: only
shared ones are paired.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from harness.errors import ResultsError, UnknownNameError
from harness.leaderboard.collect import collect
from harness.leaderboard.compare import in_words
from harness.results.manifest import read_manifest
from harness.results.runfolder import RunPaths
from harness.stats import average_ranks, pearson_interval, spearman_interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from harness.leaderboard.collect import Group
    from harness.stats import Correlation

__all__ = [
    "Agreement",
    "Difference",
    "Measure",
    "Pair",
    "agreements",
    "refuse_other_protocols",
    "refuse_other_subjects",
]

_MUST_BE_EQUAL = ("corpus", "examples", "seed")
"""Fields of a protocol; the others are the scorer's own, or choose features."""

_SUBJECT_FACTS = ("identity", "activations", "examples")
"""Facts of a subject that tell one from another of the same name."""

_MOST = 5
"""Features named of those on which two scorers differ most."""


_Values = dict[int, tuple[str | None, float]]
"""By feature: the explanation's digest, and how good it was found."""


@dataclass(frozen=True)
class Measure:
    """One scorer's values of an explanation set on a subject.

    Attributes:
        label: The scorer's name, with the beginning of its protocol where several are of that name.
        scorer: Its name.
        version: Its version.
        judge: The judge, None if it asks none.
        metric: Its primary metric.
        higher_is_better: Which way the metric points. Where lower is better, ranks and correlations are of its
            negative, so that a positive correlation always means agreement on what is good.
        protocol: Fingerprint.
        n: Features with a value.
    """

    label: str
    scorer: str
    version: int
    judge: str | None
    metric: str
    higher_is_better: bool
    protocol: str
    n: int


@dataclass(frozen=True)
class Difference:
    """A feature on which two scorers differ: their values, and its rank by each among the shared ones, 1 the best."""

    feature: int
    a: float
    b: float
    rank_a: float
    rank_b: float


@dataclass(frozen=True)
class Pair:
    """Two scorers beside each other.

    Attributes:
        a: Label of the one.
        b: Label of the other.
        shared: Features for which both have a value of the same explanation.
        only_a: Features for which ``a`` has a value and ``b`` has none.
        only_b: The reverse.
        other_text: Features for which both have a value, but of different explanations; they are not paired.
        spearman: Correlation of ranks.
        pearson: Correlation of values.
        differ_most: Shared features with the largest differences in rank, largest first.
    """

    a: str
    b: str
    shared: int
    only_a: int
    only_b: int
    other_text: int
    spearman: Correlation
    pearson: Correlation
    differ_most: tuple[Difference, ...]


@dataclass(frozen=True)
class Agreement:
    """All scorers of one explanation set on one subject, and every pair of them."""

    subject: str
    explanation_set: str
    control: str | None
    measures: tuple[Measure, ...]
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class _Column:
    """A measure with its values."""

    measure: Measure
    values: _Values


def agreements(
    runs: Sequence[Path], *, sets: Iterable[str] = (), scorers: Iterable[str] = (), seed: int = 0
) -> list[Agreement]:
    """Return how far the scorers of ``runs`` agree, per subject and explanation set, both in order of name.

    Args:
        runs: Folders of runs.
        sets: Only these explanation sets; by default all but controls.
        scorers: Only these scorers, in this order; by default all, in order of name.
        seed: Root of the draws of the intervals.

    Raises:
        ResultsError: If a run cannot be read, the runs may not be compared, or no two scorers share a set.
        UnknownNameError: If a set or scorer is in none of the runs.
    """
    groups = _chosen(collect(runs), tuple(dict.fromkeys(scorers)))
    wanted = frozenset(sets)
    known = {scored.name for group in groups for scored in group.sets}
    for name in sorted(wanted - known):
        raise UnknownNameError("explanation set", name, known)
    refuse_other_protocols(groups)
    refuse_other_subjects(runs)
    found = []
    for (subject, name, control), columns in sorted(_columns(groups).items(), key=lambda item: str(item[0])):
        if len(columns) > 1 and (name in wanted if wanted else control is None):
            measures = tuple(column.measure for column in columns)
            pairs = tuple(_pair(a, b, seed) for a, b in combinations(columns, 2))
            found.append(Agreement(subject, name, control, measures, pairs))
    if not found:
        raise ResultsError(
            "no two scorers have scored the same explanation set on the same subject",
            hint="name runs of the same explanations by different scorers",
        )
    return found


def _chosen(groups: Sequence[Group], scorers: Sequence[str]) -> list[Group]:
    """Return the groups of ``scorers`` in that order; of all in order of name where none is given."""
    known = {group.scorer for group in groups}
    for name in scorers:
        if name not in known:
            raise UnknownNameError("scorer of these runs", name, known)
    order = scorers or sorted(known)
    kept = [group for group in groups if group.scorer in order]
    return sorted(kept, key=lambda group: (order.index(group.scorer), group.protocol, group.facts.judge or ""))


def refuse_other_protocols(groups: Sequence[Group]) -> None:
    """Refuse scores on another corpus, other examples or another seed.

    Raises:
        ResultsError: If there are such; the message names the fields that differ.
    """
    facts = [{name: group.fields.get(name) for name in _MUST_BE_EQUAL} for group in groups]
    for group, mine in zip(groups, facts, strict=True):
        if mine != facts[0]:
            raise ResultsError(
                f"scores of '{groups[0].scorer}' and '{group.scorer}' cannot be compared: their protocols differ in "
                f"{in_words(facts[0], mine)}",
                hint="name only runs on the same corpus, examples and seed, or choose scorers with --scorers",
            )


def refuse_other_subjects(runs: Sequence[Path]) -> None:
    """Refuse runs in which one name stands for different subjects.

    Raises:
        ResultsError: If there are such; the message names the facts that differ.
    """
    known: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for path in runs:
        manifest = read_manifest(RunPaths(path).manifest)
        for name, facts in manifest.subjects.items():
            mine = {fact: facts.get(fact) for fact in _SUBJECT_FACTS}
            run, others = known.setdefault(name, (manifest.run_id, mine))
            if mine != others:
                raise ResultsError(
                    f"subject '{name}' is not the same in {run} and {manifest.run_id}: it differs in "
                    f"{in_words(others, mine)}",
                    hint="name only runs on the same subject",
                )


def _columns(groups: Sequence[Group]) -> dict[tuple[str, str, str | None], list[_Column]]:
    """Return the measures of every subject, set and control, in the order of ``groups``."""
    found: dict[tuple[str, str, str | None], list[tuple[Group, _Values]]] = {}
    for group in groups:
        sign = 1.0 if group.metric.higher_is_better else -1.0
        for scored in group.sets:
            by_subject: dict[str, _Values] = {}
            for (subject, feature), entry in scored.cell.entries.items():
                values = by_subject.setdefault(subject, {})
                if entry.value is not None:
                    values[feature] = (entry.explanation, sign * entry.value)
            for subject, values in by_subject.items():
                found.setdefault((subject, scored.name, scored.cell.control), []).append((group, values))
    return {
        key: [
            _Column(_measure(group, label, len(values)), values)
            for label, (group, values) in zip(_labels([group for group, _ in parts]), parts, strict=True)
        ]
        for key, parts in found.items()
    }


def _labels(groups: Sequence[Group]) -> list[str]:
    """Return a distinct name for every group: the scorer's, with as much of its protocol and judge as it takes."""
    names = [group.scorer for group in groups]
    longer = [f"{group.scorer}@{group.protocol[:8]}" for group in groups]
    longest = [f"{name} ({group.facts.judge})" for name, group in zip(longer, groups, strict=True)]
    short, middle = Counter(names), Counter(longer)
    return [
        name if short[name] == 1 else more if middle[more] == 1 else most
        for name, more, most in zip(names, longer, longest, strict=True)
    ]


def _measure(group: Group, label: str, n: int) -> Measure:
    return Measure(
        label=label,
        scorer=group.scorer,
        version=group.version,
        judge=group.facts.judge,
        metric=group.metric.name,
        higher_is_better=group.metric.higher_is_better,
        protocol=group.protocol,
        n=n,
    )


def _pair(a: _Column, b: _Column, seed: int) -> Pair:
    both = sorted(a.values.keys() & b.values.keys())
    shared = [feature for feature in both if a.values[feature][0] == b.values[feature][0]]
    left = {feature: a.values[feature][1] for feature in shared}
    right = {feature: b.values[feature][1] for feature in shared}
    return Pair(
        a=a.measure.label,
        b=b.measure.label,
        shared=len(shared),
        only_a=len(a.values) - len(both),
        only_b=len(b.values) - len(both),
        other_text=len(both) - len(shared),
        spearman=spearman_interval(left, right, seed=seed),
        pearson=pearson_interval(left, right, seed=seed),
        differ_most=_differ_most(a, b, left, right),
    )


def _differ_most(
    a: _Column, b: _Column, left: Mapping[int, float], right: Mapping[int, float]
) -> tuple[Difference, ...]:
    best_first = [average_ranks([-value for value in values.values()]) for values in (left, right)]
    found = [
        Difference(feature, _as_reported(a, value), _as_reported(b, right[feature]), rank_a, rank_b)
        for (feature, value), rank_a, rank_b in zip(left.items(), *best_first, strict=True)
        if rank_a != rank_b
    ]
    return tuple(sorted(found, key=lambda one: (-abs(one.rank_a - one.rank_b), one.feature))[:_MOST])


def _as_reported(column: _Column, value: float) -> float:
    return value if column.measure.higher_is_better else -value
