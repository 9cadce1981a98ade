"""Cutting a corpus into spans: the pieces in which activations are collected, kept and found again.

A span is a run of whole contexts. Where it begins and ends depends on the corpus before it alone, and batches never
cross its bounds, so what is collected on it is the same whether the corpus goes on behind it or not: a killed
collection goes on at the next span, and a longer corpus takes over the spans that a shorter one had whole.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from harness.activations.tokens import TokenStore

__all__ = ["SPAN_TOKENS", "Span", "cut_spans", "plan_batches"]

SPAN_TOKENS = 1 << 15
"""A span ends with the context that brings it to so many tokens."""


@dataclass(frozen=True, slots=True)
class Span:
    """A run of contexts.

    Attributes:
        first: Number of its first context.
        last: One past the number of its last context.
        begin: Position of its first token.
        end: One past the position of its last token.
        whole: Whether it would be the same if the corpus went on; the last one of a corpus is not.
        digest: What the model reads in it: tokens, cuts and BOS, hashed.
    """

    first: int
    last: int
    begin: int
    end: int
    whole: bool
    digest: str

    @property
    def n_tokens(self) -> int:
        """Return how many tokens it has."""
        return self.end - self.begin


def cut_spans(tokens: TokenStore) -> list[Span]:
    """Return the spans of a corpus, in order.

    The last context may be cut by the budget of the corpus, so the last span is not whole.
    """
    starts = np.asarray(tokens.context_starts)
    n_contexts = starts.size - 1
    spans: list[Span] = []
    first = 0
    while first < n_contexts:
        last = min(int(np.searchsorted(starts, starts[first] + SPAN_TOKENS)), n_contexts)
        whole = last < n_contexts
        spans.append(
            Span(first, last, int(starts[first]), int(starts[last]), whole, _digest(tokens, starts[first : last + 1]))
        )
        first = last
    return spans


def plan_batches(lengths: np.ndarray, batch_tokens: int, extra: int = 0) -> list[np.ndarray]:
    """Return context numbers in batches of about equal length, longest first (ties in corpus order).

    A batch padded to its longest context, plus ``extra`` positions each, has at most ``batch_tokens`` positions, or
    one context.
    """
    order = np.argsort(-lengths.astype(np.int64), kind="stable")
    batches, first = [], 0
    while first < order.size:
        rows = max(1, batch_tokens // (int(lengths[order[first]]) + extra))
        batches.append(order[first : first + rows])
        first += rows
    return batches


def _digest(tokens: TokenStore, starts: np.ndarray) -> str:
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr(tokens.bos_token_id).encode())
    digest.update((starts - starts[0]).astype("<i8").tobytes())
    digest.update(tokens.tokens[starts[0] : starts[-1]].astype("<u4").tobytes())
    return digest.hexdigest()
