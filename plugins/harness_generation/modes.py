"""The modes of a feature: the tokens on which it fires, or after which it does, as its activating windows show them.

A window stands for the place of its largest activation: the token there and the one before it. A pattern is one of the
two, ``token`` or ``after``, as it is written but for blanks around it and case. Greedily, the pattern that most of the
windows left over have becomes a mode and takes them, until none has enough. What is left belongs to no mode. No draw
is made and no model is asked. A text reaches a mode if the feature fires in it at a place that has the mode's pattern.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.api import Example, TextActivations

__all__ = ["Mode", "Modes", "coverage", "find_modes"]

TOKEN, AFTER = "token", "after"
Pattern = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Mode:
    """A pattern (``token`` or ``after``, and the text of the token) and how many windows it took."""

    pattern: Pattern
    windows: int


@dataclass(frozen=True, slots=True)
class Modes:
    """The modes, largest first, and how many windows belong to none."""

    modes: tuple[Mode, ...]
    left_over: int


def find_modes(examples: Iterable[Example], least: int) -> Modes:
    """Return the modes of activating windows, each of at least ``least`` of them."""
    left = [_patterns(example.tokens, _peak(example.activations)) for example in examples]
    modes: list[Mode] = []
    while True:
        counts = Counter(pattern for patterns in left for pattern in patterns)
        # Of patterns that as many windows have, that of the active token itself, then the first by the alphabet.
        best = min(counts, key=lambda pattern: (-counts[pattern], pattern[0] != TOKEN, pattern), default=None)
        if best is None or counts[best] < least:
            return Modes(tuple(modes), len(left))
        modes.append(Mode(best, counts[best]))
        left = [patterns for patterns in left if best not in patterns]


def coverage(modes: Modes, texts: Iterable[TextActivations]) -> tuple[float | None, int]:
    """Return the share of the modes' windows whose mode some text reaches, and how many modes are reached.

    The share is None if there is no mode.
    """
    fired: set[Pattern] = set()
    for text in texts:
        for place, value in enumerate(text.values):
            if value > 0:
                fired |= _patterns(text.tokens, place)
    reached = [mode for mode in modes.modes if mode.pattern in fired]
    total = sum(mode.windows for mode in modes.modes)
    return (sum(mode.windows for mode in reached) / total if total else None), len(reached)


def _peak(activations: Sequence[float]) -> int:
    return max(range(len(activations)), key=lambda place: activations[place], default=0)


def _patterns(tokens: Sequence[str], place: int) -> frozenset[Pattern]:
    named = ((TOKEN, place), (AFTER, place - 1))
    # A token that is a part of a character has no text, and so no pattern.
    return frozenset((name, _written(tokens[at])) for name, at in named if 0 <= at < len(tokens) and tokens[at])


def _written(token: str) -> str:
    return token.strip().lower() or token
