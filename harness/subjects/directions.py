"""Features that are directions: probes, steering vectors, whatever a hidden state is projected on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from harness.errors import FeatureSourceError
from harness.subjects.architecture import residual_projection, width_at
from harness.subjects.dictionary import check_features
from harness.subjects.hooknames import to_hookpoint
from harness.subjects.identity import direction_files, directions_identity
from harness.subjects.interventions import Change, Steerable
from harness.subjects.signed import by_polarity, keep, signed_change
from harness.subjects.weights.vectors import read_directions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.subjects.configs import DirectionsConfig
    from harness.subjects.interventions import Intervention
    from harness.subjects.model import SubjectModel
    from harness.subjects.protocol import Hookpoint, SparseActivations

__all__ = ["Directions", "build"]


@dataclass(frozen=True, eq=False)
class Directions(Steerable):
    """Directions ``w`` in the hidden states ``x`` of one place; the signed value is ``v = x . w + b``, by polarity.

    ``encode`` gives every direction's value ``f``: ``max(v, 0)``, ``max(-v, 0)`` or ``|v|``. ``encode_sparse`` keeps
    the ``top_k`` largest positive ones of each token, or those above ``threshold``, and counts the others.

    What a direction writes is ``d = w / |w|^2``, along which ``v`` grows by one: so an intervention on one feature
    moves ``v`` exactly as far as it should, whatever the length of ``w``, and ABLATE under absolute polarity projects
    a direction without a bias out. Of several features at once, each is moved as if alone, as in every source: where
    their directions are not at right angles, each moves the others too.

    Attributes:
        weight: The directions, [n_features, d_in], float32.
        bias: [n_features], zeros where there is none.
        written: ``w / |w|^2``, [n_features, d_in].
        hookpoint: Where hidden states are read and changed.
        identity: Plain data that determines every kept value, given the model.
        polarity: ``positive``, ``negative`` or ``absolute``.
        top_k: How many are kept of each token, or None.
        threshold: Above which value they are kept, or None.
        projection: How a change at ``hookpoint`` enters the residual stream, [d_in, d_model], or None.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    written: torch.Tensor
    hookpoint: Hookpoint
    identity: Mapping[str, Any]
    polarity: str
    top_k: int | None
    threshold: float | None
    projection: torch.Tensor | None

    @property
    def kind(self) -> str:
        """Return ``directions``."""
        return "directions"

    @property
    def n_features(self) -> int:
        """Return the number of directions."""
        return int(self.weight.shape[0])

    @property
    def d_in(self) -> int:
        """Return the width of the hidden states read."""
        return int(self.weight.shape[1])

    def to(self, device: torch.device) -> Directions:
        """Return the source with its tensors on ``device``."""
        return replace(
            self,
            weight=self.weight.to(device),
            bias=self.bias.to(device),
            written=self.written.to(device),
            projection=None if self.projection is None else self.projection.to(device),
        )

    def encode(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return every direction's value [..., n_features], float32."""
        return by_polarity(hidden.float() @ self.weight.T + self.bias, self.polarity)

    def encode_features(self, hidden: torch.Tensor, features: Sequence[int]) -> torch.Tensor:
        """Return the values [..., k] of ``features`` only; the same columns of ``encode``, up to float32 rounding.

        Raises:
            FeatureSourceError: If a feature is out of range.
        """
        return by_polarity(
            self._signed(hidden, check_features(features, self.n_features, where="features")), self.polarity
        )

    def encode_sparse(self, hidden: torch.Tensor) -> SparseActivations:
        """Return the kept values of hidden states [N, d_in], with a count of the active ones left out."""
        return keep(self.encode(hidden), self.top_k, self.threshold)

    def write_directions(self, features: Sequence[int]) -> torch.Tensor | None:
        """Return what the features write to the residual stream, [k, d_model], or None if they do not.

        It is ``w / |w|^2`` through whatever linear map lies between the place and the stream. A feature of negative
        polarity writes the opposite.

        Raises:
            FeatureSourceError: If a feature is out of range.
        """
        rows = self.written[check_features(features, self.n_features, where="features")]
        if self.projection is None:
            return None
        return (-rows if self.polarity == "negative" else rows) @ self.projection

    def read_directions(self, features: Sequence[int]) -> torch.Tensor:
        """Return ``w`` of the features [k, d_in]; of negative polarity the opposite.

        Raises:
            FeatureSourceError: If a feature is out of range.
        """
        rows = self.weight[check_features(features, self.n_features, where="features")]
        return -rows if self.polarity == "negative" else rows

    def change(self, model: torch.nn.Module, intervention: Intervention) -> Change:  # noqa: ARG002  -- see Steerable
        """Return what other values of the features do: ``v`` changes as ``signed_change`` says.

        Raises:
            FeatureSourceError: If a feature is out of range.
        """
        chosen = check_features(sorted(set(intervention.features)), self.n_features, where="features")

        def delta(hidden: torch.Tensor) -> torch.Tensor:
            values = self._signed(hidden, chosen)
            moved = signed_change(values, self.polarity, intervention.mode, intervention.strength)
            return moved @ self.written[chosen]

        return Change(self.hookpoint, self.hookpoint, delta)

    def _signed(self, hidden: torch.Tensor, chosen: list[int]) -> torch.Tensor:
        return hidden.float() @ self.weight[chosen].T + self.bias[chosen]


def build(config: DirectionsConfig, model: SubjectModel) -> Directions:
    """Return the directions of ``config`` on ``model``, on the model's device.

    Raises:
        ConfigError: If not exactly one of ``top_k`` and ``threshold`` is set, or a value makes no sense.
        FeatureSourceError: If a file is malformed or does not fit the model, or a direction is zero.
        SubjectError: If the model has no such hookpoint.
        MaterialError: If there is no such file.
    """
    identity = directions_identity(config)
    hookpoint = to_hookpoint(config.hookpoint, model.model)
    found = read_directions(*direction_files(config))
    width = width_at(model.model, hookpoint)
    if found.weight.shape[1] != width:
        hint = "check that the directions were found in this model and at this hookpoint"
        if found.weight.shape[0] == width:
            hint = "a matrix holds one direction per row, [n, d]; this one may lie the other way round"
        message = f"the directions have width {found.weight.shape[1]}, but {hookpoint} of the model has width {width}"
        raise FeatureSourceError(message, where=config.source, hint=hint)
    weight = found.weight.double()
    if hookpoint.transform == "centred":
        # The value is the same without its mean, which a centred hidden state has nothing of; what is written must be.
        weight = weight - weight.mean(dim=-1, keepdim=True)
    norms = weight.norm(dim=-1, keepdim=True)
    factor = 1 / norms if config.normalise else torch.ones_like(norms)
    length = norms * factor
    weight = weight * factor
    written = (weight / length**2).float()
    for name, row in zip(found.names, written, strict=True):
        if not bool(row.isfinite().all()):
            message = f"{name} is zero, or too close to it, and is no direction"
            raise FeatureSourceError(message, where=config.source, hint="take it out of the file")
    source = Directions(
        weight=weight.float(),
        bias=(found.bias * factor[:, 0]).float(),
        written=written,
        hookpoint=hookpoint,
        identity=identity,
        polarity=config.polarity,
        top_k=config.top_k,
        threshold=config.threshold,
        projection=residual_projection(model.model, hookpoint),
    )
    return source.to(model.device)
