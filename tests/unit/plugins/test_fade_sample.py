from __future__ import annotations

import math
from dataclasses import replace

import pytest
from harness_fade.config import PurityConfig
from harness_fade.sample import Corpus, at_largest_magnitude, corpus_of, draw_sample, windows_of
from hypothesis import given
from hypothesis import strategies as st

from harness.api import Example, ExampleKind, Sampling, ScoreRecord
from harness.examples.presets import preset
from harness.testing import make_example, make_record

RECORD = make_record().for_scoring()


def windows(active: int, silent: int) -> tuple[list[Example], list[float]]:
    """Return windows of one token, the active ones with ascending values over all deciles."""
    examples = [
        make_example(["a"], [1.0 + place], document=place, decile=1 + place * 10 // active) for place in range(active)
    ] + [make_example(["b"], document=active + place) for place in range(silent)]
    return examples, [example.max_activation for example in examples]


@pytest.mark.parametrize(
    ("values", "expected"), [((1, -3, 2), -3), ((3, -3), 3), ((-3, 3), -3), ((0, 0), 0), ((), 0), ((0, 5), 5)]
)
def test_the_value_farthest_from_zero_keeps_its_sign(values: tuple[float, ...], expected: float) -> None:
    assert at_largest_magnitude(values) == expected


def test_all_windows_are_taken_if_there_are_few() -> None:
    examples, values = windows(20, 20)
    assert draw_sample(examples, values, 40, 0.1, Corpus(0.02), 0) == tuple(range(40))


def test_of_many_windows_the_strata_and_the_strongest_are_taken() -> None:
    examples, values = windows(1_000, 9_000)
    places = draw_sample(examples, values, 500, 0.1, Corpus(0.1), 0)
    # 112 of each stratum and the 52 strongest; some windows are both.
    assert 448 + 26 <= len(places) <= 500
    assert set(range(948, 1_000)) <= set(places)
    drawn = [place for place in places if place < 948]
    # A tenth of the corpus activates: the strongest twentieth is a stratum of its own, and a quarter of the one below
    # it is active, which gives some 28 of the weaker half.
    assert 112 - 26 <= sum(500 <= place < 948 for place in drawn) <= 112
    assert 14 <= sum(place < 500 for place in drawn) <= 44
    assert places == draw_sample(examples, values, 500, 0.1, Corpus(0.1), 0)
    assert places != draw_sample(examples, values, 500, 0.1, Corpus(0.1), 1)


def test_the_examples_made_for_it_leave_it_something_to_choose_from() -> None:
    half, config = preset("fade"), PurityConfig()
    for active in (half.score_activating, half.min_half_windows):
        examples, values = windows(active, half.score_non_activating)
        drawn = draw_sample(examples, values, config.n_natural, config.top_share, Corpus(0.05), 0)
        strongest = range(active - min(active, int(config.n_natural * config.top_share)), active)
        assert set(strongest) <= set(drawn)
        assert min(active, 20) <= sum(place < active for place in drawn) <= max(active, 164)
        # What is left over is the second sample.
        assert len(examples) - len(drawn) >= config.sparse_threshold


@given(st.integers(1, 60), st.integers(0, 60), st.integers(5, 50), st.floats(0, 0.9), st.floats(0, 1))
def test_a_sample_holds_known_windows_once_and_not_too_many(
    active: int, silent: int, n: int, top: float, share: float
) -> None:
    examples, values = windows(active, silent)
    places = draw_sample(examples, values, n, top, Corpus(share), 0)
    assert list(places) == sorted(set(places))
    assert len(places) <= n or len(examples) <= n
    assert all(0 <= place < len(examples) for place in places)
    if n * top >= 1:
        assert max(values) in [values[place] for place in places]


def test_the_share_of_the_corpus_that_activates_is_in_the_statistics() -> None:
    facts = RECORD.statistics
    assert corpus_of(RECORD).activating == pytest.approx(facts.n_activating_windows / (facts.n_tokens // 24))
    sparse = replace(RECORD, statistics=replace(facts, n_tokens=24 * 1_000, n_activating_windows=20))
    assert corpus_of(sparse).activating == pytest.approx(0.02)
    # A tenth of the contexts was looked at, and a few more that are strong.
    sampled = replace(
        sparse,
        statistics=replace(sparse.statistics, sampling=Sampling(0.1, uniform_contexts=90, strongest_contexts=10)),
    )
    assert corpus_of(sampled).activating == pytest.approx(20 / (1_000 * 0.1 * 100 / 90))
    assert corpus_of(replace(RECORD, statistics=replace(facts, n_tokens=0))).activating is None


def test_weights_are_the_shares_of_the_corpus_and_their_sum_is_one() -> None:
    examples = windows_of(RECORD)
    weights = Corpus(0.02).weights(examples)
    assert weights is not None
    assert math.fsum(weights) == pytest.approx(1.0)
    assert math.fsum(weights[:20]) == pytest.approx(0.02)
    assert len(set(weights[20:])) == 1
    assert Corpus(0.02).covered(examples) == pytest.approx(1.0)
    assert Corpus(0.02).covered(examples[2:]) == pytest.approx(1 - 0.002)


def test_hard_negatives_stand_for_nothing_and_unknown_is_none() -> None:
    hard = make_example(["x"], kind=ExampleKind.DECODER_NEIGHBOUR, document=99)
    weights = Corpus(0.5).weights((*windows_of(RECORD), hard))
    assert weights is not None
    assert weights[-1] == 0.0
    assert Corpus(0.5).weights((*RECORD.examples.activating, hard)) is None
    assert Corpus(1.0).weights(RECORD.examples.activating) is not None
    assert Corpus(None).weights(windows_of(RECORD)) is None
    assert Corpus(None).covered(windows_of(RECORD)) is None


def test_a_record_without_windows_tells_nothing() -> None:
    empty = ScoreRecord("s", 0, RECORD.statistics, replace(RECORD.examples, activating=(), non_activating=()))
    assert corpus_of(empty).activating is None


@pytest.mark.parametrize("kept", [slice(4), slice(12, None), slice(0, None, 5)])
def test_deciles_that_are_there_stand_for_those_that_are_not(kept: slice) -> None:
    active, silent = RECORD.examples.activating[kept], RECORD.examples.non_activating
    weights = Corpus(0.3).weights((*active, *silent))
    assert weights is not None
    assert math.fsum(weights) == pytest.approx(1.0)
    assert math.fsum(weights[: len(active)]) == pytest.approx(0.3)
    deciles = [example.decile for example in active]
    each = {decile: weights[deciles.index(decile)] * deciles.count(decile) for decile in deciles}
    assert list(each.values()) == pytest.approx([0.3 / len(each)] * len(each))
    # Nothing can stand for activating windows if there is none.
    assert Corpus(0.3).weights(silent) is None
    assert Corpus(0.0).weights(silent) is not None
