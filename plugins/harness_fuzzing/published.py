"""Wrong markings as they were published, without the leaks of the code that they were published with.

``blog``: EleutherAI's report (July 2024). All windows activate; of seven in a decile five are marked rightly and two
wrongly, each wrong one on as many random silent tokens as right markings have in the mean. ``paper``: the default of
Delphi. Activating windows are marked rightly, and random tokens of silent windows are marked as the wrong ones.

In the code of both every wrong window of a run is marked at the same places, wrong marks are counted over all tokens
that are not zero and right ones over those above a threshold that cannot be changed. Here every window has a generator
of its own, and both sides go by the same threshold.
"""

from __future__ import annotations

import math
from itertools import cycle
from statistics import fmean
from typing import TYPE_CHECKING

from harness.api import generator
from harness_fuzzing.config import BLOG, PAPER
from harness_fuzzing.marking import Marked, Markings, draw_markings, right_marks, untouchable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.api import Example, ExampleSet

__all__ = ["draw", "draw_blog", "draw_paper"]

_WRONG, _OF = 2, 7
_FROM = "wrong marks"


def draw(variant: str, examples: ExampleSet, threshold: float, seed: int) -> Markings:
    """Return the marked windows of a record's half by one of ``harness_fuzzing.config.VARIANTS``."""
    if variant == BLOG:
        return draw_blog(examples.activating, threshold, seed)
    if variant == PAPER:
        return draw_paper(examples.activating, examples.non_activating, threshold, seed)
    return draw_markings(examples.activating, threshold, seed)


def draw_blog(examples: Sequence[Example], threshold: float, seed: int) -> Markings:
    """Return the activating ``examples`` marked, two of seven wrongly.

    In order of decile, and by chance within one, every window is wrong with the same probability and of any seven that
    follow each other two are: exactly five to two in a decile of seven, and as near to it as others allow. A wrong
    marking has as many marks as right ones have in the mean over ``examples``. A window without so many silent tokens
    is left out, whichever side it would have been on: shown, it would always be right.
    """
    mean = fmean(len(right_marks(one, threshold)) for one in examples) if examples else 0.0
    count = max(1, math.floor(mean + 0.5))
    wrong = {one.key: marks for one in examples if (marks := _random_marks(one, count, seed)) is not None}
    kept = [one for one in examples if one.key in wrong]
    chosen = _two_of_seven(kept, seed)
    marked = [
        _whole(one, wrong[one.key], right=False)
        if one.key in chosen
        else _whole(one, right_marks(one, threshold), right=True)
        for one in kept
    ]
    return Markings(tuple(marked), len(examples) - len(kept))


def draw_paper(activating: Sequence[Example], silent: Sequence[Example], threshold: float, seed: int) -> Markings:
    """Return the activating windows marked rightly, and the silent ones at random.

    The numbers of marks of the right windows are dealt out to the silent ones, so that counts tell nothing: with as
    many windows on both sides they are the same numbers. A silent window without so many tokens is left out.
    """
    right = [_whole(one, right_marks(one, threshold), right=True) for one in activating]
    wrong: list[Marked] = []
    if right:
        counts = [len(one.marks) for one in sorted(right, key=lambda one: one.example.key)]
        dealt = cycle(generator(seed, "mark counts").permutation(counts).tolist())
        for one, count in zip(sorted(silent, key=lambda one: one.key), dealt, strict=False):
            marks = _random_marks(one, count, seed)
            if marks is not None:
                wrong.append(_whole(one, marks, right=False))
    wrong = _in_order_of(silent, wrong)
    return Markings((*right, *wrong), len(activating) + len(silent) - len(right) - len(wrong))


def _two_of_seven(examples: Iterable[Example], seed: int) -> frozenset[str]:
    """Return the keys of two of every seven that follow each other by decile, beginning anywhere."""
    rng = generator(seed, "two of seven")
    offset = int(rng.integers(_OF))
    keyed = [(one.decile or 0, float(rng.random()), one.key) for one in sorted(examples, key=lambda one: one.key)]
    return frozenset(
        key for place, (_, _, key) in enumerate(sorted(keyed)) if (offset + _WRONG * place) % _OF >= _OF - _WRONG
    )


def _random_marks(example: Example, count: int, seed: int) -> tuple[int, ...] | None:
    """Return ``count`` random silent tokens that can be seen, None if there are fewer."""
    kept = untouchable(example)
    places = [place for place, token in enumerate(example.tokens) if place not in kept and token.strip()]
    if len(places) < count:
        return None
    rng = generator(seed, _FROM, example.key)
    return tuple(sorted(rng.choice(places, size=count, replace=False).tolist()))


def _whole(example: Example, marks: tuple[int, ...], *, right: bool) -> Marked:
    return Marked(example, right=right, start=0, stop=len(example.tokens), marks=marks)


def _in_order_of(examples: Iterable[Example], marked: Iterable[Marked]) -> list[Marked]:
    place = {one.key: number for number, one in enumerate(examples)}
    return sorted(marked, key=lambda one: place[one.example.key])
