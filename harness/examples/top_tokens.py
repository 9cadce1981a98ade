"""The tokens on which a feature fires most."""

from __future__ import annotations

from heapq import nsmallest
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.activations.protocol import FeatureActivations, TokenReader
    from harness.examples.windows import FeatureWindows

__all__ = ["top_tokens"]

_SHOWN = 10
_BROKEN = "\N{REPLACEMENT CHARACTER}"


def top_tokens(
    tokens: TokenReader,
    activations: FeatureActivations,
    windows: FeatureWindows,
    mine: np.ndarray,
    strings: dict[int, str],
) -> tuple[tuple[str, float], ...]:
    """Return up to ten token texts with the feature's mean activation where it fires on them, largest mean first.

    A text on which it fired once says little, however strongly: such texts come after all that it fired on at least
    twice. Tokens that are only a part of a character have no text of their own and are left out.

    Args:
        tokens: The corpus.
        activations: The feature's activations.
        windows: Its windows.
        mine: Which of them to look at, bool [n].
        strings: The text of each token id met so far; added to.
    """
    sums: dict[str, tuple[float, int]] = {}
    for token, total, count in _by_id(tokens, activations, windows.low[mine], windows.high[mine]):
        if token not in strings:
            strings[token] = tokens.token_texts([token])[0]
        text = strings[token]
        if text and _BROKEN not in text:
            before = sums.get(text, (0.0, 0))
            sums[text] = before[0] + total, before[1] + count
    means = [(count < 2, -total / count, -count, text) for text, (total, count) in sums.items()]  # noqa: PLR2004 -- once
    return tuple((text, -mean) for _, mean, _, text in nsmallest(_SHOWN, means))


def _by_id(
    tokens: TokenReader, activations: FeatureActivations, low: np.ndarray, high: np.ndarray
) -> Iterator[tuple[int, float, int]]:
    """Yield each token id the feature fires on within the windows, its summed activation and how often it fires."""
    lengths = high - low
    number = np.repeat(low - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())
    number = number[activations.values[number] > 0]
    ids = tokens.tokens[activations.positions[number]].astype(np.int64)
    counts = np.bincount(ids)
    totals = np.bincount(ids, weights=activations.values[number].astype(np.float64))
    met = np.flatnonzero(counts)
    yield from zip(met.tolist(), totals[met].tolist(), counts[met].tolist(), strict=True)
