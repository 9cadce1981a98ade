"""Which rows may be ranked together, and how they rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import ResultsError
from harness.identity import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.results.records import LeaderboardRow

__all__ = ["RankedRow", "differing_fields", "group_by_protocol", "in_words", "rank"]

_SHOWN = 3
"""Most differing fields whose values a message repeats."""

_WIDTH = 40
"""Longest piece of a value that a message repeats."""


@dataclass(frozen=True)
class RankedRow:
    """A row with its place among those of its protocol and subject.

    Attributes:
        rank: 1 for the leader and every set that cannot be told from it and is not beaten by one that can, otherwise
            the place by mean below all that beat it; None where there is no mean.
        tied: Whether the rank is shared.
        row: The row.
    """

    rank: int | None
    tied: bool
    row: LeaderboardRow


def group_by_protocol(rows: Iterable[LeaderboardRow]) -> list[list[LeaderboardRow]]:
    """Return the rows in groups of one protocol, scorer and judge, groups and rows in their order of appearance."""
    groups: dict[tuple[str, str, str | None], list[LeaderboardRow]] = {}
    for row in rows:
        groups.setdefault((row.protocol, row.scorer, row.judge), []).append(row)
    return list(groups.values())


def rank(rows: Sequence[LeaderboardRow]) -> list[RankedRow]:
    """Return the rows ranked within each subject, best first, subjects in their order of appearance.

    Raises:
        ResultsError: If the rows are not all of one protocol; the message names the fields that differ.
    """
    _refuse_mixture(rows)
    by_subject: dict[str, list[LeaderboardRow]] = {}
    for row in rows:
        by_subject.setdefault(row.subject, []).append(row)
    return [ranked for subject_rows in by_subject.values() for ranked in _rank_subject(subject_rows)]


def differing_fields(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """Return the dotted names of the fields in which two protocols differ, sorted; absent differs from null."""
    return [name for name, _, _ in _differences(a, b, "")]


def in_words(a: Mapping[str, Any], b: Mapping[str, Any]) -> str:
    """Return the names of the fields in which ``a`` and ``b`` differ, for an error, the first with both values."""
    found = _differences(a, b, "")
    shown = [f"{name} ({mine[:_WIDTH]} and {theirs[:_WIDTH]})" for name, mine, theirs in found[:_SHOWN]]
    return ", ".join([*shown, *(name for name, _, _ in found[_SHOWN:])])


def _differences(a: Mapping[str, Any], b: Mapping[str, Any], prefix: str) -> list[tuple[str, str, str]]:
    """Return each differing field with its two values as JSON."""
    found: list[tuple[str, str, str]] = []
    for name in sorted({*a, *b}):
        mine, theirs = a.get(name), b.get(name)
        if isinstance(mine, dict) and isinstance(theirs, dict):
            found += _differences(mine, theirs, f"{prefix}{name}.")
            continue
        left = canonical_json(mine) if name in a else "absent"
        right = canonical_json(theirs) if name in b else "absent"
        if left != right:
            found.append((f"{prefix}{name}", left, right))
    return found


def _refuse_mixture(rows: Sequence[LeaderboardRow]) -> None:
    groups = group_by_protocol(rows)
    if len(groups) < 2:  # noqa: PLR2004  -- a mixture takes two
        return
    raise ResultsError(
        "rows of different protocol cannot be ranked together: they differ in "
        f"{in_words(_facts(groups[0][0]), _facts(groups[1][0]))}",
        hint="rank each protocol by itself, or run both with the same settings",
    )


def _facts(row: LeaderboardRow) -> dict[str, Any]:
    """Return the protocol's fields; the names of scorer and judge stand in where it has none."""
    names = {"scorer": row.scorer, "judge": row.judge}
    return {**names, **{name: value for name, value in row.protocol_fields.items() if value is not None}}


def _rank_subject(rows: Sequence[LeaderboardRow]) -> list[RankedRow]:
    order = _ordered([row for row in rows if row.mean is not None])
    leaders = _leaders(order)
    ranks: list[tuple[int | None, LeaderboardRow]] = [
        (1 if row.explanation_set in leaders else place, row) for place, row in enumerate(order, start=1)
    ]
    ranks += [(None, row) for row in rows if row.mean is None]
    places = [place for place, _ in ranks if place is not None]
    return [RankedRow(place, place is not None and places.count(place) > 1, row) for place, row in ranks]


def _ordered(rows: Sequence[LeaderboardRow]) -> list[LeaderboardRow]:
    """Return rows by mean, none above one that beats it: the means may be of different features.

    Where some beat each other in a circle, which takes different features as well, their means decide.
    """
    left = sorted(rows, key=_goodness)
    ordered: list[LeaderboardRow] = []
    while left:
        names = {row.explanation_set for row in left}
        first = next((row for row in left if not names.intersection(row.beaten_by or ())), left[0])
        left.remove(first)
        ordered.append(first)
    return ordered


def _leaders(ordered: Sequence[LeaderboardRow]) -> set[str]:
    """Return the names of those that share rank 1."""
    if not ordered:
        return set()
    first = ordered[0]
    leaders = {first.explanation_set} | {
        row.explanation_set for row in ordered if row.explanation_set in first.tied_with
    }
    others = {row.explanation_set for row in ordered} - leaders
    # Too few shared features with the leader are no reason to stand above a set that is better on the shared ones.
    while beaten := {
        row.explanation_set
        for row in ordered[1:]
        if row.explanation_set in leaders and others.intersection(row.beaten_by or ())
    }:
        leaders -= beaten
        others |= beaten
    return leaders


def _goodness(row: LeaderboardRow) -> tuple[float, str]:
    mean = row.mean if row.ranked_by is None else row.ranked_by
    mean = 0.0 if mean is None else mean
    return (-mean if row.higher_is_better else mean, row.explanation_set)
