from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.config.schema import ExamplesConfig
from harness.errors import ConfigError, CorpusError, FeatureSourceError
from harness.examples.build import RecordBuilder
from harness.examples.checks import STRATEGIES
from harness.examples.record import ExampleKind, FeatureRecord, SkippedFeature

relaxed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=120)
SMALL = ExamplesConfig(
    window_tokens=4,
    peak_offset=3,
    explain_activating=6,
    explain_non_activating=2,
    score_activating=6,
    score_non_activating=4,
    min_activating_windows=2,
    min_half_windows=1,
)


@pytest.fixture
def build(written_tokens: Any, written_activations: Any) -> Any:
    def built(
        fired: dict[int, float], config: ExamplesConfig = SMALL, seed: int = 0, documents: int = 40, **changes: Any
    ) -> Any:
        tokens = written_tokens([(document, 13) for document in range(documents)])
        builder = RecordBuilder("s", tokens, written_activations([fired, {}]), replace(config, **changes), seed)
        return builder, tokens, builder.build(0)

    return built


def every(step: int, n_tokens: int = 520) -> dict[int, float]:
    return {position: 1.0 + position / 64 for position in range(0, n_tokens, step)}


@relaxed
@given(
    fired=st.dictionaries(st.integers(0, 519), st.integers(1, 40).map(lambda n: n / 4), max_size=150),
    copies=st.integers(1, 40),
    seed=st.integers(0, 5),
    align=st.sampled_from(["tile", "peak"]),
    strategy=st.sampled_from(STRATEGIES),
    share=st.sampled_from([0.2, 0.5, 0.8]),
)
def test_final_records_keep_every_promise(
    written_tokens: Any,
    written_activations: Any,
    fired: dict[int, float],
    copies: int,
    seed: int,
    align: str,
    strategy: str,
    share: float,
) -> None:
    texts = np.random.default_rng(copies).integers(0, 50, (copies, 13))
    written = texts[np.arange(40) % copies].reshape(-1).astype(np.uint16)
    tokens = written_tokens([(document, 13) for document in range(40)], written)
    config = replace(SMALL, align=align, explain_strategy=strategy, score_strategy=strategy, explain_share=share)
    record = RecordBuilder("s", tokens, written_activations([fired]), config, seed).build(0)
    if isinstance(record, SkippedFeature):
        assert record.reason
        return
    assert not record.explain.documents & record.score.documents
    # Not only the numbers of the documents: no text of one half is in the other, copies included.
    texts_of = [
        {tuple(written.reshape(40, 13)[document]) for document in half.documents}
        for half in (record.explain, record.score)
    ]
    assert not texts_of[0] & texts_of[1]
    for half in (record.explain, record.score):
        examples = (*half.activating, *half.non_activating)
        assert len({example.key for example in examples}) == len(examples)
        spans = sorted(example.start for example in examples)
        assert all(second - first >= 4 for first, second in pairwise(spans))
        strengths = [example.max_activation for example in half.activating]
        assert strengths == sorted(strengths, reverse=True)
        for example in examples:
            span = range(example.start, example.start + 4)
            assert list(example.activations) == [fired.get(at, 0.0) for at in span]
            assert list(example.token_ids) == written[example.start : example.start + 4].tolist()
            assert example.document == example.start // 13 == (example.start + 3) // 13
            assert example.activating == (example.max_activation > 0) == (example.decile is not None)


def test_record_in_full(build: Any) -> None:
    fired = every(26)
    builder, tokens, record = build(fired)
    assert isinstance(record, FeatureRecord)
    assert (record.subject, record.feature, record.protocol) == ("s", 0, builder.protocol)
    statistics = record.statistics
    assert statistics.n_active_tokens == statistics.n_activating_windows == 20
    assert statistics.max_activation == max(fired.values())
    assert statistics.n_tokens == 1000
    assert len(statistics.decile_edges) == 9
    assert len(record.explain.activating) == len(record.score.activating) == 6
    assert len(record.explain.non_activating) == 2
    assert [example.kind for example in record.score.non_activating] == [ExampleKind.RANDOM] * 4
    first = record.explain.activating[0]
    assert first.tokens == tokens.token_texts(first.token_ids)
    assert builder.leftover_tokens == 40
    assert build(fired)[2] == record
    assert build(fired, seed=1)[2] != record


def test_deciles_are_of_the_whole_distribution(build: Any) -> None:
    fired = every(13)
    record = build(fired, explain_activating=99, score_activating=99)[2]
    examples = (*record.explain.activating, *record.score.activating)
    assert len(examples) == 40
    by_strength = sorted(examples, key=lambda example: example.max_activation)
    assert [example.decile for example in by_strength] == [number // 4 + 1 for number in range(40)]


def test_top_tokens_come_from_the_explain_half_only(build: Any) -> None:
    fired = every(13)
    builder, tokens, record = build(fired)
    firing: dict[str, list[float]] = {}
    for position, value in fired.items():
        if builder._explain[position // 13]:
            firing.setdefault(f" t{tokens.tokens[position]}", []).append(value)
    means = {text: float(np.mean(values)) for text, values in firing.items()}
    order = sorted(firing, key=lambda text: (len(firing[text]) < 2, -means[text]))
    assert [text for text, _ in record.statistics.top_tokens] == order[:10]
    assert dict(record.statistics.top_tokens) == pytest.approx({text: means[text] for text in order[:10]})
    assert record.for_scoring().statistics.top_tokens == ()


def test_a_scorer_sees_no_token_that_an_explainer_is_told(build: Any) -> None:
    _, _, record = build(every(13))
    told = replace(record.statistics, top_logit_tokens=("secret",), bottom_logit_tokens=("hidden",))
    record = replace(record, statistics=told)
    assert record.for_explaining().statistics == told
    blanked = {"top_tokens": (), "top_logit_tokens": (), "bottom_logit_tokens": ()}
    assert record.for_scoring().statistics == replace(told, **blanked)
    assert not any(word in repr(record.for_scoring()) for word in ("secret", "hidden"))


def test_fewer_silent_windows_than_asked_are_all_there_are(build: Any) -> None:
    fired = {position: 1.0 for start in range(0, 520, 13) for position in (start, start + 4)}
    builder, _, record = build(fired, score_non_activating=500)
    found = record.score.non_activating
    assert len(found) == int((~builder._explain).sum())
    assert {example.start % 13 for example in found} == {8}


@pytest.mark.parametrize(
    ("fired", "changes", "reason", "detail"),
    [
        ({}, {}, "dead", "it never fires on 1000 tokens"),
        ({0: 1.0, 1: 1.0}, {}, "too_few_windows", "it fires in 1 windows, and 2 are asked for"),
        ({0: -1.0, 13: -1.0}, {}, "too_few_windows", "it fires in 0 windows"),
        (every(26), {"min_half_windows": 12}, "too_few_explain_windows", "it fires in 9 windows of the explain half"),
        (every(1), {}, "no_silent_windows", "it fires in every window of the explain half"),
        (every(1), {"explain_non_activating": 0}, "no_silent_windows", "it fires in every window of the score half"),
    ],
)
def test_skipped_features_say_why(build: Any, fired: Any, changes: Any, reason: str, detail: str) -> None:
    result = build(fired, **changes)[2]
    assert isinstance(result, SkippedFeature)
    assert result.reason == reason
    assert detail in result.detail


def test_silent_windows_are_only_needed_where_they_are_asked_for(build: Any) -> None:
    record = build(every(1), explain_non_activating=0, score_non_activating=0)[2]
    assert isinstance(record, FeatureRecord)


def test_draws_depend_on_subject_and_feature(written_tokens: Any, written_activations: Any) -> None:
    tokens = written_tokens([(document, 13) for document in range(40)])
    activations = written_activations([every(13), every(13)])
    one, two = (RecordBuilder(name, tokens, activations, SMALL, 0) for name in "ab")
    records = [one.build(0), one.build(1), two.build(0)]
    assert len({record.score.non_activating for record in records if isinstance(record, FeatureRecord)}) == 3
    assert one.protocol == two.protocol


def test_protocol_is_of_all_that_determines_the_windows(written_tokens: Any, written_activations: Any) -> None:
    def protocol(fingerprint: str = "corpus", seed: int = 0, **changes: Any) -> str:
        tokens = written_tokens([(0, 13)], fingerprint=fingerprint)
        return RecordBuilder("s", tokens, written_activations([]), replace(SMALL, **changes), seed).protocol

    assert protocol(preset="another name") == protocol()
    others = [protocol("c"), protocol(seed=1), protocol(window_tokens=5), protocol(min_half_windows=2)]
    assert len({protocol(), *others}) == 5


def test_corpus_shorter_than_a_window(build: Any) -> None:
    with pytest.raises(CorpusError, match=r"longest context has 13 tokens, and examples\.window_tokens is 14"):
        build({}, window_tokens=14)


def test_feature_out_of_range(build: Any) -> None:
    with pytest.raises(FeatureSourceError):
        build({})[0].build(2)


@pytest.mark.parametrize(
    "changes",
    [
        {"window_tokens": 0},
        {"explain_share": 1.0},
        {"explain_share": 0.0},
        {"mix_top": 1.5},
        {"align": "centre"},
        {"align": "peak", "peak_offset": 4},
        {"score_strategy": "best"},
        {"explain_activating": 0},
        {"score_non_activating": -1},
    ],
)
def test_nonsense_is_refused(build: Any, changes: Any) -> None:
    with pytest.raises(ConfigError, match=r"examples\."):
        build({}, **changes)
