"""Features that need their context in a planted way: by the token, by words before it, by their order, by its place."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.activations import scrambled as module
from harness.activations.collect import StoreRequest, open_stores
from harness.activations.protocol import ContextSample, FeatureActivations
from harness.activations.scrambled import WAYS, Scrambled, scrambled
from harness.errors import SubjectError
from harness.subjects.protocol import Hookpoint, SparseActivations

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from harness.activations.tokens import TokenStore
    from harness.subjects.model import SubjectModel

BOS, CUE, HERE = 99, 7, Hookpoint("planted", "output")
TOKEN, AFTER_CUE, HAS_CUE, PLACE, STRONG_AFTER_CUE, NEVER = range(6)


class PlantedModel:
    """Hidden states that say which token it is, which one was before, whether the cue was, and the place."""

    device = torch.device("cpu")

    def __init__(self, *, broken: bool = False) -> None:
        self.read: list[list[int]] = []
        self._broken = broken

    def hidden_states(self, ids: torch.Tensor, mask: torch.Tensor, at: Sequence[Hookpoint]) -> dict[Any, torch.Tensor]:
        self.read += [row[: int(kept.sum())].tolist() for row, kept in zip(ids, mask, strict=True)]
        before = torch.cat([torch.full_like(ids[:, :1], -1), ids[:, :-1]], dim=1)
        seen = ((before == CUE).cumsum(dim=1) > 0).long()
        places = torch.arange(ids.shape[1]).expand_as(ids)
        hidden = torch.stack([ids, before, seen, places], dim=-1).float()
        # What a model computes where there is no token is anything.
        hidden[mask == 0] = torch.nan
        return {at[0]: hidden * (torch.nan if self._broken else 1.0)}


class PlantedSource:
    """One feature per way of needing the context."""

    n_features, hookpoint, kind = 6, HERE, "planted"

    def to(self, _device: torch.device) -> PlantedSource:
        return self

    def encode(self, hidden: torch.Tensor) -> torch.Tensor:
        token, before, seen, place = hidden.unbind(-1)
        cued = (before == CUE).float()
        fires = [(token % 3 == 0) * (token + 1), cued, seen, (place % 4 == 0).float(), 1 + cued, 0 * token]
        return torch.stack([each.float() for each in fires], dim=-1)

    def encode_sparse(self, hidden: torch.Tensor) -> SparseActivations:
        values = self.encode(hidden)
        row, feature = (values > 0).nonzero(as_tuple=True)
        return SparseActivations(row, feature, values[row, feature], {})


class Stored:
    """What the planted source makes of a corpus."""

    def __init__(self, tokens: Any) -> None:
        self._values = np.zeros((tokens.tokens.size, PlantedSource.n_features), dtype=np.float32)
        lead = [] if tokens.bos_token_id is None else [tokens.bos_token_id]
        for start, end in zip(tokens.context_starts[:-1], tokens.context_starts[1:], strict=True):
            ids = torch.tensor([[*lead, *tokens.tokens[start:end].tolist()]])
            hidden = PlantedModel().hidden_states(ids, torch.ones_like(ids), [HERE])[HERE][0, len(lead) :]
            self._values[start:end] = PlantedSource().encode(hidden).numpy()
        self.sample: ContextSample | None = None

    def feature(self, index: int) -> FeatureActivations:
        positions = np.flatnonzero(self._values[:, index])
        return FeatureActivations(positions, self._values[positions, index], self.sample)


def corpus(*, bos: int | None = BOS, lengths: Sequence[int] = (30,) * 60) -> Any:
    draws = np.random.default_rng(0)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    tokens = draws.integers(0, 40, int(starts[-1])).astype(np.uint16)
    return SimpleNamespace(tokens=tokens, context_starts=starts, bos_token_id=bos)


def left(
    features: Sequence[int], tokens: Any = None, n: int = 40, *, batch: int = 500, seed: int = 0, model: Any = None
) -> list[Scrambled]:
    tokens = corpus() if tokens is None else tokens
    planted: Any = model or PlantedModel()
    source: Any = PlantedSource()
    stored: Any = Stored(tokens)
    return scrambled(planted, source, tokens, stored, features, n, seed=seed, batch_tokens=batch)


@pytest.mark.parametrize("bos", [BOS, None])
@pytest.mark.parametrize("feature", [TOKEN, PLACE])
def test_what_does_not_need_its_words_keeps_all(feature: int, bos: int | None) -> None:
    (found,) = left([feature], corpus(bos=bos))
    for way in (found.reordered, found.replaced):
        assert (way.share.mean, way.share.high, way.strength.mean, way.strength.high) == (1.0, 1.0, 1.0, 1.0)
        assert way.share.low == pytest.approx(1 / (1 + 1.96**2 / 40), abs=1e-3)  # Wilson's bound for 40 of 40
    assert found.n == found.reordered.share.n == found.replaced.strength.n == 40


def test_what_fires_after_a_token_loses_nearly_all() -> None:
    (found,) = left([AFTER_CUE])
    for way in (found.reordered, found.replaced):
        assert way.share.mean is not None
        assert way.share.mean < 0.25
        assert way.share.mean == way.strength.mean
        assert way.share.high is not None
        assert way.share.high < 0.5


def test_what_needs_a_word_anywhere_before_keeps_all_in_another_order_only() -> None:
    (found,) = left([HAS_CUE], n=80)
    assert found.reordered.share.mean == 1.0
    assert found.replaced.share.mean is not None
    assert found.replaced.share.mean < 0.6


def test_what_is_weaker_without_its_context_keeps_its_activations_and_not_their_strength() -> None:
    (found,) = left([STRONG_AFTER_CUE], n=2000)
    assert found.replaced.share.mean == 1.0
    own = [2.0 if value else 1.0 for value in Stored(corpus()).feature(STRONG_AFTER_CUE).values > 1]
    assert found.replaced.strength.mean is not None
    assert 1 - found.replaced.strength.mean == pytest.approx(np.mean(np.array(own) > 1) / 2, abs=0.01)


def test_what_never_fires_has_nothing_to_keep() -> None:
    never, token = left([NEVER, TOKEN])
    assert (never.n, never.replaced.share.mean, never.reordered.strength.low) == (0, None, None)
    assert (never.feature, token.feature, token.n) == (NEVER, TOKEN, 40)
    assert left([]) == []


@pytest.mark.parametrize("bos", [BOS, None])
def test_contexts_keep_the_token_its_place_and_bos(bos: int | None) -> None:
    tokens, model = corpus(bos=bos), PlantedModel()
    (found,) = left([AFTER_CUE], tokens, 500, model=model)
    lead = [] if bos is None else [bos]
    assert len(model.read) == 2 * found.n > 0
    own = []
    for start, end in zip(tokens.context_starts[:-1], tokens.context_starts[1:], strict=True):
        ids = tokens.tokens[start:end].tolist()
        own += [ids[: at + 1] for at in range(2, len(ids)) if ids[at - 1] == CUE]
    read = [row[len(lead) :] for row in model.read]
    assert all(row[: len(lead)] == lead for row in model.read)
    assert sorted((len(row), row[-1]) for row in read) == sorted((len(ids), ids[-1]) for ids in own * 2)
    for ids in own:
        assert any(sorted(row[:-1]) == sorted(ids[:-1]) and row[-1] == ids[-1] for row in read)


@settings(deadline=None)
@given(before=st.integers(2, 30), seed=st.integers(0, 1000))
def test_reordering_leaves_no_token_in_its_place(before: int, seed: int) -> None:
    tokens: Any = SimpleNamespace(tokens=np.arange(100, 140, dtype=np.uint16))
    position = 35
    entry = [np.array([value]) for value in (3, position, WAYS.index("reordered"), before + 1)]
    found = module._context(tokens, module._Items(*entry), 0, seed)
    own = tokens.tokens[position - before : position + 1].tolist()
    assert sorted(found) == own
    assert found[-1] == own[-1]
    assert all(one != other for one, other in zip(found[:-1], own[:-1], strict=True))


@settings(deadline=None, max_examples=25)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=12),
    n=st.integers(1, 9),
    batch=st.integers(1, 60),
    seed=st.integers(0, 3),
)
def test_shares_and_intervals_are_shares_whatever_the_corpus(lengths: list[int], n: int, batch: int, seed: int) -> None:
    tokens = corpus(lengths=lengths)
    features = [TOKEN, AFTER_CUE, HAS_CUE, PLACE, STRONG_AFTER_CUE]
    found = left(features, tokens, n, batch=batch, seed=seed)
    assert found == left(features, tokens, n, batch=10_000, seed=seed)
    assert found[2] == left([HAS_CUE], tokens, n, seed=seed)[0]  # whatever else is asked for
    for each in found:
        assert each.n <= n
        for part in (each.reordered.share, each.reordered.strength, each.replaced.share, each.replaced.strength):
            assert part.n == each.n
            if part.mean is not None and part.low is not None and part.high is not None:
                assert 0.0 <= part.low <= part.mean <= part.high <= 1.0


def test_activations_are_drawn_from_weak_to_strong() -> None:
    tokens = corpus()
    values = np.arange(1, tokens.tokens.size + 1, dtype=np.float32)
    found = FeatureActivations(np.arange(tokens.tokens.size), values)
    drawn = module._drawn(found, tokens, 10, np.random.default_rng(0))
    fit = np.flatnonzero(np.arange(tokens.tokens.size) % 30 >= 2)
    tenths = np.searchsorted(
        np.array_split(fit, 10)[0].size * np.arange(1, 10), np.searchsorted(fit, list(drawn)), "right"
    )
    assert sorted(tenths.tolist()) == list(range(10))
    assert all(values[position] == value for position, value in drawn.items())


def test_of_a_sampled_feature_activations_are_of_the_contexts_drawn() -> None:
    tokens = corpus()
    stored = Stored(tokens)
    stored.sample = ContextSample(np.array([3, 8]), np.array([1]), 0.05, 900, 40.0)
    drawn = module._drawn(stored.feature(TOKEN), tokens, 500, np.random.default_rng(0))
    assert {position // 30 for position in drawn} == {3, 8}


def test_hidden_states_that_are_not_finite_are_an_error() -> None:
    with pytest.raises(SubjectError, match="not finite"):
        left([TOKEN], model=PlantedModel(broken=True))


@pytest.mark.parametrize("encoded_at_once", [1, 1 << 26])
@pytest.mark.parametrize("bos", ["prepend", "none"])
def test_a_real_model_gives_the_stored_value_again_in_the_same_context(
    open_listed: Callable[..., TokenStore],
    tiny_model: SubjectModel,
    random_source: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    bos: str,
    encoded_at_once: int,
) -> None:
    tokens = open_listed(
        ["the cat sat on the mat and the dog sat on the log " * 3, "one two three", "a mat " * 9], bos=bos
    )
    source = random_source()
    request = StoreRequest("s", {"model": tiny_model.identity, "source": source.identity}, lambda: (tiny_model, source))
    store = open_stores([request], tokens, tmp_path / "c", 40)["s"]
    asked = [feature for feature in range(source.n_features) if store.counts()[feature]]

    def unscrambled(tokens: Any, items: Any, item: int, _seed: int) -> list[int]:
        end = int(items.positions[item]) + 1
        ids: list[int] = tokens.tokens[end - int(items.lengths[item]) : end].tolist()
        return ids

    monkeypatch.setattr(module, "_ENCODE_VALUES", encoded_at_once)
    kept = scrambled(tiny_model, source, tokens, store, asked, 8, seed=0, batch_tokens=60)
    assert any((each.replaced.share.mean or 0) < 1 for each in kept)
    monkeypatch.setattr(module, "_context", unscrambled)
    for each in scrambled(tiny_model, source, tokens, store, asked, 8, seed=0, batch_tokens=60):
        assert each.n > 0
        assert each.replaced.share.mean == each.reordered.share.mean == 1.0
        assert each.replaced.strength.mean == pytest.approx(1.0, abs=2e-3)  # as exact as values are stored


def test_plain_data_names_the_ways() -> None:
    (found,) = left([TOKEN], n=5)
    plain = found.plain()
    assert list(plain) == ["n", "reordered", "replaced"]
    assert plain["replaced"]["share"]["method"] == "wilson over items"
    assert plain["replaced"]["strength"]["mean"] == 1.0
