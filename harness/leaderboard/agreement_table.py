"""The agreement of scorers as text for a terminal and as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.identity import plain
from harness.leaderboard.text import aligned, safe, signed, with_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.leaderboard.agreement import Agreement, Difference, Pair
    from harness.stats import Correlation

__all__ = ["agreement_json", "agreement_text"]


def agreement_json(found: Sequence[Agreement]) -> str:
    """Return everything known of each agreement as indented JSON."""
    return json.dumps(plain(found), indent=2, allow_nan=False)


def agreement_text(found: Sequence[Agreement]) -> str:
    """Return per explanation set and subject a matrix of all scorers, then every pair with its intervals."""
    return "\n\n".join(_block(one) for one in found)


def _block(one: Agreement) -> str:
    control = " (control)" if one.control is not None else ""
    lines = [
        f"== {safe(one.explanation_set)}{control}",
        f"   subject  {safe(one.subject)}",
        "   Spearman above the diagonal, Pearson below, features with a value on it",
        *aligned(_matrix(one), left=3),
        "",
        *aligned(_pairs(one.pairs), left=2),
        *(f"   note: {note}" for pair in one.pairs for note in _notes(pair)),
        *(line for pair in one.pairs for line in _differing(pair)),
    ]
    return "\n".join(lines)


def _matrix(one: Agreement) -> list[list[str]]:
    measures = one.measures
    between = {(pair.a, pair.b): pair for pair in one.pairs}
    table = [["", "scorer", "metric", *(str(place + 1) for place in range(len(measures)))]]
    for row, mine in enumerate(measures):
        cells = [str(row + 1), safe(mine.label), safe(mine.metric)]
        for column, other in enumerate(measures):
            if row == column:
                cells.append(str(mine.n))
            elif row < column:
                cells.append(signed(between[mine.label, other.label].spearman.value))
            else:
                cells.append(signed(between[other.label, mine.label].pearson.value))
        table.append(cells)
    return table


def _pairs(pairs: Sequence[Pair]) -> list[list[str]]:
    level = f"[{pairs[0].spearman.level * 100:g}%]"
    table = [["a", "b", "shared", "only a", "only b", f"Spearman {level}", f"Pearson {level}"]]
    for pair in pairs:
        counts = [str(count) for count in (pair.shared, pair.only_a, pair.only_b)]
        table.append([safe(pair.a), safe(pair.b), *counts, _with_ends(pair.spearman), _with_ends(pair.pearson)])
    return table


def _with_ends(found: Correlation) -> str:
    return with_interval(found.value, found.low, found.high, difference=True)


def _notes(pair: Pair) -> list[str]:
    """Return what the figures do not say by themselves: explanations that differ, and why something is undefined."""
    names = f"{safe(pair.a)} and {safe(pair.b)}"
    notes = []
    if pair.other_text:
        notes.append(f"{names} scored different explanations of {pair.other_text} of the features, not paired")
    reasons = [found.method.removeprefix("none: ") for found in (pair.spearman, pair.pearson) if found.low is None]
    notes += [f"{names}: no interval, {reason}" for reason in dict.fromkeys(reasons)]
    return notes


def _differing(pair: Pair) -> list[str]:
    if not pair.differ_most:
        return []
    shown = ", ".join(_difference(one) for one in pair.differ_most)
    return [f"   {safe(pair.a)} and {safe(pair.b)} differ most (feature: rank by each): {shown}"]


def _difference(one: Difference) -> str:
    return f"{one.feature}: {one.rank_a:g}/{one.rank_b:g}"
