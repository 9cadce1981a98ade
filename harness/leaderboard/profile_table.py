"""Profiles as text for a terminal and as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.identity import plain
from harness.leaderboard.text import aligned, number, percent, safe, with_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.leaderboard.fade import Aspect, FadeProfile, Reading
    from harness.leaderboard.profile import Axis, Profile, Quadrants
    from harness.stats import Estimate

__all__ = ["profile_json", "profile_text"]

_SIDES = (("input", "input fidelity"), ("output", "output fidelity"), (None, "on neither axis"))


def profile_json(found: Sequence[Profile]) -> str:
    """Return everything known of each profile, the value of every feature included, as indented JSON."""
    return json.dumps(plain(found), indent=2, allow_nan=False)


def profile_text(found: Sequence[Profile]) -> str:
    """Return per explanation set and subject the scorers of each axis, then the quadrants."""
    return "\n\n".join(_block(one) for one in found)


def _block(one: Profile) -> str:
    control = " (control)" if one.control is not None else ""
    lines = [f"== {safe(one.explanation_set)}{control}", f"   subject  {safe(one.subject)}"]
    lines += aligned(_scorers(one.axes), left=3)
    if one.quadrants:
        lines += [
            "",
            f"   shares of the shared features, good from {one.threshold:g} of the way from chance to the best",
        ]
        lines += aligned(_quadrants(one.quadrants), left=2)
    lines += [f"   note: {note}" for note in _notes(one)]
    for fade in one.fade:
        lines += ["", *_fade(fade)]
    return "\n".join(lines)


def _scorers(axes: Sequence[Axis]) -> list[list[str]]:
    table = [["axis", "scorer", "metric", "corrected [95%]", "median", "quartiles", "good from", "n", "coverage"]]
    for side, label in _SIDES:
        table += [[label, *_cells(axis)] for axis in axes if axis.side == side]
    return table


def _cells(axis: Axis) -> list[str]:
    mean = axis.corrected
    return [
        safe(axis.scorer),
        safe(axis.metric),
        "-" if mean is None else with_interval(mean.mean, mean.low, mean.high),
        *_spread(axis),
    ]


def _spread(one: Axis | Aspect) -> list[str]:
    """Return the cells of the values as reported: median, quartiles, good from, n, coverage."""
    return [
        number(one.median),
        f"{number(one.lower_quartile)} to {number(one.upper_quartile)}",
        number(one.good_from),
        str(one.n),
        percent(one.n, one.features),
    ]


def _quadrants(found: Sequence[Quadrants]) -> list[list[str]]:
    table = [["input", "output", "shared", "both", "input only", "output only", "neither"]]
    for one in found:
        shares = (one.both, one.input_only, one.output_only, one.neither)
        table.append([safe(one.input), safe(one.output), str(one.shared), *map(_share, shares)])
    return table


def _share(share: Estimate) -> str:
    return with_interval(share.mean, share.low, share.high)


def _fade(one: FadeProfile) -> list[str]:
    """Return the block of FADE's aspects: their values, then what pairs of them say."""
    numbers = "the paper's numbers" if one.form == "paper" else "this harness's numbers"
    judge = "" if one.judge is None else f", judge {safe(one.judge)}"
    table = [["aspect", "scorer", "metric", "median", "quartiles", "good from", "n", "coverage"]]
    table += [[aspect.aspect, safe(aspect.scorer), safe(aspect.metric), *_spread(aspect)] for aspect in one.aspects]
    lines = [f"   FADE, {numbers}{judge}", *aligned(table, left=3)]
    if one.readings:
        said = [["of the shared features", "shared", "share [95%]", "read as"]]
        said += [_reading(reading) for reading in one.readings]
        lines += ["", *_with_words(said)]
    lines += [f"   note: {aspect} was measured by several scorers, so it is in no pair" for aspect in one.ambiguous]
    if any(aspect.good_from is None for aspect in one.aspects):
        lines.append("   note: a number without a chance level calls no feature good, so it is in no pair")
    return lines


def _reading(one: Reading) -> list[str]:
    pair = (one.first, one.first_good), (one.second, one.second_good)
    sides = ", ".join(f"{aspect} {'good' if good else 'not'}" for aspect, good in pair)
    return [sides, str(one.shared), _share(one.share), one.meaning]


def _with_words(table: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table whose last column is words, which begin at its left end."""
    figures = aligned([row[:-1] for row in table], left=1)
    return [f"{line}  {row[-1]}" for line, row in zip(figures, table, strict=True)]


def _notes(one: Profile) -> list[str]:
    notes = [f"{safe(axis.scorer)}: not corrected for chance, {safe(axis.uncorrected)}" for axis in one.axes
             if axis.uncorrected]  # fmt: skip
    notes += [_good_by(axis) for axis in one.axes if axis.side is not None and axis.good_from is None]
    neither = [safe(axis.scorer) for axis in one.axes if axis.side is None]
    if neither:
        notes.append(f"{', '.join(neither)}: on neither axis, as nothing is declared (or was, when the run was made)")
    missing = [label for side, label in _SIDES[:2] if all(axis.side != side for axis in one.axes)]
    notes += [f"no scorer of {label}, so there are no quadrants" for label in missing]
    return notes


def _good_by(axis: Axis) -> str:
    """Return what says which features are good where the primary metric does not."""
    if axis.stand_in is None:
        return f"{safe(axis.scorer)}: in no quadrant, as no metric says from where on a feature is good"
    from_there = f"good from {number(axis.stand_in.good_from)} of '{safe(axis.stand_in.metric)}' on"
    return f"{safe(axis.scorer)}: {from_there}, as '{safe(axis.metric)}' has no best value"
