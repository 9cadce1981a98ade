from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import FeatureSourceError
from harness.subjects.configs import MlpNeuronsConfig, SaeConfig
from harness.subjects.logit_weights import bottom_logit_tokens, through_norm, top_logit_tokens
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


@given(values=st.lists(st.integers(-50, 50), min_size=40, max_size=40, unique=True), k=st.integers(1, 60))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_most_promoted_and_the_most_suppressed_of_known_logits(
    subject: SubjectModel, values: list[int], k: int
) -> None:
    hf: Any = subject.model
    direction = torch.eye(16)[3]
    source: Any = SimpleNamespace(write_directions=lambda features: torch.stack([direction, -direction])[features])
    with torch.no_grad():
        hf.model.norm.weight.fill_(1.0)
        hf.lm_head.weight[:, 3] = torch.tensor(values, dtype=torch.float32)
    ascending = [subject.tokenizer.decode([token]) for token in sorted(range(40), key=values.__getitem__)]
    lowest, of_opposite = bottom_logit_tokens(subject, source, [0, 1], k)
    assert lowest == tuple(ascending[:k])
    assert [lowest, of_opposite] == top_logit_tokens(subject, source, [1, 0], k)


def test_a_source_that_writes_nothing_has_no_such_tokens(subject: SubjectModel) -> None:
    source = build_sae(SaeConfig(source=SAE, hookpoint="model.layers.1.mlp.input"), subject)
    with pytest.raises(FeatureSourceError, match="writes no direction"):
        top_logit_tokens(subject, source, [1], 4)
    with pytest.raises(FeatureSourceError, match="writes no direction"):
        bottom_logit_tokens(subject, source, [1], 4)
