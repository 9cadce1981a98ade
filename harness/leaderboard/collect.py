"""Reads the scores of runs, line by line, into what the rows of a leaderboard are computed from.

Of each line only the numbers are kept (about 0.3 kB), so hundreds of thousands of lines fit in little memory.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from sys import intern
from typing import TYPE_CHECKING, Any

from harness.errors import ResultsError
from harness.outcome import Outcome
from harness.results.jsonl import read_lines
from harness.results.manifest import read_manifest
from harness.results.records import ExplanationLine, ScoreLine
from harness.results.runfolder import RunPaths

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from harness.results.manifest import Manifest, MetricFacts, ScorerFacts

__all__ = ["Cell", "Entry", "Feature", "Group", "ScoredSet", "collect"]

_SCORED = "scored"

Feature = tuple[str, int]
"""A subject and the index of one of its features."""


Taken = tuple[int, float | None]
"""Tokens and dollars; None for dollars that are not known."""

ItemCounts = tuple[tuple[str, int], ...]
"""How many items had each outcome."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one score line says in numbers, and of which text.

    ``others`` are the values of ``Group.secondary``, in that order; ``explanation`` is the text's digest.
    """

    unit: str
    explanation: str | None
    status: str
    value: float | None
    others: tuple[float | None, ...]
    calls: int
    tokens: int
    usd: float | None
    items: ItemCounts

    @property
    def measured(self) -> tuple[Any, ...]:
        """Return what two lines of one unit must agree in."""
        return (self.status, self.value, self.others)


@dataclass
class Cell:
    """An explanation set's entries under one protocol, and the runs they are from.

    Attributes:
        control: See ``ScoreLine``.
        entries: What was scored.
        explaining: Usage of writing each feature's explanation.
        runs: Ids of the runs.
    """

    control: str | None
    entries: dict[Feature, Entry] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    explaining: dict[Feature, Taken] = field(default_factory=dict)


@dataclass
class ScoredSet:
    """One explanation set under one protocol. ``name`` carries a run id where runs gave one name to different sets."""

    name: str
    explainer_model: str | None
    cell: Cell


@dataclass
class Group:
    """Everything scored under one protocol: by one scorer with one judge.

    Attributes:
        protocol: Fingerprint.
        fields: What it is the fingerprint of.
        scorer: The scorer's name.
        version: The scorer's version.
        facts: What the manifest says of the scorer.
        metric: Facts of the primary metric.
        secondary: Names of the other metrics.
        sets: The explanation sets.
    """

    protocol: str
    fields: dict[str, Any]
    scorer: str
    version: int
    facts: ScorerFacts
    metric: MetricFacts
    secondary: tuple[str, ...]
    sets: list[ScoredSet] = field(default_factory=list)

    def learn(self, facts: ScorerFacts) -> None:
        """Take from another run's facts what the plugin declares and the run seen first may be too old to record."""
        self.facts = replace(
            self.facts,
            fidelity=self.facts.fidelity or facts.fidelity,
            aspect=self.facts.aspect or facts.aspect,
        )
        if any(metric.published for metric in facts.metrics if metric.name == self.metric.name):
            self.metric = replace(self.metric, published=True)


def collect(runs: Iterable[Path]) -> list[Group]:
    """Return everything scored in ``runs``, grouped by protocol, scorer and judge, runs of the same set merged.

    A unit that several runs have is counted once. Where runs have different explanations under one set name, they stay
    apart, each named ``name@run``.

    Raises:
        ResultsError: If a run cannot be read, is inconsistent with its manifest, or two runs give different values for
            the same unit.
    """
    groups: dict[tuple[str, str, str | None], Group] = {}
    for path in runs:
        paths = RunPaths(path)
        manifest = read_manifest(paths.manifest)
        for key, cells in _read_run(paths, manifest, groups).items():
            for name, cell in cells.items():
                _merge(groups[key], name, cell, manifest)
            groups[key].learn(manifest.scorers[key[1]])
    for group in groups.values():
        _name_apart(group.sets)
    return list(groups.values())


def _read_run(
    paths: RunPaths, manifest: Manifest, groups: dict[tuple[str, str, str | None], Group]
) -> dict[tuple[str, str, str | None], dict[str, Cell]]:
    """Return the cells of one run by group and set name, making the groups that are new."""
    cells: dict[tuple[str, str, str | None], dict[str, Cell]] = {}
    coverages: dict[ItemCounts, ItemCounts] = {}
    explaining = _explaining(paths)
    # A last line without its newline is not committed: a run may be writing it at this moment.
    for line in read_lines(paths.scores, ScoreLine, ignore_torn=True):
        facts = manifest.scorers.get(line.scorer)
        if facts is None or line.protocol not in manifest.protocols:
            missing = f"scorer '{line.scorer}'" if facts is None else f"protocol '{line.protocol}'"
            raise ResultsError(f"the manifest does not describe {missing}, which scores name", where=str(paths.path))
        key = (line.protocol, line.scorer, facts.judge)
        if key not in groups:
            groups[key] = _group(line, facts, manifest, paths)
        sets = cells.setdefault(key, {})
        if line.explanation_set not in sets:
            taken = explaining.get(line.explanation_set, {})
            sets[line.explanation_set] = Cell(line.control, runs=[manifest.run_id], explaining=taken)
        cell = sets[line.explanation_set]
        feature = (intern(line.subject), line.feature)
        entry = _entry(line, groups[key], coverages)
        known = cell.entries.get(feature)
        cell.entries[feature] = entry if known is None else _better(known, entry, feature, cell.runs, cell.runs)
    return cells


def _explaining(paths: RunPaths) -> dict[str, dict[Feature, Taken]]:
    """Return what writing each explanation of a run took, by explanation set."""
    taken: dict[str, dict[Feature, Taken]] = {}
    for line in read_lines(paths.explanations, ExplanationLine, ignore_torn=True):
        usage = line.usage
        feature = (intern(line.subject), line.feature)
        taken.setdefault(line.explanation_set, {})[feature] = (usage.input_tokens + usage.output_tokens, usage.usd)
    return taken


def _group(line: ScoreLine, facts: ScorerFacts, manifest: Manifest, paths: RunPaths) -> Group:
    metrics = {metric.name: metric for metric in facts.metrics}
    if line.primary_metric not in metrics:
        raise ResultsError(
            f"the manifest does not describe metric '{line.primary_metric}' of scorer '{line.scorer}'",
            where=str(paths.manifest),
        )
    return Group(
        protocol=line.protocol,
        fields=manifest.protocols[line.protocol],
        scorer=line.scorer,
        version=line.scorer_version,
        facts=facts,
        metric=metrics[line.primary_metric],
        secondary=tuple(name for name in metrics if name != line.primary_metric),
    )


def _entry(line: ScoreLine, group: Group, coverages: dict[ItemCounts, ItemCounts]) -> Entry:
    """Return the numbers of a line. Texts and coverages that many lines share are kept once.

    A failed unit has no value: what it measured, of the questions that did not fail, is on its line to be looked at.
    """
    items = tuple(line.coverage.items())
    measured = line.metrics if line.status == _SCORED else {}
    return Entry(
        unit=line.unit,
        explanation=None if line.explanation_digest is None else intern(line.explanation_digest),
        status=intern(line.status),
        value=measured.get(group.metric.name),
        others=tuple(measured.get(name) for name in group.secondary),
        calls=line.usage.calls,
        tokens=line.usage.input_tokens + line.usage.output_tokens,
        usd=line.usage.usd,
        items=coverages.setdefault(items, items),
    )


def _merge(group: Group, name: str, cell: Cell, manifest: Manifest) -> None:
    """Add a run's cell to the set it belongs to, or as a set of its own if it differs from all of that name."""
    facts = manifest.explanation_sets.get(name)
    model = facts.explainer_model if facts else None
    for candidate in group.sets:
        same_set = (candidate.name, candidate.explainer_model, candidate.cell.control) == (name, model, cell.control)
        if same_set and _compatible(candidate.cell, cell):
            _absorb(candidate.cell, cell)
            return
    group.sets.append(ScoredSet(name, model, cell))


def _compatible(mine: Cell, other: Cell) -> bool:
    """Return whether the features that both scored are the same units."""
    for feature, entry in other.entries.items():
        known = mine.entries.get(feature)
        if known and known.unit != entry.unit and known.status == entry.status == _SCORED:
            return False
    return True


def _absorb(mine: Cell, other: Cell) -> None:
    for feature, entry in other.entries.items():
        known = mine.entries.get(feature)
        mine.entries[feature] = entry if known is None else _better(known, entry, feature, mine.runs, other.runs)
    mine.explaining = {**other.explaining, **mine.explaining}
    mine.runs += [run for run in other.runs if run not in mine.runs]


def _better(known: Entry, entry: Entry, feature: Feature, known_runs: Sequence[str], runs: Sequence[str]) -> Entry:
    """Return which of two entries of one feature to keep: one that was scored, and of two the one with more answers.

    The same unit can come out differently in two runs without anybody's fault: a question that failed in one may have
    been answered in the other.

    Raises:
        ResultsError: If both were scored, are the same unit, rest on the same answers and differ all the same.
    """
    if known.status != _SCORED or entry.status != _SCORED:
        return known if known.status == _SCORED or entry.status == "error" else entry
    if known.unit != entry.unit:
        return entry  # within a run only: the later line is of its present plan
    if known.items != entry.items:
        return max(known, entry, key=_answered)
    if known.measured != entry.measured:
        raise ResultsError(
            f"two values for the same unit {known.unit} ({feature[0]} feature {feature[1]}): {known.value} in "
            f"{', '.join(known_runs)} and {entry.value} in {', '.join(runs)}",
            hint="move one of the two runs out of the results folder",
        )
    return known


def _answered(entry: Entry) -> int:
    return dict(entry.items).get(Outcome.OK, 0)


def _name_apart(sets: Sequence[ScoredSet]) -> None:
    """Add the first run's id to the names that several different sets have."""
    shared = Counter(scored.name for scored in sets)
    for scored in sets:
        if shared[scored.name] > 1:
            scored.name = f"{scored.name}@{scored.cell.runs[0]}"
