"""Whether a feature needs its context: its tokens again, after other words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from harness.activations.spans import plan_batches
from harness.errors import SubjectError
from harness.identity import plain
from harness.progress import SILENT
from harness.seeding import generator
from harness.stats.intervals import mean_interval, wilson_interval

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.activations.protocol import ActivationReader, FeatureActivations
    from harness.activations.tokens import TokenStore
    from harness.progress import Progress, ProgressTask
    from harness.stats.intervals import Estimate
    from harness.subjects.model import SubjectModel
    from harness.subjects.protocol import FeatureSource

__all__ = ["WAYS", "Kept", "Scrambled", "scrambled"]

WAYS = ("reordered", "replaced")
"""How contexts are scrambled, as ``Scrambled`` names them."""

_LEAST_BEFORE = 2
"""Tokens before the one looked at: one alone has no other order."""
_ENCODE_VALUES = 1 << 26
"""Feature values computed at once (256 MB in float32)."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is left of a feature's activations in scrambled contexts.

    Attributes:
        share: Share of the activations that are still there (above 0), with Wilson's interval.
        strength: Mean of ``min(1, scrambled / own)``: its value in the scrambled context over that in its own, where
            one that grew counts as kept whole; with Student's interval.
    """

    share: Estimate
    strength: Estimate


@dataclass(frozen=True, slots=True)
class Scrambled:
    """How far a feature fires on its tokens whatever is before them.

    What is left in ``replaced`` contexts is due to the token alone (a unigram, or context-independent, feature keeps
    all); what is left in ``reordered`` ones may be due to which words are before it, but not to their order. A feature
    that fires on a share ``d`` of all tokens keeps ``d`` by chance.

    Attributes:
        feature: Its number.
        n: How many activations were looked at.
        reordered: After the same tokens in another order.
        replaced: After tokens drawn from the whole corpus.
    """

    feature: int
    n: int
    reordered: Kept
    replaced: Kept

    def plain(self) -> dict[str, Any]:
        """Return it as plain data, without the feature's number."""
        return {"n": self.n, **{way: plain(getattr(self, way)) for way in WAYS}}


@dataclass(frozen=True)
class _Items:
    """The scrambled contexts to be read, one per entry: whose, where, how. ``lengths`` are without BOS."""

    features: np.ndarray
    positions: np.ndarray
    ways: np.ndarray
    lengths: np.ndarray


def scrambled(
    model: SubjectModel,
    source: FeatureSource,
    tokens: TokenStore,
    activations: ActivationReader,
    features: Sequence[int],
    n: int,
    *,
    seed: int,
    batch_tokens: int,
    progress: Progress = SILENT,
) -> list[Scrambled]:
    """Return, for each of ``features``, what is left of its activations when the words before them are scrambled.

    Of a feature's activations that have at least two tokens before them in their context, up to ``n`` are drawn, one
    from each of ``n`` groups of equal size from weak to strong (of a feature of which only some contexts are kept, from
    those drawn without regard to it). The model reads each twice, after BOS where there is one and at its own place:
    once after a random cyclic permutation of the tokens before it, which leaves none of them in its place, and once
    after as many tokens drawn from the corpus. What comes later cannot act on it in a causal model, and is left out.
    A value counts if the source keeps it (``encode_sparse``), as when the store was made.

    Scrambled contexts tell unigram features from others in the filters of EleutherAI's post on open source automated
    interpretability (July 2024), which puts the token after 19 tokens of the vocabulary, all equally likely. Here words
    are as frequent as in the corpus, and each activation keeps its place.

    Args:
        model: The subject model.
        source: Its feature source.
        tokens: The corpus.
        activations: The store of the subject on it.
        features: Numbers of the features, each once.
        n: Activations per feature.
        seed: Root seed; draws depend on it, the feature and the position alone.
        batch_tokens: Positions per forward pass, padding included.
        progress: Where the work is shown.

    Raises:
        FeatureSourceError: If a feature is out of range.
        SubjectError: If the model's hidden states are not finite.
    """
    own: dict[int, dict[int, float]] = {
        feature: _drawn(activations.feature(feature), tokens, n, generator(seed, "scrambled", feature))
        for feature in features
    }
    items = _items(own, np.asarray(tokens.context_starts))
    with progress.task("reading scrambled contexts", items.features.size, "contexts") as bar:
        values = _read(model, source.to(torch.device(model.device)), tokens, items, seed, batch_tokens, bar)
    return [
        Scrambled(
            feature, len(own[feature]), *(_kept(own[feature], items, values, feature, way) for way in range(len(WAYS)))
        )
        for feature in features
    ]


def _drawn(found: FeatureActivations, tokens: TokenStore, n: int, draws: np.random.Generator) -> dict[int, float]:
    """Return the positions to look at, with the feature's value in their own context."""
    starts = np.asarray(tokens.context_starts)
    whose = np.searchsorted(starts, found.positions, side="right") - 1
    fit = (found.values > 0) & (found.positions - starts[whose] >= _LEAST_BEFORE)
    if found.sample is not None:
        fit &= np.isin(whose, found.sample.uniform)
    positions, values = found.positions[fit], found.values[fit]
    order = np.argsort(values, kind="stable")
    groups = np.array_split(order, min(n, order.size)) if order.size else []
    chosen = [int(draws.choice(group)) for group in groups]
    return {int(positions[place]): float(values[place]) for place in chosen}


def _items(own: Mapping[int, Mapping[int, float]], starts: np.ndarray) -> _Items:
    features = np.repeat(list(own), [len(WAYS) * len(mine) for mine in own.values()]).astype(np.int64)
    positions = np.array([position for mine in own.values() for position in mine for _ in WAYS], dtype=np.int64)
    places = positions - starts[np.searchsorted(starts, positions, side="right") - 1]
    return _Items(features, positions, np.arange(features.size) % len(WAYS), places + 1)


def _read(
    model: SubjectModel,
    source: FeatureSource,
    tokens: TokenStore,
    items: _Items,
    seed: int,
    batch_tokens: int,
    bar: ProgressTask,
) -> np.ndarray:
    """Return the feature's value in every scrambled context, [n items]."""
    values = np.zeros(items.features.size)
    lead = [] if tokens.bos_token_id is None else [tokens.bos_token_id]
    with torch.inference_mode():
        for batch in plan_batches(items.lengths, batch_tokens, len(lead)):
            lengths = torch.from_numpy(items.lengths[batch] + len(lead))
            mask = (torch.arange(int(lengths.max())) < lengths[:, None]).long()
            ids = torch.zeros_like(mask)
            for row, item in enumerate(batch):
                ids[row, : int(lengths[row])] = torch.tensor([*lead, *_context(tokens, items, int(item), seed)])
            hidden = model.hidden_states(ids, mask, [source.hookpoint])[source.hookpoint]
            last = hidden[torch.arange(len(batch)), lengths - 1]
            if not bool(torch.isfinite(last).all()):
                what = "the subject model's hidden states are not finite"
                raise SubjectError(what, where=str(source.hookpoint), hint="load it in float32 or bfloat16")
            for first, part in _parts(last, max(1, _ENCODE_VALUES // source.n_features)):
                rows = batch[first : first + len(part)]
                values[rows] = _of_own_feature(source, part, items.features[rows])
            bar.advance(len(batch))
    return values


def _context(tokens: TokenStore, items: _Items, item: int, seed: int) -> list[int]:
    """Return the ids of one scrambled context, up to and with the token looked at."""
    feature, position, way = int(items.features[item]), int(items.positions[item]), WAYS[items.ways[item]]
    before = int(items.lengths[item]) - 1
    draws = generator(seed, "scrambled", feature, position, way)
    if way == "replaced":
        words = tokens.tokens[draws.integers(tokens.tokens.size, size=before)]
    else:
        # A random cycle through all places: each gets the token of the next, so none keeps its own.
        circle = draws.permutation(before)
        words = np.empty(before, dtype=np.int64)
        words[circle] = tokens.tokens[position - before : position][np.roll(circle, -1)]
    return [*words.tolist(), int(tokens.tokens[position])]


def _of_own_feature(source: FeatureSource, hidden: torch.Tensor, features: np.ndarray) -> np.ndarray:
    """Return of each row of ``hidden`` the value of its own feature, 0 where the source does not keep it."""
    found = source.encode_sparse(hidden)
    rows, whose = found.row.cpu().numpy(), found.feature.cpu().numpy()
    mine = whose == features[rows]
    values = np.zeros(features.size)
    values[rows[mine]] = found.value.float().cpu().numpy()[mine]
    return values


def _parts(hidden: torch.Tensor, rows: int) -> Iterator[tuple[int, torch.Tensor]]:
    for first in range(0, hidden.shape[0], rows):
        yield first, hidden[first : first + rows]


def _kept(own: Mapping[int, float], items: _Items, values: np.ndarray, feature: int, way: int) -> Kept:
    mine = (items.features == feature) & (items.ways == way)
    here = values[mine]
    before = np.array([own[position] for position in items.positions[mine].tolist()])
    return Kept(
        share=wilson_interval(int((here > 0).sum()), here.size),
        strength=mean_interval(np.clip(here / before, 0.0, 1.0).tolist(), 0.0, 1.0),
    )
