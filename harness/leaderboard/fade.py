"""The four sides from which FADE looks at an explanation, beside each other, and what two of them say together.

FADE (Puri et al. 2025, arXiv 2502.16994) holds clarity, responsiveness, purity and faithfulness against each other to
find out why an explanation and its feature do not fit. What each pair is read as follows from the definitions; the
words are ours. Nothing is averaged over the four. Which scorer measures which is what its plugin declared when the run
was made; a scorer of which nothing is recorded is in no profile here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.leaderboard.measured import goods_of
from harness.registry.aspects import ASPECTS, CLARITY, FAITHFULNESS, PURITY, RESPONSIVENESS
from harness.stats import wilson_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.leaderboard.measured import Measured
    from harness.leaderboard.profile import Axis
    from harness.stats import Estimate

__all__ = ["Aspect", "FadeProfile", "Reading", "fade_profiles"]

_READINGS: Mapping[tuple[str, str], Mapping[tuple[bool, bool], str]] = {
    (CLARITY, RESPONSIVENESS): {
        (True, True): "names what the feature responds to",
        (True, False): "fits written texts only: too broad, or seldom met",
        (False, True): "fits natural texts only: too vague to write from",
        (False, False): "does not name what the feature responds to",
    },
    (RESPONSIVENESS, PURITY): {
        (True, True): "the feature responds to it and to little else",
        (True, False): "the feature responds to more: too narrow, or several meanings",
        (False, True): "the feature responds to a part of it: too broad",
        (False, False): "the feature responds to something else",
    },
    (RESPONSIVENESS, FAITHFULNESS): {
        (True, True): "the feature reads it and writes it",
        (True, False): "the feature reads it and does not write it",
        (False, True): "the feature writes it and does not read it",
        (False, False): "the feature neither reads nor writes it",
    },
}


@dataclass(frozen=True)
class Aspect:
    """One of the four, as one scorer measured it; the fields are those of ``harness.leaderboard.profile.Axis``."""

    aspect: str
    scorer: str
    metric: str
    n: int
    features: int
    median: float | None
    lower_quartile: float | None
    upper_quartile: float | None
    good_from: float | None


@dataclass(frozen=True)
class Reading:
    """What two aspects say together, and of which features they say it.

    Attributes:
        first: One aspect.
        second: The other one.
        first_good: Whether it is good by the first.
        second_good: Whether it is good by the second.
        meaning: What that is read as.
        shared: Features for which both have a value of the same text.
        share: Share of these of which it is so, with Wilson's interval.
    """

    first: str
    second: str
    first_good: bool
    second_good: bool
    meaning: str
    shared: int
    share: Estimate


@dataclass(frozen=True)
class FadeProfile:
    """The aspects that one judge measured of an explanation set, in one form.

    Attributes:
        judge: The judge.
        form: ``ours`` or ``paper``: which numbers the scorers rank by, as their metrics declare (``published``).
        aspects: What was measured, in the paper's order of the aspects.
        readings: Four for each pair of aspects that says something and has shared features; none for a pair of which
            an aspect was measured by several scorers.
        ambiguous: The aspects that were measured by several scorers.
    """

    judge: str | None
    form: str
    aspects: tuple[Aspect, ...]
    readings: tuple[Reading, ...]
    ambiguous: tuple[str, ...]


def fade_profiles(measured: Sequence[Measured]) -> tuple[FadeProfile, ...]:
    """Return the profiles of one explanation set on one subject, by judge and form, of at least two aspects each."""
    found: dict[tuple[str, str | None], dict[str, list[Measured]]] = {}
    for aspect in ASPECTS:
        for one in sorted((one for one in measured if one.aspect == aspect), key=lambda one: one.axis.scorer):
            form = "paper" if one.published else "ours"
            found.setdefault((form, one.axis.judge), {}).setdefault(aspect, []).append(one)
    return tuple(
        _profile(form, judge, parts)
        for (form, judge), parts in sorted(found.items(), key=lambda item: str(item[0]))
        if len(parts) > 1
    )


def _profile(form: str, judge: str | None, parts: Mapping[str, Sequence[Measured]]) -> FadeProfile:
    single = {aspect: ones[0] for aspect, ones in parts.items() if len(ones) == 1}
    readings: list[Reading] = []
    for (first, second), meanings in _READINGS.items():
        if first in single and second in single:
            readings += _readings(first, second, goods_of(single[first], single[second]), meanings)
    return FadeProfile(
        judge=judge,
        form=form,
        aspects=tuple(_aspect(aspect, one.axis) for aspect, ones in parts.items() for one in ones),
        readings=tuple(readings),
        ambiguous=tuple(aspect for aspect in parts if aspect not in single),
    )


def _aspect(aspect: str, axis: Axis) -> Aspect:
    return Aspect(
        aspect=aspect,
        scorer=axis.scorer,
        metric=axis.metric,
        n=axis.n,
        features=axis.features,
        median=axis.median,
        lower_quartile=axis.lower_quartile,
        upper_quartile=axis.upper_quartile,
        good_from=axis.good_from,
    )


def _readings(
    first: str, second: str, pairs: Sequence[tuple[bool, bool]], meanings: Mapping[tuple[bool, bool], str]
) -> list[Reading]:
    return [
        Reading(
            first=first,
            second=second,
            first_good=goods[0],
            second_good=goods[1],
            meaning=meaning,
            shared=len(pairs),
            share=wilson_interval(pairs.count(goods), len(pairs)),
        )
        for goods, meaning in meanings.items()
        if pairs
    ]
