"""Rules: what somebody who believes an explanation expects a feature to fire on, and how strongly.

A rule is plain data, so that it can be fingerprinted, and is asked about any text whatever.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["NOTHING", "STRONGEST", "Part", "Rule", "Span", "on_tokens", "patterns", "words"]

STRONGEST = 10.0
"""Largest strength of a match."""

_WORD = re.compile(r"\w+")
_PIECE = re.compile(r"\w+|[^\w\s]")
_TEXTS_KEPT = 16


@dataclass(frozen=True, slots=True)
class Span:
    """A match: characters ``start`` to ``stop`` of a text, and how strongly the feature fires there, above 0 to 10."""

    start: int
    stop: int
    strength: float


@dataclass(frozen=True, slots=True)
class Part:
    """Alternatives with strengths that fall evenly from the first to the last.

    Attributes:
        alternatives: Single words, found whatever their case; or regular expressions, of which the first that matches
            at a place counts.
        is_words: Whether they are words.
        strongest: Strength of the first alternative.
        weakest: Strength of the last one.
    """

    alternatives: tuple[str, ...]
    is_words: bool
    strongest: float = STRONGEST
    weakest: float = STRONGEST

    def graded(self, strongest: float, weakest: float) -> Part:
        """Return the same alternatives with other strengths."""
        return replace(self, strongest=strongest, weakest=weakest)

    def strength(self, place: int) -> float:
        """Return the strength of the alternative at ``place``."""
        last = len(self.alternatives) - 1
        return self.strongest if not last else self.strongest - (self.strongest - self.weakest) * place / last

    def spans(self, text: str) -> Iterator[Span]:
        """Yield the matches in ``text``, in order."""
        if self.is_words:
            places = _word_places(self.alternatives)
            for word, start in _words_of(text):
                place = places.get(word)
                if place is not None:
                    yield Span(start, start + len(word), self.strength(place))
            return
        for match in _compiled(self.alternatives).finditer(text):
            if match.end() > match.start():
                yield Span(match.start(), match.end(), self.strength((match.lastindex or 1) - 1))


@dataclass(frozen=True, slots=True)
class Rule:
    """What an explanation says fires.

    Attributes:
        parts: What matches; where matches overlap, that of the earlier part counts.
        shift: 0 for the matches themselves, -1 for the word or sign just before each, 1 for that just after.
    """

    parts: tuple[Part, ...] = ()
    shift: int = 0

    def strengths(self, text: str) -> tuple[Span, ...]:
        """Return the matches in ``text`` in order of place; no two overlap, and none is of what the shift is from."""
        matches = self._matches(text)
        if not self.shift:
            return tuple(matches)
        taken = {(span.start, span.stop) for span in matches}
        beside: dict[tuple[int, int], float] = {}
        for span in matches:
            place = _beside(text, span, self.shift)
            if place is not None and place not in taken:
                beside[place] = max(span.strength, beside.get(place, 0.0))
        return tuple(Span(*place, beside[place]) for place in sorted(beside))

    def strongest(self, text: str) -> float:
        """Return the strength of the strongest match, 0 if there is none."""
        return max((span.strength for span in self.strengths(text)), default=0.0)

    def _matches(self, text: str) -> list[Span]:
        kept: list[Span] = []
        for number, part in enumerate(self.parts):
            found = list(part.spans(text))
            if not number:
                kept = found
            elif found:
                starts = [span.start for span in kept]
                kept = sorted([*kept, *(span for span in found if _is_free(span, kept, starts))], key=_start)
        return kept


NOTHING = Rule()
"""The rule of an explanation that names nothing."""


def words(text: str) -> Part:
    """Return the part of the words in ``text``, strongest first."""
    return Part(tuple(text.lower().split()), is_words=True)


def patterns(*alternatives: str) -> Part:
    """Return the part of regular expressions without capturing groups, strongest first."""
    return Part(alternatives, is_words=False)


def on_tokens(tokens: Sequence[str], spans: Sequence[Span]) -> list[float]:
    """Return the strength at each token: that of the strongest span which the token completes, else 0.

    Args:
        tokens: The text of each token; joined they are the text that the spans are of.
        spans: Matches in that text.
    """
    ends = list(accumulate(len(token) for token in tokens))
    values = [0.0] * len(ends)
    for span in spans:
        place = bisect_right(ends, span.stop - 1)
        if place < len(values):
            values[place] = max(values[place], span.strength)
    return values


def _start(span: Span) -> int:
    return span.start


def _is_free(span: Span, kept: Sequence[Span], starts: Sequence[int]) -> bool:
    """Return whether a span overlaps none of ``kept``, which are in order and do not overlap."""
    after = bisect_left(starts, span.stop)
    return not after or kept[after - 1].stop <= span.start


def _beside(text: str, span: Span, shift: int) -> tuple[int, int] | None:
    """Return the word or sign next to a span, None at an end of the text."""
    starts, stops = _pieces_of(text)
    place = bisect_right(stops, span.start) - 1 if shift < 0 else bisect_left(starts, span.stop)
    return (starts[place], stops[place]) if 0 <= place < len(starts) else None


@lru_cache(maxsize=4096)
def _compiled(alternatives: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"({one})" for one in alternatives), re.MULTILINE)


@lru_cache(maxsize=4096)
def _word_places(alternatives: tuple[str, ...]) -> Mapping[str, int]:
    return {word: place for place, word in reversed(list(enumerate(alternatives)))}


@lru_cache(maxsize=_TEXTS_KEPT)
def _words_of(text: str) -> tuple[tuple[str, int], ...]:
    # The length of a word must be that of the text it stands for, which lower() keeps for all but a few letters.
    found = ((match.group(), match.start()) for match in _WORD.finditer(text))
    return tuple((low if len(low := word.lower()) == len(word) else word, start) for word, start in found)


@lru_cache(maxsize=_TEXTS_KEPT)
def _pieces_of(text: str) -> tuple[list[int], list[int]]:
    found = [match.span() for match in _PIECE.finditer(text)]
    return [start for start, _ in found], [stop for _, stop in found]
