"""Interventions of the sources that need no dictionary, in every family of models, generation with a cache included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from harness.subjects import attention_heads, directions, mlp_neurons
from harness.subjects.configs import AttentionHeadsConfig, DirectionsConfig, MlpNeuronsConfig
from harness.subjects.hooks import on_hookpoint
from harness.subjects.model import SubjectModel
from harness.subjects.protocol import InterventionMode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from transformers import PreTrainedTokenizerFast

    from harness.subjects.protocol import FeatureSource

STEPS = 4
FEATURE = 3


def source_of(kind: str, model: SubjectModel, folder: Path) -> FeatureSource:
    if kind == "pre_activations":
        return mlp_neurons.build(MlpNeuronsConfig(layer=1, value="pre"), model)
    if kind == "attention_heads":
        return attention_heads.build(AttentionHeadsConfig(layer=1), model)
    np.save(folder / "d.npy", np.random.default_rng(0).normal(size=(5, 16)))
    config = DirectionsConfig(source=str(folder / "d.npy"), hookpoint="blocks.1.hook_resid_post", threshold=0.0)
    return directions.build(config, model)


@pytest.mark.parametrize("kind", ["pre_activations", "attention_heads", "directions"])
@pytest.mark.parametrize("family", ["llama", "gemma2", "qwen3", "gpt2", "neox"])
def test_a_set_value_is_there_at_every_step_cached_or_not(
    family: str,
    kind: str,
    make_model: Callable[[str], Any],
    tokenizer: PreTrainedTokenizerFast,
    tokens: torch.Tensor,
    tmp_path: Path,
) -> None:
    model = SubjectModel(make_model(family), tokenizer, {})
    source = source_of(kind, model, tmp_path)
    hf: Any = model.model
    texts, states = [], []
    for use_cache in (True, False):
        seen: list[torch.Tensor] = []
        with (
            source.intervene(hf, [FEATURE], InterventionMode.SET, 6.0),
            on_hookpoint(hf, source.hookpoint, seen.append),
        ):
            texts.append(
                hf.generate(
                    input_ids=tokens,
                    attention_mask=torch.ones_like(tokens),
                    max_new_tokens=STEPS,
                    do_sample=False,
                    use_cache=use_cache,
                    pad_token_id=0,
                )
            )
        assert [hidden.shape[1] for hidden in seen] == ([7, 1, 1, 1] if use_cache else [7, 8, 9, 10])
        states.append(torch.cat(seen, dim=1) if use_cache else seen[-1])
    assert torch.equal(*texts)
    torch.testing.assert_close(states[0], states[1], atol=1e-4, rtol=1e-4)
    values = source.encode_features(states[0], [FEATURE])[..., 0]
    torch.testing.assert_close(values[:, 1:], torch.full((2, 9), 6.0), atol=1e-4, rtol=0)
    assert (values[:, 0] - 6).abs().min() > 1e-3
