"""Which tokens a feature's write direction promotes and suppresses, by the direct path to the logits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from harness.errors import FeatureSourceError, SubjectError
from harness.subjects.architecture import block_paths, text_config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.subjects.model import SubjectModel
    from harness.subjects.protocol import FeatureSource

__all__ = ["bottom_logit_tokens", "final_norm", "logit_weights", "through_norm", "top_logit_tokens"]


@torch.inference_mode()
def logit_weights(model: SubjectModel, source: FeatureSource, features: Sequence[int]) -> torch.Tensor:
    """Return how much each feature's direction raises every token's logit: ``W_U (g * d)``, float32 [k, n_tokens].

    ``g`` is the weight of the final norm, per element, and a layer norm takes the mean off ``d`` first; the norm's
    division by the stream's scale is the same for all tokens and left out, as are later layers (the direct path only).

    Raises:
        FeatureSourceError: If the source writes no direction to the residual stream, or a feature is out of range.
    """
    directions = source.write_directions(features)
    if directions is None:
        raise FeatureSourceError(f"a {source.kind} at {source.hookpoint} writes no direction to the residual stream")
    hf: Any = model.model
    unembedding: torch.Tensor = hf.get_output_embeddings().weight
    # Some vocabularies are padded beyond the tokenizer's.
    n_tokens = min(int(unembedding.shape[0]), len(model.tokenizer))
    folded = through_norm(final_norm(hf), directions.to(model.device))
    logits: torch.Tensor = folded @ unembedding[:n_tokens].float().T
    return logits


def top_logit_tokens(
    model: SubjectModel, source: FeatureSource, features: Sequence[int], k: int
) -> list[tuple[str, ...]]:
    """Return, per feature, the ``k`` tokens whose logits its direction raises most (``logit_weights``).

    Raises:
        FeatureSourceError: If the source writes no direction to the residual stream, or a feature is out of range.
    """
    return _extreme(model, logit_weights(model, source, features), k, largest=True)


def bottom_logit_tokens(
    model: SubjectModel, source: FeatureSource, features: Sequence[int], k: int
) -> list[tuple[str, ...]]:
    """Return, per feature, the ``k`` tokens whose logits its direction lowers most, the lowest first.

    They are the top ones of the direction's opposite. A softmax knows no zero, so that lowest is what counts, whatever
    the sign.

    Raises:
        FeatureSourceError: If the source writes no direction to the residual stream, or a feature is out of range.
    """
    return _extreme(model, logit_weights(model, source, features), k, largest=False)


def _extreme(model: SubjectModel, logits: torch.Tensor, k: int, *, largest: bool) -> list[tuple[str, ...]]:
    found = logits.topk(min(k, logits.shape[-1]), dim=-1, largest=largest).indices.tolist()
    return [tuple(str(model.tokenizer.decode([token])) for token in row) for row in found]


def through_norm(norm: torch.nn.Module, directions: torch.Tensor) -> torch.Tensor:
    """Return what a norm makes of directions [k, d] in the stream, up to its scale: float32 [k, d].

    Families differ in what they store (Gemma keeps the weight minus one), not in what they do, so the norm itself is
    asked. A probe of alternating 1 and -1 has mean 0 and scale 1: its output is the probe times the weight, plus a bias
    that a zero input shows. Of a constant input a layer norm leaves nothing, an RMS norm the weight.
    """
    width = directions.shape[-1]
    parameter = next(norm.parameters(), torch.zeros(0))
    ones = torch.ones(width, dtype=parameter.dtype, device=parameter.device)
    probe = ones.clone()
    probe[1::2] = -1
    with torch.no_grad():
        bias = norm(torch.zeros_like(ones)).float()
        weight = (norm(probe).float() - bias) * probe.float()
        centres = float((norm(ones).float() - bias).abs().max()) < float(weight.abs().max()) / 2
    moved = directions.float()
    if centres:
        moved = moved - moved.mean(dim=-1, keepdim=True)
    folded: torch.Tensor = moved * weight
    return folded


def final_norm(model: torch.nn.Module) -> torch.nn.Module:
    """Return the norm beside the list of blocks, whatever it is called."""
    parent, _, _ = block_paths(model)[0].rpartition(".")[0].rpartition(".")
    width = int(text_config(model).hidden_size)
    for module in reversed(list(model.get_submodule(parent).children())):
        weight = getattr(module, "weight", None)
        if "norm" in type(module).__name__.lower() and isinstance(weight, torch.Tensor) and weight.numel() == width:
            return module
    raise SubjectError(f"no final norm beside the blocks of {type(model).__name__}")
