"""Keys and values of prompts already computed, kept for prompts that begin like them. Works on torch's tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.llm.prefixes import common_length

if TYPE_CHECKING:
    import torch

__all__ = ["KeyValueStore", "KeyValues", "joined"]


@dataclass(frozen=True, slots=True)
class KeyValues:
    """Keys and values of one token sequence.

    Attributes:
        tokens: The sequence, T tokens.
        layers: Keys and values [1, heads, T, d] of each layer.
    """

    tokens: tuple[int, ...]
    layers: tuple[tuple[torch.Tensor, torch.Tensor], ...]

    def first(self, length: int) -> KeyValues:
        """Return those of the first ``length`` tokens, as views."""
        if length == len(self.tokens):
            return self
        layers = tuple((keys[:, :, :length], values[:, :, :length]) for keys, values in self.layers)
        return KeyValues(self.tokens[:length], layers)


class KeyValueStore:
    """Finds the longest beginning already computed; forgets what was longest unused. Used from one thread.

    Args:
        capacity: Tokens kept at most, after ``trim``.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._kept: dict[tuple[int, ...], KeyValues] = {}

    def known(self, tokens: tuple[int, ...]) -> int:
        """Return how many first tokens of ``tokens`` were computed before."""
        return max((common_length(each, tokens) for each in self._kept), default=0)

    def find(self, tokens: tuple[int, ...]) -> KeyValues | None:
        """Return keys and values of the longest beginning of ``tokens`` that is kept, None if there is none."""
        best = max(self._kept, key=lambda each: common_length(each, tokens), default=None)
        length = 0 if best is None else common_length(best, tokens)
        if best is None or not length:
            return None
        self._kept[best] = found = self._kept.pop(best)  # the newest stand last
        return found.first(length)

    def keep(self, entry: KeyValues) -> None:
        """Keep ``entry``; what it extends is then superfluous and goes."""
        tokens = entry.tokens
        for each in [each for each in self._kept if common_length(each, tokens) == len(each)]:
            del self._kept[each]
        self._kept[tokens] = entry

    def trim(self) -> None:
        """Forget what was longest unused, until the rest is within the capacity."""
        total = sum(len(each) for each in self._kept)
        for each in list(self._kept):
            if total <= self._capacity:
                return
            total -= len(each)
            del self._kept[each]


def joined(entries: list[KeyValues | None], template: KeyValues) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return the keys and values of several sequences as one batch [n, heads, P, d] per layer, padded on the right.

    Args:
        entries: One per row; None for a row that begins with nothing.
        template: Any of them, for shapes and type.
    """
    length = max(0 if entry is None else len(entry.tokens) for entry in entries)
    first = entries[0]
    if first is not None and all(entry is not None and entry.tokens == first.tokens for entry in entries):
        n = len(entries)
        return [(keys.expand(n, -1, -1, -1), values.expand(n, -1, -1, -1)) for keys, values in first.layers]
    layers = []
    for number, pair in enumerate(template.layers):
        padded = []
        for side, like in enumerate(pair):
            rows = like.new_zeros((len(entries), like.shape[1], length, like.shape[3]))
            for row, entry in enumerate(entries):
                if entry is not None:
                    rows[row, :, : len(entry.tokens)] = entry.layers[number][side][0]
            padded.append(rows)
        layers.append((padded[0], padded[1]))
    return layers
