"""Facts of ``harness.activations.facts``, on the corpora that are written down for this room."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.activations.cooccurrence import cooccurring
from harness.activations.facts import FLAGS, FactReader
from harness.activations.information import binary_entropy, positional_information

CONTEXTS = [(document, 10) for document in range(100)]


def facts_of(written_tokens: Any, written_activations: Any, fired: dict[int, float], tokens: Any = None) -> Any:
    corpus = written_tokens(CONTEXTS) if tokens is None else written_tokens(CONTEXTS, tokens)
    return FactReader(corpus, written_activations([fired, {}])).facts(0), corpus


def test_counts_values_and_deciles(written_tokens: Any, written_activations: Any) -> None:
    fired = {position: float(number + 1) for number, position in enumerate(range(3, 803, 40))}
    found, _ = facts_of(written_tokens, written_activations, fired)
    assert (found.n_active, found.density, found.max, found.mean) == (20, 0.02, 20.0, 10.5)
    assert found.deciles == (3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0, 17.0, 19.0)
    few, _ = facts_of(written_tokens, written_activations, {1: 1.0, 2: 3.0})
    assert (few.deciles, few.mean) == ((), 2.0)


def test_a_feature_that_never_fires_is_dead_and_nothing_else(written_tokens: Any, written_activations: Any) -> None:
    reader = FactReader(written_tokens(CONTEXTS), written_activations([{5: 0.0}, {}]))
    for feature in (0, 1):
        found = reader.facts(feature)
        assert (found.flags, found.max, found.positional_mi, found.top_tokens) == (("dead",), None, None, ())


def test_one_token(written_tokens: Any, written_activations: Any) -> None:
    corpus = written_tokens(CONTEXTS)
    on_seven = np.flatnonzero(corpus.tokens == 7)
    found, _ = facts_of(written_tokens, written_activations, dict.fromkeys(on_seven.tolist(), 2.0))
    assert found.flags == ("single_token", "unigram")
    (only,) = found.top_tokens
    assert (only.text, only.count, only.mean) == (" t7", on_seven.size, 2.0)


def test_the_token_before(written_tokens: Any, written_activations: Any) -> None:
    corpus = written_tokens(CONTEXTS)
    after_seven = [int(at) + 1 for at in np.flatnonzero(corpus.tokens[:-1] == 7) if (at + 1) % 10]
    found, _ = facts_of(written_tokens, written_activations, dict.fromkeys(after_seven, 1.0))
    assert (found.previous_token, found.previous_share, found.flags) == (" t7", 1.0, ("prior_token",))


def test_several_tokens_whatever_is_around_them(written_tokens: Any, written_activations: Any) -> None:
    corpus = written_tokens(CONTEXTS)
    fired = {int(at): float(corpus.tokens[at]) for at in np.flatnonzero((corpus.tokens > 6) & (corpus.tokens < 10))}
    found, _ = facts_of(written_tokens, written_activations, fired)
    assert (found.unigram_share, found.flags) == (1.0, ("unigram",))
    half = dict(list(fired.items())[::2])
    sometimes, _ = facts_of(written_tokens, written_activations, half)
    assert 0.2 < sometimes.unigram_share < 0.8
    assert sometimes.flags == ()


def test_the_beginning_of_contexts(written_tokens: Any, written_activations: Any) -> None:
    found, _ = facts_of(written_tokens, written_activations, dict.fromkeys(range(0, 1000, 10), 1.0))
    assert (found.previous_token, found.previous_share) == (None, 1.0)
    assert found.positional_share == pytest.approx(1.0, abs=0.02)
    assert found.positional_mi == pytest.approx(binary_entropy(0.1), abs=0.01)
    assert set(found.flags) == {"prior_token", "positional"}


def test_a_feature_that_fires_anywhere_has_no_place(written_tokens: Any, written_activations: Any) -> None:
    anywhere = np.random.default_rng(3).choice(1000, 200, replace=False)
    found, _ = facts_of(written_tokens, written_activations, dict.fromkeys(sorted(anywhere.tolist()), 1.0))
    assert found.positional_share < 0.02
    assert found.flags == ("dense",)


def test_chance_is_taken_off_on_average() -> None:
    draws = np.random.default_rng(0)
    at_place = np.full(64, 100)
    found = [positional_information(draws.choice(6400, 300, replace=False) % 64, at_place) for _ in range(200)]
    raw_chance = 63 / (2 * 6400 * np.log(2))
    assert np.mean(found) < 0.6 * raw_chance  # what is below 0 counts as 0, so the mean cannot be 0


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=200))
def test_information_is_never_negative_nor_more_than_there_is(places: list[int]) -> None:
    at_place = np.full(10, 200)
    information = positional_information(np.array(places), at_place)
    assert 0.0 <= information <= binary_entropy(len(places) / 2000) + 1e-12


def test_every_flag_is_a_fact(written_tokens: Any, written_activations: Any) -> None:
    found, _ = facts_of(written_tokens, written_activations, {4: 1.0})
    assert all(isinstance(getattr(found, flag), bool) for flag in FLAGS)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    features=st.lists(st.sets(st.integers(0, 40), max_size=30), min_size=2, max_size=7),
    k=st.integers(1, 6),
)
def test_those_that_fire_together(written_activations: Any, features: list[set[int]], k: int) -> None:
    store = written_activations([dict.fromkeys(sorted(positions), 1.0) for positions in features])
    asked = list(range(0, len(features), 2))
    for feature, found in zip(asked, cooccurring(store, asked, k), strict=True):
        index = {
            other: len(features[feature] & positions) / len(features[feature] | positions)
            for other, positions in enumerate(features)
            if other != feature and features[feature] & positions
        }
        expected = sorted(index.items(), key=lambda pair: (-pair[1], pair[0]))[:k]
        assert [(neighbour.feature, neighbour.similarity) for neighbour in found] == expected
