"""What the sources of negatives get, and what is told of them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from harness.config.schema import EmbedderConfig, ExamplesConfig, NegativesConfig
from harness.errors import ConfigError, FeatureSourceError
from harness.examples.build import RecordBuilder
from harness.examples.record import ExampleKind, FeatureRecord, Origin
from harness.outcome import Outcome
from harness.progress import SILENT
from harness.results.codec import encode
from harness.runner import negatives
from harness.runner.features import feature_lines
from harness.runner.negatives import Negatives, choosing_embedder, negatives_facts, split_by_silent
from harness.runner.score import _items
from harness.scoring.protocol import Item, Score
from harness.testing import FakeEmbedder
from tests.unit.examples.conftest import WrittenActivations, WrittenTokens

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.run_bench import Bench

DOCUMENTS, LENGTH, WIDTH = 40, 12, 4
EXAMPLES = ExamplesConfig(
    window_tokens=WIDTH,
    score_activating=3,
    score_non_activating=10,
    negatives=NegativesConfig(1, 1, 1, 1, 1),
    min_activating_windows=2,
    min_half_windows=1,
)
DIRECTIONS = torch.tensor([[1.0, 0.0], [0.9, 0.1], [-1.0, 0.1]])


class Said:
    """Notes what is said; shows no bars."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)

    def __getattr__(self, name: str) -> Any:
        return getattr(SILENT, name)


class Store(WrittenActivations):
    """A store that keeps all activations of every feature."""

    def kept_of_all(self) -> None:
        return None


def source(*, writes: bool = True, reads: bool = True) -> Any:
    """A source whose features 0 and 1 write alike, and 0 and 2 are read alike."""
    flipped = DIRECTIONS[[0, 2, 1]]
    given: dict[str, Any] = {"n_features": 3, "kind": "sae", "hookpoint": "here"}
    given["write_directions"] = lambda features: DIRECTIONS[list(features)] if writes else None
    if reads:
        given["read_directions"] = lambda features: flipped[list(features)]
    return SimpleNamespace(**given)


@pytest.fixture
def made(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what adds negatives to the records of one subject, with its other parts."""
    embedded: list[str] = []
    fake = FakeEmbedder()

    def vectors(texts: Any) -> np.ndarray:
        embedded.extend(texts)
        return np.stack([fake._vector(text) for text in texts])

    monkeypatch.setattr(negatives, "open_embedder", lambda *_: SimpleNamespace(identity=fake.identity, vectors=vectors))
    tokens = WrittenTokens([(document, LENGTH) for document in range(DOCUMENTS)])
    everywhere = range(0, DOCUMENTS * LENGTH, WIDTH)
    fires = [
        {at: 1.0 for place, at in enumerate(everywhere) if place % 6 == 0},
        {at: 1.0 for place, at in enumerate(everywhere) if place % 3 == 0},
        {at + 1: 1.0 for place, at in enumerate(everywhere) if place % 6 == 1},
    ]
    store = Store(fires, DOCUMENTS * LENGTH)

    def make(config: NegativesConfig, given: Any = None) -> Any:
        bench.change(examples=replace(EXAMPLES, negatives=config), embedder=EmbedderConfig(path="e"))
        said: Any = Said()
        models: Any = SimpleNamespace(load=lambda _: (None, given or source()))
        adding = Negatives(bench.resolved, models, tmp_path, said)
        builder = RecordBuilder("planted", tokens, store, bench.resolved.examples, 0)
        records = [record for record in map(builder.build, (0, 1)) if isinstance(record, FeatureRecord)]
        arguments: Any = (bench.resolved.subjects["planted"], tokens, store, builder, records)
        return SimpleNamespace(adding=adding, added=lambda: adding.added(*arguments), said=said, embedded=embedded)

    return make


def of_kind(record: FeatureRecord, kind: str) -> list[Origin | None]:
    return [example.origin for example in record.score.non_activating if example.kind == kind]


def test_every_source_gives_its_share_and_says_what_is_near(made: Any, bench: Bench) -> None:
    run = made(NegativesConfig(1, 1, 1, 1, 1))
    run.adding.check()
    first, second = run.added()
    cosine: Any = pytest.approx(0.9 / (0.9**2 + 0.1**2) ** 0.5)
    assert of_kind(first, "decoder_neighbour") == [Origin(cosine, 1)] * 2
    assert of_kind(first, "encoder_neighbour") == [Origin(cosine, 2)] * 2
    assert of_kind(second, "encoder_neighbour") == []  # the others are read along directions that point away
    assert of_kind(first, "cooccurring") == [Origin(0.5, 1)] * 2
    assert len(of_kind(first, "similar")) == len(of_kind(first, "random")) == 2
    # All that feature 0 fires in feature 1 fires in: of its neighbours none is left where it is silent.
    assert of_kind(second, "decoder_neighbour") == of_kind(second, "cooccurring") == []
    facts = negatives_facts(bench.resolved, [first, second])
    assert facts["decoder_neighbours"] == facts["cooccurring"] == {"asked": 4, "found": 2}
    assert facts["similar"] == facts["random"] == {"asked": 4, "found": 4}
    told = "planted: 1 of 2 features have fewer cooccurring than the 2 asked for (2 of 4 in all); nothing takes"
    assert [line for line in run.said.lines if line.startswith(told)]


def test_a_feature_for_which_no_source_finds_a_window_is_left_out_and_says_which(made: Any, bench: Bench) -> None:
    """Nothing is drawn at random. Feature 1 has a neighbour as well, but fires wherever that one does."""
    added = made(NegativesConfig(0, 0, 0, 1, 0)).added()
    records, skipped = split_by_silent(bench.resolved, added)
    assert [record.feature for record in records] == [0]
    assert {example.kind for example in records[0].score.non_activating} == {ExampleKind.COOCCURRING}
    assert [(one.feature, one.reason) for one in skipped] == [(1, "no_silent_windows")]
    why = "cooccurring finds no silent window for it; examples.negatives.random=1 draws some at random besides"
    assert skipped[0].detail == why
    bench.change(examples=replace(bench.resolved.examples, score_non_activating=0))
    assert split_by_silent(bench.resolved, added) == (added, [])


def test_windows_are_embedded_once_for_all_features_and_runs(made: Any) -> None:
    config = NegativesConfig(1, 0, 0, 0, 1)
    first = made(config)
    added = first.added()
    assert len(first.embedded) == len(set(first.embedded)) > 40
    again = made(config)
    before = len(again.embedded)
    assert again.added() == added
    assert len(again.embedded) == before
    assert again.said.lines == []


def test_what_is_asked_for_0_times_is_not_looked_for(made: Any) -> None:
    run = made(NegativesConfig(1000, 0, 0, 0, 1))
    assert [len(record.score.non_activating) for record in run.added()] == [10, 10]
    assert run.embedded == []


@pytest.mark.parametrize(
    ("config", "given", "verb"),
    [
        (NegativesConfig(decoder_neighbours=1), source(writes=False), "write none"),
        (NegativesConfig(encoder_neighbours=1), source(reads=False), "are read along none"),
    ],
)
def test_a_source_without_directions_is_refused_before_work_is_done(
    made: Any, config: NegativesConfig, given: Any, verb: str
) -> None:
    with pytest.raises(ConfigError, match=f"the features of subject 'planted' {verb}") as refused:
        made(config, given).adding.check()
    assert refused.value.exit_code == 2
    made(NegativesConfig(cooccurring=1, similar=1), given).adding.check()


def test_what_else_is_wrong_with_a_source_is_told_as_it_is(made: Any) -> None:
    def load(_: object) -> Any:
        raise FeatureSourceError("the weights are malformed")

    adding = made(NegativesConfig(decoder_neighbours=1)).adding
    with pytest.raises(FeatureSourceError, match="malformed"):
        replace(adding, models=SimpleNamespace(load=load)).check()


def test_the_embedder_counts_only_where_it_chooses(bench: Bench) -> None:
    bench.change(embedder=EmbedderConfig(path="wheel://name==1/model", sha256="a" * 64))
    assert choosing_embedder(bench.resolved) is None
    bench.change(examples=replace(EXAMPLES, negatives=NegativesConfig(similar=1)))
    assert choosing_embedder(bench.resolved) is not None


def test_the_records_of_a_run_hold_origins_and_numbers_where_there_are_any(bench: Bench) -> None:
    (subject,) = bench.prepare().values()
    record = subject.records[0]
    assert '"negatives"' not in encode(feature_lines({"planted": subject})[0])
    near, text, *_ = record.score.non_activating
    shown = (
        replace(near, kind=ExampleKind.DECODER_NEIGHBOUR, origin=Origin(0.5, 7)),
        replace(text, origin=Origin(0.25)),
    )
    record = replace(record, score=replace(record.score, non_activating=shown))
    facts = {**subject.facts, "negatives": {"random": {}, "decoder_neighbours": {}, "similar": {}}}
    line = feature_lines({"planted": replace(subject, records=(record,), facts=facts)})[0]
    assert line.negatives == {"random": 1, "decoder_neighbours": 1, "similar": 0}
    unit: Any = SimpleNamespace(
        unit="u", record=record, line=SimpleNamespace(explanation_set="e"), scorer=SimpleNamespace(name="s")
    )
    keys = [near.key, text.key, record.score.activating[0].key]
    answered = tuple(Item(key, "kind", None, None, None, None, Outcome.OK) for key in keys)
    first, second, third = (encode(one) for one in _items(unit, Score({}, answered)))
    assert '"origin":{"similarity":0.5,"feature":7}' in first
    assert '"origin":{"similarity":0.25}' in second
    assert "origin" not in third
