from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from harness.errors import FeatureSourceError
from harness.subjects.configs import MlpNeuronsConfig, SaeConfig
from harness.subjects.logit_weights import through_norm, top_logit_tokens
from harness.subjects.mlp_neurons import build as build_neurons
from harness.subjects.model import SubjectModel
from harness.subjects.sae import build as build_sae

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedTokenizerFast

SAE = str(Path(__file__).parents[2] / "fixtures" / "feature_sources" / "saelens_topk")


def test_the_top_of_the_unembedding_times_the_weighted_direction(subject: SubjectModel) -> None:
    source = build_sae(SaeConfig(source=SAE), subject)
    hf: Any = subject.model
    direction = source.dictionary.w_dec[5] * hf.model.norm.weight
    order = (hf.lm_head.weight @ direction).argsort(descending=True)[:4].tolist()
    expected = tuple(subject.tokenizer.decode([token]) for token in order)
    assert top_logit_tokens(subject, source, [5, 6], 4)[0] == expected


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "neox"])
def test_the_direction_really_raises_its_tokens(
    family: str, make_model: Callable[[str], Any], tokenizer: PreTrainedTokenizerFast
) -> None:
    subject = SubjectModel(make_model(family), tokenizer, {})
    source = build_neurons(MlpNeuronsConfig(layer=2), subject)
    (top,) = top_logit_tokens(subject, source, [3], 1)
    # At the last layer the direct path is the whole path: a large push must make the token the most likely one.
    base: Any = subject.model.base_model
    norm = next(child for child in reversed(list(base.children())) if "norm" in type(child).__name__.lower())
    written = source.write_directions([3])
    assert written is not None
    push = written[0]
    if family in {"gpt2", "neox"}:
        push = push - push.mean()  # what a layer norm removes
    hf: Any = subject.model
    head = hf.get_output_embeddings()
    with torch.no_grad():
        gain = head(norm(1e4 * push)) - head(norm(torch.zeros(16)))
    assert tokenizer.decode([int(gain.argmax())]) == top[0]


def test_a_norm_acts_by_its_weight_and_a_layer_norm_takes_the_mean_off(make_model: Callable[[str], Any]) -> None:
    llama, gemma, gpt2 = make_model("llama"), make_model("gemma2"), make_model("gpt2")
    directions = torch.randn(3, 16, generator=torch.Generator().manual_seed(1))
    centred = directions - directions.mean(-1, keepdim=True)
    for norm, expected in (
        (llama.model.norm, directions * llama.model.norm.weight),
        (gemma.model.norm, directions * (1 + gemma.model.norm.weight)),
        (gpt2.transformer.ln_f, centred * gpt2.transformer.ln_f.weight),
    ):
        torch.testing.assert_close(through_norm(norm, directions), expected, atol=1e-4, rtol=1e-4)


def test_a_source_that_writes_nothing_has_no_such_tokens(subject: SubjectModel) -> None:
    source = build_sae(SaeConfig(source=SAE, hookpoint="model.layers.1.mlp.input"), subject)
    with pytest.raises(FeatureSourceError, match="writes no direction"):
        top_logit_tokens(subject, source, [1], 4)
