"""Planted output features: directions of the residual stream that promote known tokens.

A direction is built from the unembedding, not found: moving along it raises the logits of a set of tokens by the direct
path. What is known of such a feature is what it does; where it fires on a corpus is wherever the stream points its way.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import torch

from harness.errors import FeatureSourceError
from harness.planted.demo import demo_texts
from harness.planted.promoters import PROMOTERS, promoted_words
from harness.planted.texts import planted_texts
from harness.subjects.architecture import block_paths, residual_projection
from harness.subjects.directions import Directions
from harness.subjects.logit_weights import final_norm, through_norm
from harness.subjects.planted.identity import promoters_identity
from harness.subjects.protocol import Hookpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedTokenizerBase

    from harness.subjects.configs import PlantedOutputConfig
    from harness.subjects.model import SubjectModel

__all__ = ["Promoters", "build", "promoted_ids"]

_LEAST_TOKENS = 3
_RIDGE = 0.1
_LEAST_GAIN = 1e-3
_VALUES_AT_ONCE = 1 << 23
_DOCUMENTS, _PLANTED, _LENGTH = 16, 8, 256


class Promoters(Directions):
    """Directions that promote known tokens; read, kept and steered as any direction is."""

    @property
    def kind(self) -> str:
        """Return ``planted_output``."""
        return "planted_output"


def build(config: PlantedOutputConfig, model: SubjectModel) -> Promoters:
    """Return the planted output features on ``model``.

    With ``u`` the unembedding, ``m`` its mean over a feature's tokens, ``M`` and ``S`` its mean and covariance over all
    tokens and ``g`` the gain of the final norm, the direction is ``(S + r I)^-1 (m - M) / g``, of length 1: what tells
    the feature's tokens from others best by the direct path (Fisher's linear discriminant, with a ridge ``r`` of a
    tenth of the mean variance). The bias makes it fire on the share ``density`` of the tokens of some demo texts.

    Raises:
        ConfigError: If a value makes no sense.
        FeatureSourceError: If the tokenizer has too few of a feature's words as single tokens.
        SubjectError: If the model has no such layer.
    """
    identity = promoters_identity(config)
    paths = block_paths(model.model)
    if config.layer >= len(paths):
        hint = f"the last one is {len(paths) - 1}"
        raise FeatureSourceError(f"the model has no layer {config.layer}", where="subject.layer", hint=hint)
    hookpoint = Hookpoint(paths[config.layer], "output")
    hf: Any = model.model
    unembedding = hf.get_output_embeddings().weight[: len(model.tokenizer)].detach()
    weight = _discriminants(unembedding, promoted_ids(model.tokenizer)) / _gain(final_norm(hf), unembedding[0].float())
    weight = weight / weight.norm(dim=-1, keepdim=True)
    values = _sample(model, hookpoint) @ weight.T
    return Promoters(
        weight=weight,
        bias=-torch.quantile(values, 1 - config.density, dim=0),
        written=weight.clone(),
        hookpoint=hookpoint,
        identity=identity,
        polarity="positive",
        top_k=None,
        threshold=0.0,
        projection=residual_projection(model.model, hookpoint),
    )


def promoted_ids(tokenizer: PreTrainedTokenizerBase) -> list[tuple[int, ...]]:
    """Return for every planted output feature the ids of the tokens that are its words, in any case, spaced or not.

    Raises:
        FeatureSourceError: If a feature has too few.
    """
    found = []
    for feature in PROMOTERS:
        forms = (form for word in promoted_words(feature) for form in _forms(word))
        cut = (tokenizer(form, add_special_tokens=False)["input_ids"] for form in forms)
        ids = tuple(dict.fromkeys(int(one[0]) for one in cut if len(one) == 1 and one[0] != tokenizer.unk_token_id))
        if len(ids) < _LEAST_TOKENS:
            what = f"the tokenizer has {len(ids)} single tokens for '{feature.name}'"
            raise FeatureSourceError(what, where="subject", hint="use a model with a larger vocabulary")
        found.append(ids)
    return found


def _discriminants(unembedding: torch.Tensor, ids: Sequence[tuple[int, ...]]) -> torch.Tensor:
    """Return the direction [k, d] among rows of ``unembedding`` that tells each group of them from all others.

    Worked out in float64, ``_VALUES_AT_ONCE`` of its values at a time: a large vocabulary is gigabytes.
    """
    rows = max(1, _VALUES_AT_ONCE // unembedding.shape[1])
    parts = [unembedding[start : start + rows] for start in range(0, len(unembedding), rows)]
    mean = torch.stack([part.double().sum(dim=0) for part in parts]).sum(dim=0) / len(unembedding)
    covariance = torch.zeros(len(mean), len(mean), dtype=torch.float64, device=mean.device)
    for part in parts:
        centred = part.double() - mean
        covariance += centred.T @ centred
    covariance /= len(unembedding)
    ridge = _RIDGE * covariance.diagonal().mean() * torch.eye(len(mean), dtype=torch.float64, device=mean.device)
    wanted = torch.stack([(unembedding[list(group)].double() - mean).mean(dim=0) for group in ids])
    found: torch.Tensor = torch.linalg.solve(covariance + ridge, wanted.T)
    return found.T.float()


def _gain(norm: torch.nn.Module, like: torch.Tensor) -> torch.Tensor:
    """Return the factor [d] of each element in what a norm makes of a direction, shaped and placed as ``like``."""
    probe = torch.ones_like(like)[None]
    probe[:, 1::2] = -1
    gain = through_norm(norm, probe)[0] * probe[0]
    # An element that the norm drops can carry nothing.
    return torch.where(gain.abs() > _LEAST_GAIN, gain, torch.inf)


def _forms(word: str) -> tuple[str, ...]:
    return (f" {word}", f" {word.capitalize()}", word, word.capitalize())


@torch.inference_mode()
def _sample(model: SubjectModel, hookpoint: Hookpoint) -> torch.Tensor:
    """Return the hidden states [N, d] of the texts that biases are made on, float32; BOS is read and left out."""
    bos = model.tokenizer.bos_token_id
    lead = [bos] if isinstance(bos, int) else []
    found = []
    for text in (*demo_texts(_DOCUMENTS), *islice(planted_texts(), _PLANTED)):
        cut = model.tokenizer(text, add_special_tokens=False, truncation=True, max_length=_LENGTH)
        ids = torch.tensor([[*lead, *cut["input_ids"]]])
        states = model.hidden_states(ids, None, [hookpoint])[hookpoint]
        found.append(states[0, len(lead) :].float())
    return torch.cat(found)
