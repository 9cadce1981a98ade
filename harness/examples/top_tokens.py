"""The tokens on which a feature fires most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from harness.activations.protocol import FeatureActivations, TokenReader

__all__ = ["top_tokens"]

_SHOWN = 10
_BROKEN = "\N{REPLACEMENT CHARACTER}"


def top_tokens(
    tokens: TokenReader, activations: FeatureActivations, starts: np.ndarray, width: int, strings: dict[int, str]
) -> tuple[tuple[str, float], ...]:
    """Return up to ten token texts with the feature's mean activation where it fires on them, largest mean first.

    A text on which it fired once says little, however strongly: such texts come after all that it fired on at least
    twice. Tokens that are only a part of a character have no text of their own and are left out.

    Args:
        tokens: The corpus.
        activations: The feature's activations.
        starts: Where the windows to look at start, ascending.
        width: Their length.
        strings: The text of each token id met so far; added to.
    """
    ids, totals, counts = _by_id(tokens, activations, starts, width)
    sums: dict[str, tuple[float, int]] = {}
    for token, total, count in zip(ids.tolist(), totals.tolist(), counts.tolist(), strict=True):
        if token not in strings:
            strings[token] = tokens.token_texts([token])[0]
        text = strings[token]
        if text and _BROKEN not in text:
            before = sums.get(text, (0.0, 0))
            sums[text] = before[0] + total, before[1] + count
    means = [(text, total / count, count) for text, (total, count) in sums.items()]
    means.sort(key=lambda item: (item[2] < 2, -item[1], -item[2], item[0]))  # noqa: PLR2004 -- once is too few
    return tuple((text, mean) for text, mean, _ in means[:_SHOWN])


def _by_id(
    tokens: TokenReader, activations: FeatureActivations, starts: np.ndarray, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the token ids the feature fires on within the windows, its summed activation and how often it fires."""
    window = np.searchsorted(starts, activations.positions, side="right") - 1
    inside = (window >= 0) & (activations.values > 0)
    inside[inside] = activations.positions[inside] < starts[window[inside]] + width
    ids, number = np.unique(tokens.tokens[activations.positions[inside]], return_inverse=True)
    totals = np.bincount(number, weights=activations.values[inside].astype(np.float64), minlength=ids.size)
    return ids, totals, np.bincount(number, minlength=ids.size)
