"""Negatives that are near a feature: shares, neighbours, similar texts."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.activations.cooccurrence import Neighbour
from harness.activations.protocol import ContextSample, FeatureActivations
from harness.config.schema import ExamplesConfig, NegativesConfig
from harness.errors import ConfigError
from harness.examples.build import RecordBuilder
from harness.examples.hard_negatives import FiringNeighbours, HardNegatives, SimilarTexts, pooled
from harness.examples.negative_sources import KINDS, hard_sources, shares
from harness.examples.record import ExampleKind, FeatureRecord, Origin, SkippedFeature
from harness.identity import fingerprint, plain

CONTEXTS, LENGTH, WIDTH = 40, 12, 4
MIXED = NegativesConfig(1.0, 1.0, 1.0, 1.0, 1.0)
SMALL = ExamplesConfig(
    window_tokens=WIDTH,
    peak_offset=3,
    explain_activating=6,
    explain_non_activating=2,
    score_activating=4,
    score_non_activating=10,
    negatives=MIXED,
    min_activating_windows=2,
    min_half_windows=1,
)
weights = st.builds(NegativesConfig, *[st.sampled_from([0.0, 0.1, 0.2, 1.0, 3.0, 1e9])] * 5).filter(
    lambda config: any(asdict(config).values())
)


@given(weights, st.integers(0, 200))
def test_shares_are_within_one_of_what_the_weights_say(config: NegativesConfig, count: int) -> None:
    given_weights = asdict(config)
    found = shares(config, count)
    assert sum(found.values()) == count
    for source, number in found.items():
        assert abs(number - count * given_weights[source] / sum(given_weights.values())) < 1
        assert number == 0 or given_weights[source] > 0


@pytest.mark.parametrize(
    ("config", "count", "expected"),
    [
        (NegativesConfig(), 20, [20, 0, 0, 0, 0]),
        (NegativesConfig(1, 1), 5, [3, 2, 0, 0, 0]),
        (NegativesConfig(2, 0, 0, 1, 1), 10, [5, 0, 0, 3, 2]),
        (NegativesConfig(0, 0.1, 0.2), 3, [0, 1, 2, 0, 0]),
        (MIXED, 3, [1, 1, 1, 0, 0]),
    ],
)
def test_of_equal_remainders_the_earlier_source_has_more(
    config: NegativesConfig, count: int, expected: list[int]
) -> None:
    assert list(shares(config, count).values()) == expected


@pytest.mark.parametrize(
    ("config", "where"),
    [
        (NegativesConfig(random=-1.0), "examples.negatives.random"),
        (NegativesConfig(similar=float("nan")), "examples.negatives.similar"),
        (NegativesConfig(cooccurring=float("inf")), "examples.negatives.cooccurring"),
        (NegativesConfig(random=0.0), "examples.negatives"),
    ],
)
def test_weights_that_say_nothing_are_refused(
    written_tokens: Any, written_activations: Any, config: NegativesConfig, where: str
) -> None:
    tokens = written_tokens([(0, LENGTH)])
    with pytest.raises(ConfigError) as refused:
        RecordBuilder("s", tokens, written_activations([]), replace(SMALL, negatives=config), 0)
    assert refused.value.where == where


def test_without_hard_negatives_the_protocol_is_what_it_was(written_tokens: Any, written_activations: Any) -> None:
    tokens, activations = written_tokens([(0, LENGTH)]), written_activations([])

    def protocol(config: NegativesConfig, embedder: Any = None) -> str:
        return RecordBuilder("s", tokens, activations, replace(SMALL, negatives=config), 3, None, embedder).protocol

    before = {key: value for key, value in plain(SMALL).items() if key not in {"preset", "negatives"}}
    assert protocol(NegativesConfig()) == fingerprint({"corpus": "corpus", "examples": before, "seed": 3, "rules": 1})
    others = [
        protocol(NegativesConfig(cooccurring=1.0)),
        protocol(NegativesConfig(similar=1.0), {"model": "a"}),
        protocol(NegativesConfig(similar=1.0), {"model": "b"}),
    ]
    assert len({protocol(NegativesConfig()), *others}) == 4


def corpus(written_tokens: Any) -> Any:
    return written_tokens([(context, LENGTH) for context in range(CONTEXTS)])


def at(windows: list[int], value: float = 1.0) -> dict[int, float]:
    """Return activations, one in each of some windows of the grid, the earlier the stronger."""
    return {window * WIDTH + 1: value - place / 1024 for place, window in enumerate(windows)}


class Walk:
    """A target that fires in every tenth window of a corpus of 120, and its neighbours."""

    def __init__(self, tokens: Any, activations_type: Any, *neighbours: list[int], config: Any = SMALL) -> None:
        self.tokens = tokens
        probe = RecordBuilder("s", tokens, activations_type([{}]), config, 0)
        self.score = probe.score_windows.tolist()
        self.target = [*range(0, 3 * CONTEXTS, 10)]
        self.free = [window for window in self.score if window not in self.target]
        features = [at(self.target), *(at([self.free[place] for place in places]) for places in neighbours)]
        self.builder = RecordBuilder("s", tokens, activations_type(features), config, 0)
        record = self.builder.build(0)
        assert isinstance(record, FeatureRecord)
        self.record = replace(record, score=replace(record.score, non_activating=()))

    def found(self, *similarities: float, count: int) -> list[tuple[int, int | None, float]]:
        near = {0: [Neighbour(1 + place, value) for place, value in enumerate(similarities)]}
        free = self.builder.free_windows(self.record)
        assert np.flatnonzero(free).tolist() == self.free
        found = FiringNeighbours(self.builder, near).find(self.record, free, count)
        return [(self.free.index(window), origin.feature, origin.similarity) for window, origin in found]


def test_neighbours_give_their_strongest_windows_in_turn(written_tokens: Any, written_activations: Any) -> None:
    walk = Walk(corpus(written_tokens), written_activations, [5, 3, 9], [3, 7, 5, 8], [1, 2])
    # The second has lost windows 3 and 5 to the nearer first; the third is not needed for four.
    assert walk.found(0.9, 0.5, 0.4, count=4) == [(5, 1, 0.9), (7, 2, 0.5), (3, 1, 0.9), (8, 2, 0.5)]
    assert [window for window, _, _ in walk.found(0.9, 0.5, 0.4, count=3)] == [5, 3, 9]
    every = walk.found(0.9, 0.5, 0.4, count=99)
    assert [window for window, _, _ in every] == [5, 7, 1, 3, 8, 2, 9]  # there are no more


def test_one_neighbour_gives_ten_windows_and_one_that_is_not_near_none(
    written_tokens: Any, written_activations: Any
) -> None:
    walk = Walk(corpus(written_tokens), written_activations, list(range(20)), [30, 31])
    assert Counter(feature for _, feature, _ in walk.found(0.5, 0.1, count=15)) == {1: 10, 2: 2}
    assert Counter(feature for _, feature, _ in walk.found(0.5, 0.0, count=15)) == {1: 10}
    assert walk.found(0.5, 0.1, count=0) == []


def test_of_sampled_features_only_silence_that_is_known_counts(written_tokens: Any, written_activations: Any) -> None:
    tokens = corpus(written_tokens)
    uniform, strongest = np.arange(0, CONTEXTS, 3), np.array([1, 4, 7, 10, 13])

    class Sampled(written_activations):  # type: ignore[misc]
        def feature(self, index: int) -> FeatureActivations:
            every = super().feature(index)
            if index:
                return every  # type: ignore[no-any-return]
            inside = np.isin(every.positions // LENGTH, [*uniform, *strongest])
            sample = ContextSample(uniform, strongest, 0.3, every.positions.size, 1.0)
            return FeatureActivations(every.positions[inside], every.values[inside], sample)

    fired = at(list(range(0, 3 * CONTEXTS, 2)))
    builder = RecordBuilder("s", tokens, Sampled([fired]), SMALL, 0)
    record = builder.build(0)
    assert isinstance(record, FeatureRecord)
    free = set(np.flatnonzero(builder.free_windows(record)).tolist())
    drawn = {example.start // WIDTH for example in record.score.non_activating}
    known = {window for window in builder.score_windows.tolist() if window // 3 in {*uniform, *strongest}}
    assert free == {window for window in known if window % 2} - drawn
    assert {window // 3 for window in free} & set(strongest.tolist())


def near_texts(builder: RecordBuilder, vectors: np.ndarray, pool: np.ndarray | None = None) -> SimilarTexts:
    pool = builder.score_windows if pool is None else pool
    texts = [builder.text(ids) for ids in builder.token_ids(np.arange(len(vectors))).tolist()]
    return SimilarTexts(builder, pool, vectors[pool], lambda some: vectors[[texts.index(one) for one in some]])


def test_activating_windows_choose_the_nearest_that_is_left_in_turn(
    written_tokens: Any, written_activations: Any
) -> None:
    walk = Walk(corpus(written_tokens), written_activations, config=replace(SMALL, score_activating=2))
    first, second = (example.start // WIDTH for example in walk.record.score.activating)
    vectors = np.zeros((3 * CONTEXTS, 8), dtype=np.float32)
    vectors[:, 7] = 1.0
    vectors[first], vectors[second] = np.eye(8)[0], np.eye(8)[1]
    for place, near in enumerate([[0.9, 0.1], [0.8, 0.5], [0.7, 0.0], [0.0, 0.3]]):
        vectors[walk.free[10 + place]] = [*near, 0, 0, 0, 0, 0, (1 - near[0] ** 2 - near[1] ** 2) ** 0.5]
    free = walk.builder.free_windows(walk.record)
    for pool in (walk.builder.score_windows, np.array(walk.free)):  # the second has to embed the activating ones anew
        found = near_texts(walk.builder, vectors, pool).find(walk.record, free, 4)
        assert [walk.free.index(window) - 10 for window, _ in found] == [0, 1, 2, 3]
        assert [origin.similarity for _, origin in found] == pytest.approx([0.9, 0.5, 0.7, 0.3])
        assert {origin.feature for _, origin in found} == {None}


def test_a_window_of_the_same_tokens_is_no_negative(written_tokens: Any, written_activations: Any) -> None:
    written = np.arange(CONTEXTS * LENGTH, dtype=np.uint16)
    tokens = written_tokens([(context, LENGTH) for context in range(CONTEXTS)], written)
    walk = Walk(tokens, written_activations)
    shown, twin, other = walk.record.score.activating[0].start // WIDTH, *walk.free[:2]
    written[twin * WIDTH : (twin + 1) * WIDTH] = written[shown * WIDTH : (shown + 1) * WIDTH]
    vectors = np.tile(np.eye(2, dtype=np.float32)[1], (3 * CONTEXTS, 1))
    vectors[[shown, twin, other]] = np.eye(2)[0]
    found = near_texts(walk.builder, vectors).find(walk.record, walk.builder.free_windows(walk.record), 1)
    assert [window for window, _ in found] == [other]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.integers(0, 9999), st.sampled_from(["tile", "peak"]), weights)
def test_mixed_records_keep_every_promise(
    written_tokens: Any, written_activations: Any, seed: int, align: str, config: NegativesConfig
) -> None:
    draws = np.random.default_rng(seed)
    tokens = corpus(written_tokens)
    features = [
        {int(place): float(draws.exponential()) for place in draws.choice(CONTEXTS * LENGTH, n, replace=False)}
        for n in draws.integers(5, 90, 6)
    ]
    examples = replace(SMALL, align=align, negatives=config)
    builder = RecordBuilder("s", tokens, written_activations(features), examples, seed)
    record = builder.build(0)
    if isinstance(record, SkippedFeature):
        return
    near = {0: [Neighbour(feature, 1.0 / feature) for feature in range(1, 6)]}
    vectors = draws.standard_normal((builder.score_windows.size, 3)).astype(np.float32)
    texts = SimilarTexts(builder, builder.score_windows, vectors, lambda some: np.ones((len(some), 3), np.float32))
    wanted = shares(config, examples.score_non_activating)
    finders = {
        source: texts if source == "similar" else FiringNeighbours(builder, near) for source in hard_sources(config)
    }
    mixed = HardNegatives(builder, finders, wanted).added(record)
    assert replace(mixed, score=record.score) == record
    assert mixed.score.non_activating[: len(record.score.non_activating)] == record.score.non_activating
    found = Counter(example.kind for example in mixed.score.non_activating)
    assert all(found[KINDS[source]] <= number for source, number in wanted.items())
    assert found[ExampleKind.SIMILAR] == wanted["similar"] or not builder.free_windows(mixed).any()
    spans = sorted(example.start for example in (*mixed.score.activating, *mixed.score.non_activating))
    assert all(second - first >= WIDTH for first, second in pairwise(spans))
    for example in mixed.score.non_activating:
        span = range(example.start, example.start + WIDTH)
        assert not any(place in features[0] for place in span)
        assert set(example.activations) == {0.0}
        assert not builder._explain[example.document]
        assert example.token_ids == tuple(tokens.tokens[example.start : example.start + WIDTH].tolist())
        assert (example.origin is None) == (example.kind is ExampleKind.RANDOM)
        if example.origin is not None and example.origin.feature is not None:
            assert example.origin == Origin(round(1.0 / example.origin.feature, 6), example.origin.feature)
            assert any(place in features[example.origin.feature] for place in span)


def test_the_pool_is_a_seeded_draw_where_there_are_more() -> None:
    windows = np.arange(0, 400, 4)
    assert pooled(windows, 0, 100) is windows
    drawn = pooled(windows, 0, 30)
    assert drawn.tolist() == sorted(set(drawn.tolist()) & set(windows.tolist()))
    assert len(drawn) == 30
    assert pooled(windows, 0, 30).tolist() == drawn.tolist() != pooled(windows, 1, 30).tolist()
