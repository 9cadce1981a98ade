"""What an oracle writes: it has no words of its own, and quotes the demo corpus and the planted texts."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from itertools import accumulate, islice
from typing import TYPE_CHECKING

from harness.planted.catalogue import FEATURES
from harness.planted.demo import demo_texts
from harness.planted.texts import planted_texts
from harness.seeding import generator

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np

    from harness.planted.rules import Rule

__all__ = ["any_texts", "matching_texts", "near_misses", "other_texts", "shared_rule", "without_marked"]

_PIECE = re.compile(r".{60,240}?(?:[.!?;}][\"')]*\s+|\n\n|\Z)", re.DOTALL)
_DOCUMENTS, _PLANTED = 300, 80
_WORD_OR_SIGN = re.compile(r"\w+|[^\w\s]")
_NEUTRAL = ("item", "stuff", "bit")
_KEPT = 48
_RATED = 250


def any_texts(count: int, draws: np.random.Generator) -> list[str]:
    """Return ``count`` texts, whatever is in them."""
    pieces = _pieces()
    return [pieces[place] for place in draws.integers(len(pieces), size=count)]


def matching_texts(rule: Rule, count: int, draws: np.random.Generator) -> list[str]:
    """Return ``count`` texts that hold a match of ``rule``, no two alike while there are enough."""
    found = _matching(rule)
    if not found:
        return any_texts(count, draws)
    order = [place for _ in range(count // len(found) + 1) for place in draws.permutation(len(found))]
    return [found[place] for place in order[:count]]


def other_texts(rule: Rule, count: int, draws: np.random.Generator) -> list[str]:
    """Return ``count`` texts without a match of ``rule``."""
    pieces = _pieces()
    silent = (pieces[place] for place in draws.permutation(len(pieces)) if not rule.strengths(pieces[place]))
    return _filled(islice(silent, count), count)


def near_misses(rule: Rule, count: int, draws: np.random.Generator) -> list[str]:
    """Return ``count`` texts that hold a match of ``rule`` but for the match, which was taken out."""
    cut = (_without(rule, text) for text in matching_texts(rule, 2 * count, draws))
    found = [text for text in cut if text is not None][:count]
    return [*found, *other_texts(rule, count - len(found), draws)]


def without_marked(tokens: Sequence[str], marked: Sequence[bool], draws: np.random.Generator) -> str:
    """Return the text of ``tokens`` with a neutral word for each marked word, a comma for each sign."""
    stops = list(accumulate(map(len, tokens)))
    spans = [(stop - len(token), stop) for token, stop, mark in zip(tokens, stops, marked, strict=True) if mark]
    neutral = str(draws.choice(_NEUTRAL))

    def kept(piece: re.Match[str]) -> str:
        if not any(start < piece.end() and piece.start() < stop for start, stop in spans):
            return piece.group()
        return neutral if piece.group()[0].isalnum() else ","

    return _WORD_OR_SIGN.sub(kept, "".join(tokens))


def shared_rule(texts: Sequence[str]) -> Rule | None:
    """Return the rule of the rarest planted feature that fires in all texts but one, None if there is none."""
    found = [
        (rate, feature.rule)
        for feature, rate in zip(FEATURES, _rates(), strict=True)
        if sum(bool(feature.rule.strengths(text)) for text in texts) == len(texts) - 1
    ]
    return min(found, key=lambda pair: pair[0])[1] if found else None


def _filled(texts: Iterable[str], count: int) -> list[str]:
    """Return ``count`` texts; if there are none that do what they should, texts without a word."""
    found = list(texts)
    return [found[place % len(found)] if found else "..." for place in range(count)]


def _without(rule: Rule, text: str) -> str | None:
    for _ in range(3):
        spans = rule.strengths(text)
        if not spans:
            return text
        for span in reversed(spans):
            text = text[: span.start] + text[span.stop :]
    return text if not rule.strengths(text) else None


@lru_cache(maxsize=1024)
def _matching(rule: Rule) -> tuple[str, ...]:
    return tuple(islice((piece for piece in _pieces() if rule.strengths(piece)), _KEPT))


@cache
def _pieces() -> tuple[str, ...]:
    """Return passages of a sentence or two, in an order that has nothing to do with where they stood."""
    texts = [*demo_texts(_DOCUMENTS), *islice(planted_texts(), _PLANTED)]
    pieces = [match.group().rstrip(" ") for text in texts for match in _PIECE.finditer(text)]
    return tuple(pieces[place] for place in generator(0, "oracle", "pieces").permutation(len(pieces)))


@cache
def _rates() -> tuple[float, ...]:
    sample = _pieces()[:_RATED]
    return tuple(sum(bool(feature.rule.strengths(piece)) for piece in sample) / len(sample) for feature in FEATURES)
