"""Feature sources of every kind on a small model of any family, with made-up weights."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from harness.subjects import attention_heads, mlp_neurons
from harness.subjects.architecture import residual_projection, width_at
from harness.subjects.configs import AttentionHeadsConfig, MlpNeuronsConfig
from harness.subjects.dictionary import Dictionary
from harness.subjects.directions import Directions
from harness.subjects.hooknames import to_hookpoint
from harness.subjects.sae import SparseAutoencoder
from harness.subjects.transcoder import Transcoder

if TYPE_CHECKING:
    from harness.subjects.model import SubjectModel
    from harness.subjects.protocol import FeatureSource

KINDS = (
    "sae",
    "topk_sae",
    "sae_between",
    "transcoder",
    "mlp_neurons",
    "pre_activations",
    "attention_heads",
    "directions",
)


def made_dictionary(width: int = 16, *, k: int | None = None) -> Dictionary:
    """Return 32 latents of a width, most of them active."""
    generator = torch.Generator().manual_seed(1)
    w_enc, w_dec = torch.randn(width, 32, generator=generator), torch.randn(32, width, generator=generator)
    made = Dictionary(w_enc=w_enc, b_enc=torch.ones(32), w_dec=w_dec, b_dec=torch.zeros(width), activation="relu")
    return made if k is None else replace(made, activation="topk", k=k)


def made_source(kind: str, model: SubjectModel, layer: int = 1) -> FeatureSource:
    """Return a source of a kind at a layer. ``sae_between`` is at the stream between attention and MLP."""
    hf = model.model
    if kind == "mlp_neurons":
        return mlp_neurons.build(MlpNeuronsConfig(layer=layer), model)
    if kind == "pre_activations":
        return mlp_neurons.build(MlpNeuronsConfig(layer=layer, value="pre"), model)
    if kind == "attention_heads":
        return attention_heads.build(AttentionHeadsConfig(layer=layer), model)
    if kind == "transcoder":
        read, write = (to_hookpoint(f"blocks.{layer}.mlp.{hook}", hf) for hook in ("hook_in", "hook_out"))
        return Transcoder.on_model(hf, made_dictionary(), read, write, {})
    if kind == "directions":
        place = to_hookpoint(f"blocks.{layer}.hook_resid_pre", hf)
        weight = torch.randn(8, width_at(hf, place), generator=torch.Generator().manual_seed(2))
        written = weight / weight.square().sum(-1, keepdim=True)
        projection = residual_projection(hf, place)
        return Directions(weight, torch.ones(8), written, place, {}, "positive", 8, None, projection)
    place = to_hookpoint(f"blocks.{layer}.{'hook_resid_mid' if kind == 'sae_between' else 'hook_resid_post'}", hf)
    dictionary = made_dictionary(k=6 if kind == "topk_sae" else None)
    return SparseAutoencoder.on_model(hf, dictionary, place, place, {})
