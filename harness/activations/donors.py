"""Stores of the same subject on a corpus that begins alike: what they have of the common spans is taken over."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.activations.artefact import META
from harness.activations.runs import Block
from harness.activations.store import FORMAT, KIND, ActivationStore
from harness.activations.writer import SpanFacts
from harness.errors import MaterialError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from harness.activations.spans import Span
    from harness.activations.writer import ActivationWriter

__all__ = ["Donor", "find_donor"]

_BLOCK_ENTRIES = 1 << 20


@dataclass(frozen=True)
class Donor:
    """A store whose first spans are those of the store that is to be made.

    Attributes:
        store: The store.
        spans: The common ones.
    """

    store: ActivationStore
    spans: tuple[SpanFacts, ...]

    @property
    def n_tokens(self) -> int:
        """Return how many tokens the common spans have."""
        return self.spans[-1].end

    def give(self, writer: ActivationWriter) -> None:
        """Let ``writer`` begin with what the store has on the common spans.

        Raises:
            MaterialError: If the store is damaged.
        """
        writer.take_over(self._blocks(), self.spans, self.store.sampled.then())

    def _blocks(self) -> Iterator[Block]:
        first, n_held, held = 0, 0, list[tuple[np.ndarray, np.ndarray]]()
        for feature in range(self.store.n_features):
            found = self.store.feature(feature)
            count = int(np.searchsorted(found.positions, self.n_tokens))
            held.append((found.positions[:count], found.values[:count]))
            n_held += count
            if n_held >= _BLOCK_ENTRIES or feature == self.store.n_features - 1:
                counts = [positions.size for positions, _ in held]
                yield Block(
                    first=first,
                    last=feature + 1,
                    features=np.repeat(np.arange(first, feature + 1), counts),
                    positions=np.concatenate([positions for positions, _ in held]),
                    values=np.concatenate([values for _, values in held]),
                )
                first, n_held = feature + 1, 0
                held.clear()


def find_donor(
    folder: Path,
    identity: Mapping[str, Any],
    batch_tokens: int,
    spans: Sequence[Span],
    context_starts: np.ndarray,
) -> Donor | None:
    """Return the store that has most of a corpus's spans, or None if none has any.

    Args:
        folder: Where stores are.
        identity: The identity of the store to be made; everything but the corpus must be the same.
        batch_tokens: Positions per forward pass, on which the last digits of values may depend.
        spans: The spans of the corpus.
        context_starts: Its contexts.
    """
    best: Donor | None = None
    for path in sorted(folder.glob(f"*/{META}")):
        meta = _meta(path)
        same = {**meta.get("identity", {}), "tokens": None} == {**identity, "tokens": None}
        if not same or meta.get("batch_tokens") != batch_tokens:
            continue
        try:
            store = ActivationStore(path.parent, context_starts=context_starts)
            found = [SpanFacts.of(span) for span in store.spans()]
        except (MaterialError, KeyError, TypeError):
            continue  # what is damaged is of no use here, and is told of when it is itself asked for
        common = _common(spans, found)
        if store.sampled.features.size and common != len(found) - 1:
            continue  # of sampled features the state is known before the last span only
        if common and (best is None or common > len(best.spans)):
            best = Donor(store, tuple(found[:common]))
    return best


def _common(spans: Sequence[Span], found: Sequence[SpanFacts]) -> int:
    """Return how many whole spans two corpora have in common; the last one of either is not whole."""
    count = 0
    for ours, theirs in zip(spans, found[:-1], strict=False):
        if not ours.whole or ours.digest != theirs.digest:
            break
        count += 1
    return count


def _meta(path: Path) -> dict[str, Any]:
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    fits = isinstance(meta, dict) and meta.get("kind") == KIND and meta.get("format") == FORMAT
    return meta if fits and isinstance(meta.get("identity"), dict) else {}
