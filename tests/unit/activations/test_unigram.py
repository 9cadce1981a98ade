"""What the token alone explains, on features whose dependence on it is planted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.activations import unigram
from harness.activations.facts import FactReader
from harness.activations.protocol import ContextSample, FeatureActivations
from harness.activations.unigram import TokenCounter, explained_by_token

if TYPE_CHECKING:
    from collections.abc import Iterable

ACTIVATIONS = st.lists(
    st.tuples(st.integers(0, 8), st.floats(0.125, 100, width=32) | st.just(0.0)), min_size=1, max_size=80
)


def share(ids: np.ndarray, values: np.ndarray) -> float | None:
    """Return the share for a value, 0 where silent, on every token of a corpus."""
    fires = values > 0
    return explained_by_token(ids[fires], values[fires], np.bincount(ids), fewest=1)


def corpus(tokens: np.ndarray, length: int = 10) -> Any:
    starts = np.arange(0, tokens.size + 1, length)
    return SimpleNamespace(
        tokens=tokens.astype(np.uint16), context_starts=starts, token_texts=lambda ids: tuple(map(str, ids))
    )


def sample(rate: float, contexts: Iterable[int], strongest: Iterable[int] = ()) -> ContextSample:
    return ContextSample(np.array([*contexts], dtype=np.int64), np.array([*strongest], dtype=np.int64), rate, 50, 2.0)


@given(
    ids=st.lists(st.integers(0, 8), min_size=2, max_size=80), table=st.lists(st.floats(0, 9), min_size=9, max_size=9)
)
def test_a_value_looked_up_by_the_token_is_explained_whole(ids: list[int], table: list[float]) -> None:
    tokens = np.array(ids)
    found = share(tokens, np.array(table, dtype=np.float32)[tokens])
    assert found is None or found == pytest.approx(1.0, abs=1e-9)


def test_a_single_token_that_always_fires_is_one_exactly() -> None:
    tokens = np.random.default_rng(0).integers(0, 50, 1000)
    assert share(tokens, np.where(tokens == 7, np.float32(2.3), np.float32(0))) == 1.0


@pytest.mark.parametrize("chance", [0.1, 0.5, 0.9])
def test_firing_by_chance_on_some_tokens_is_explained_by_that_chance(chance: float) -> None:
    draws = np.random.default_rng(1)
    tokens = draws.integers(0, 1000, 200_000)
    fires = (tokens < 20) & (draws.random(tokens.size) < chance)
    assert share(tokens, fires.astype(np.float32)) == pytest.approx(chance, abs=0.05)


def test_rare_words_do_not_make_a_unigram_feature() -> None:
    """Eta squared with the variances of the sample is a half and more where every id is there twice."""
    draws = np.random.default_rng(2)
    tokens = draws.permutation(np.repeat(np.arange(5000), 2))
    found = [share(tokens, (draws.random(tokens.size) < 0.02).astype(np.float32)) for _ in range(40)]
    assert np.mean([value for value in found if value is not None]) < 0.05


@given(ACTIVATIONS)
def test_it_is_the_share_that_the_definition_gives(pairs: list[tuple[int, float]]) -> None:
    ids, values = np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])
    counts = np.bincount(ids)
    there = counts[ids] > 1
    found = share(ids, values)
    if not (there & (values > 0)).any() or np.ptp(values[there]) == 0:
        assert found is None
        return
    assert found is not None
    assert 0.0 <= found <= 1.0
    within = sum(counts[token] * np.var(values[ids == token], ddof=1) for token in np.unique(ids[there]))
    expected = 1 - within / (there.sum() * np.var(values[there], ddof=1))
    assert found == pytest.approx(max(0.0, expected), abs=1e-6)


def test_ids_that_are_there_once_say_nothing() -> None:
    assert share(np.arange(10), np.ones(10)) is None
    both = np.array([0, 0, 1, 1, 2, 3])
    assert share(both, np.array([2.0, 2.0, 0, 0, 5.0, 0])) == 1.0


def test_what_does_not_vary_has_no_share() -> None:
    assert share(np.array([0, 0, 1, 1]), np.full(4, 3.0)) is None


@pytest.mark.parametrize("block", [1, 7, 30, 1 << 21])
def test_counting_in_blocks_changes_nothing(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unigram, "_BLOCK", block)
    tokens = np.random.default_rng(3).integers(0, 9, 60)
    counter = TokenCounter(corpus(tokens))
    assert counter.of_corpus.by_id.tolist() == np.bincount(tokens).tolist()
    for rate, contexts in ((1.0, range(6)), (0.5, (0, 2, 5)), (0.25, ())):
        drawn = np.array([token for context in contexts for token in tokens[context * 10 : context * 10 + 10]], int)
        found = counter.of_sample(sample(rate, contexts))
        assert found.by_id.tolist() == np.bincount(drawn, minlength=tokens.max() + 1).tolist()


def test_a_sample_is_counted_once_for_all_features_of_its_rate() -> None:
    counter = TokenCounter(corpus(np.arange(60)))
    assert counter.of_sample(sample(0.5, (0, 2))) is counter.of_sample(sample(0.5, (0, 2), strongest=(4,)))


def test_of_a_sampled_feature_it_is_that_of_the_contexts_drawn() -> None:
    tokens = np.random.default_rng(4).integers(0, 9, 100)
    uniform, strongest = np.array([1, 4, 5]), np.array([2, 5])
    kept = np.concatenate([np.arange(context * 10, context * 10 + 10) for context in (1, 2, 4, 5)])
    positions = kept[::2]
    values = np.linspace(1, 2, positions.size).astype(np.float32)
    found = FeatureActivations(positions, values, ContextSample(uniform, strongest, 0.3, 50, 2.0))
    whole = np.zeros(100)
    whole[positions] = values
    drawn = np.concatenate([np.arange(context * 10, context * 10 + 10) for context in uniform])
    store = SimpleNamespace(feature=lambda _: found, n_tokens=tokens.size)
    assert FactReader(corpus(tokens), store).facts(0).unigram_share == share(tokens[drawn], whole[drawn])


def test_a_few_activations_say_nothing() -> None:
    ids, counts = np.array([7, 7]), np.array([0] * 7 + [2, 1000])
    assert explained_by_token(ids, np.ones(2), counts) is None
    assert explained_by_token(np.full(10, 7), np.ones(10), np.array([0] * 7 + [10, 1000])) == pytest.approx(1.0)
