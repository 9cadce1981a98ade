"""Features of which a store keeps only some contexts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.activations.facts import FactReader
from harness.activations.protocol import ContextSample, FeatureActivations
from harness.config.schema import ExamplesConfig
from harness.examples.build import RecordBuilder
from harness.examples.record import FeatureRecord, SkippedFeature

CONTEXTS, LENGTH, WIDTH = 120, 13, 4
CONFIG = ExamplesConfig(
    window_tokens=WIDTH,
    peak_offset=3,
    explain_activating=12,
    explain_non_activating=3,
    score_activating=12,
    score_non_activating=6,
    min_activating_windows=10,
    min_half_windows=2,
)


@dataclass
class Sampled:
    """One feature, first with everything kept and then with some contexts."""

    every: FeatureActivations
    sample: ContextSample
    n_tokens: int = CONTEXTS * LENGTH
    n_features: int = 2
    fingerprint: str = "activations"

    def __post_init__(self) -> None:
        self.dropped: dict[str, int] = {}

    def feature(self, index: int) -> FeatureActivations:
        if index == 0:
            return self.every
        kept = np.union1d(self.sample.uniform, self.sample.strongest)
        inside = np.isin(self.every.positions // LENGTH, kept)
        return FeatureActivations(self.every.positions[inside], self.every.values[inside], self.sample)

    def counts(self) -> np.ndarray:
        return np.array([self.every.positions.size] * 2)


def sampled(seed: int, share: float = 0.3, strongest: int = 6) -> Sampled:
    draws = np.random.default_rng(seed)
    positions = np.flatnonzero(draws.random(CONTEXTS * LENGTH) < share)
    values = (draws.permutation(positions.size) + 1).astype(np.float32) / 8
    best = np.zeros(CONTEXTS)
    np.maximum.at(best, positions // LENGTH, values)
    uniform = np.flatnonzero(draws.random(CONTEXTS) < 0.5)
    top = np.sort(np.argsort(best)[-strongest:])
    sample = ContextSample(uniform, top, 0.5, int(positions.size), float(values.max()))
    return Sampled(FeatureActivations(positions, values), sample)


def built(written_tokens: Any, store: Sampled, feature: int = 1, **changes: Any) -> Any:
    tokens = written_tokens([(context, LENGTH) for context in range(CONTEXTS)])
    return RecordBuilder("s", tokens, store, replace(CONFIG, **changes), 0).build(feature)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 500),
    strategy=st.sampled_from(["top", "random", "quantiles", "mix", "importance"]),
    align=st.sampled_from(["tile", "peak"]),
)
def test_only_kept_contexts_are_known(written_tokens: Any, seed: int, strategy: str, align: str) -> None:
    store = sampled(seed)
    record = built(written_tokens, store, explain_strategy=strategy, score_strategy=strategy, align=align)
    assert isinstance(record, FeatureRecord)
    uniform, strongest = set(store.sample.uniform.tolist()), set(store.sample.strongest.tolist())
    fired = dict(zip(store.every.positions.tolist(), store.every.values.tolist(), strict=True))
    drawn_only = strategy in {"random", "quantiles", "importance"}
    for half in (record.explain, record.score):
        assert half.non_activating
        for example in half.non_activating:
            assert example.document in uniform
            # Silent in the whole corpus, not only in what is kept of it.
            assert not any(at in fired for at in range(example.start, example.start + WIDTH))
        for example in half.activating:
            assert example.document in (uniform if drawn_only else uniform | strongest)
            assert list(example.activations) == [
                fired.get(at, 0.0) for at in range(example.start, example.start + WIDTH)
            ]
            edges = record.statistics.decile_edges
            assert example.decile == 1 + sum(edge <= example.max_activation for edge in edges)


@pytest.mark.parametrize("seed", range(4))
def test_statistics_are_exact_where_they_can_be_and_say_what_they_are_of(written_tokens: Any, seed: int) -> None:
    store = sampled(seed)
    statistics = built(written_tokens, store).statistics
    assert statistics.n_active_tokens == store.sample.n_active
    assert statistics.max_activation == store.sample.max
    assert statistics.density == store.sample.n_active / store.n_tokens
    sampling = statistics.sampling
    assert (sampling.rate, sampling.uniform_contexts, sampling.strongest_contexts) == (
        0.5,
        store.sample.uniform.size,
        6,
    )
    windows: dict[tuple[int, int], float] = {}
    for at, value in zip(store.every.positions.tolist(), store.every.values.tolist(), strict=True):
        place = at // LENGTH, at % LENGTH // WIDTH
        if place[1] < LENGTH // WIDTH:
            windows[place] = max(value, windows.get(place, 0.0))
    uniform = set(store.sample.uniform.tolist())
    kept = uniform | set(store.sample.strongest.tolist())
    assert statistics.n_activating_windows == sum(context in kept for context, _ in windows)
    strengths = np.sort([value for (context, _), value in windows.items() if context in uniform])
    first = [-(-decile * strengths.size // 10) for decile in range(1, 10)]
    assert statistics.decile_edges == tuple(strengths[first].tolist())


def test_the_strongest_windows_are_those_of_the_whole_corpus(written_tokens: Any) -> None:
    changes = {"explain_strategy": "top", "score_strategy": "top", "explain_activating": 2, "score_activating": 2}
    for seed in range(20):
        store = sampled(seed, strongest=14)
        whole, part = (built(written_tokens, store, feature, **changes) for feature in (0, 1))
        for half in ("explain", "score"):
            one, other = getattr(whole, half).activating, getattr(part, half).activating
            in_strongest = [example for example in one if example.document in store.sample.strongest]
            assert [example.key for example in in_strongest] == [example.key for example in other][: len(in_strongest)]


def test_a_sample_of_everything_gives_the_record_of_everything(written_tokens: Any) -> None:
    store = sampled(1)
    store.sample = replace(store.sample, uniform=np.arange(CONTEXTS), rate=1.0)
    tokens = written_tokens([(context, LENGTH) for context in range(CONTEXTS)])

    class AlwaysZero(Sampled):
        """The sampled feature under the number of the whole one: draws depend on the number."""

        def feature(self, index: int) -> FeatureActivations:
            return super().feature(1 - index)

    whole = RecordBuilder("s", tokens, store, CONFIG, 0).build(0)
    part = RecordBuilder("s", tokens, AlwaysZero(store.every, store.sample), CONFIG, 0).build(0)
    assert isinstance(whole, FeatureRecord)
    assert isinstance(part, FeatureRecord)
    assert part.statistics.sampling is not None
    assert replace(part, statistics=replace(part.statistics, sampling=None)) == whole


def test_too_few_uniform_windows_are_said(written_tokens: Any) -> None:
    store = sampled(0)
    store.sample = replace(store.sample, uniform=store.sample.uniform[:1], strongest=np.arange(60))
    result = built(written_tokens, store)
    assert isinstance(result, SkippedFeature)
    assert result.reason in {"too_few_explain_windows", "too_few_score_windows"}


def test_facts(written_tokens: Any) -> None:
    store = sampled(3)
    tokens = written_tokens([(context, LENGTH) for context in range(CONTEXTS)])
    whole, part = (FactReader(tokens, store).facts(feature) for feature in (0, 1))
    assert (part.n_active, part.density, part.max) == (whole.n_active, whole.density, whole.max)
    assert (whole.sampled, part.sampled) == (False, True)
    assert "sampled" in part.flags
    inside = np.isin(store.every.positions // LENGTH, store.sample.uniform)
    values = store.every.values[inside]
    assert part.mean == values.mean(dtype=np.float64)
    assert part.deciles[4] == np.sort(values)[-(-5 * values.size // 10)]
    ids = tokens.tokens[store.every.positions[inside]]
    assert part.token_share == np.bincount(ids).max() / values.size
    everything = replace(store.sample, uniform=np.arange(CONTEXTS))
    same = FactReader(tokens, Sampled(store.every, everything)).facts(1)
    assert replace(same, sampled=False, feature=0) == whole


def test_facts_without_a_uniform_activation(written_tokens: Any) -> None:
    store = sampled(3)
    store.sample = replace(store.sample, uniform=np.zeros(0, dtype=np.int64))
    tokens = written_tokens([(context, LENGTH) for context in range(CONTEXTS)])
    part = FactReader(tokens, store).facts(1)
    assert (part.n_active, part.mean, part.top_tokens) == (store.sample.n_active, None, ())
