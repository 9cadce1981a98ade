"""Features that are the neurons of an MLP layer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from harness.errors import SubjectError
from harness.subjects.architecture import down_projection_path, input_rows
from harness.subjects.dictionary import check_features
from harness.subjects.hooks import find_module
from harness.subjects.identity import mlp_neurons_identity
from harness.subjects.protocol import Hookpoint, InterventionMode, SparseActivations
from harness.subjects.steering import changed_values, changing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from harness.subjects.configs import MlpNeuronsConfig
    from harness.subjects.model import SubjectModel

__all__ = ["MlpNeurons", "build"]


@dataclass(frozen=True, eq=False)
class MlpNeurons:
    """Neurons of one MLP layer: the input ``v`` of its down projection, by polarity.

    ``encode`` gives every neuron's value ``f``: ``max(v, 0)``, ``max(-v, 0)`` or ``|v|``. ``encode_sparse`` keeps the
    ``top_k`` largest positive ones of each token (the neuron baseline of Paulo et al. 2024), or those above
    ``threshold``, and counts the others.

    Attributes:
        hookpoint: The input of the down projection.
        rows: What each neuron writes to the residual stream, [n_features, d_model], float32.
        identity: Plain data that determines every kept value, given the model.
        polarity: ``positive``, ``negative`` or ``absolute``.
        top_k: How many are kept of each token, or None.
        threshold: Above which value they are kept, or None.
    """

    hookpoint: Hookpoint
    rows: torch.Tensor
    identity: Mapping[str, Any]
    polarity: str
    top_k: int | None
    threshold: float | None

    @property
    def kind(self) -> str:
        """Return ``mlp_neurons``."""
        return "mlp_neurons"

    @property
    def n_features(self) -> int:
        """Return the number of neurons."""
        return int(self.rows.shape[0])

    @property
    def d_in(self) -> int:
        """Return the width of the down projection's input, which is the number of neurons."""
        return self.n_features

    def to(self, device: torch.device) -> MlpNeurons:
        """Return the source with its directions on ``device``."""
        return replace(self, rows=self.rows.to(device))

    def encode(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return every neuron's value [..., n_features], float32."""
        values = hidden.float()
        if self.polarity == "absolute":
            return values.abs()
        return torch.relu(values if self.polarity == "positive" else -values)

    def encode_features(self, hidden: torch.Tensor, features: Sequence[int]) -> torch.Tensor:
        """Return the values [..., k] of ``features`` only.

        Raises:
            FeatureSourceError: If a feature is out of range.
        """
        return self.encode(hidden[..., check_features(features, self.n_features, where="features")])

    def encode_sparse(self, hidden: torch.Tensor) -> SparseActivations:
        """Return the kept values of hidden states [N, d_in], with a count of the active ones left out."""
        values = self.encode(hidden)
        active = int((values > 0).sum())
        if self.top_k is not None:
            top, index = values.topk(min(self.top_k, self.n_features), dim=-1)
            kept, reason = torch.zeros_like(values).scatter(-1, index, top), "outside_top_k"
        else:
            kept, reason = torch.where(values > (self.threshold or 0.0), values, 0.0), "below_threshold"
        row, feature = kept.nonzero(as_tuple=True)
        return SparseActivations(row, feature, kept[row, feature], {reason: active - len(row)})

    def write_directions(self, features: Sequence[int]) -> torch.Tensor:
        """Return what the neurons write to the residual stream, [k, d_model]: columns of the down projection.

        A neuron of negative polarity writes the opposite of its column.

        Raises:
            FeatureSourceError: If a feature is out of range.
        """
        rows = self.rows[check_features(features, self.n_features, where="features")]
        return -rows if self.polarity == "negative" else rows

    def intervene(
        self, model: torch.nn.Module, features: Sequence[int], mode: InterventionMode, strength: float
    ) -> AbstractContextManager[None]:
        """Return a context in which the neurons have other values: their columns of the down projection's input change.

        With ``v = sign * f`` where the neuron is active: ADD gives ``v + sign * s``; SET gives ``sign * s`` everywhere;
        SCALE and ABLATE act where it is active and leave it alone where it is not. ``sign`` is -1 for negative polarity
        and 1 otherwise (for absolute polarity SCALE keeps the sign of ``v``).

        Raises:
            FeatureSourceError: If a feature is out of range.
        """
        chosen = check_features(sorted(set(features)), self.n_features, where="features")
        sign = -1.0 if self.polarity == "negative" else 1.0

        def change(hidden: torch.Tensor) -> torch.Tensor:
            column = hidden[..., chosen].float()
            new = sign * changed_values(sign * column, mode, strength)
            if mode in {InterventionMode.SCALE, InterventionMode.ABLATE}:
                new = torch.where(self.encode(column) > 0, new, column)
            full = torch.zeros(hidden.shape, device=hidden.device)
            full[..., chosen] = new - column
            return full

        return changing(model, read=self.hookpoint, write=self.hookpoint, change=change)


def build(config: MlpNeuronsConfig, model: SubjectModel) -> MlpNeurons:
    """Return the neurons of ``config`` on ``model``.

    Raises:
        ConfigError: If not exactly one of ``top_k`` and ``threshold`` is set.
        SubjectError: If there is no such layer, or its MLP has no single down projection.
    """
    identity = mlp_neurons_identity(config)
    path = down_projection_path(model.model, config.layer)
    rows = input_rows(find_module(model.model, path))
    if rows is None:
        raise SubjectError(f"'{path}' is no linear map with a plain weight matrix")
    hookpoint = Hookpoint(path, "input")
    return MlpNeurons(hookpoint, rows.float().contiguous(), identity, config.polarity, config.top_k, config.threshold)
