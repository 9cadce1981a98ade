"""What SAEs and transcoders have in common: features that are latents of a dictionary."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import torch

from harness.errors import FeatureSourceError
from harness.subjects.architecture import rejoining, residual_projection, width_at
from harness.subjects.dictionary import Dictionary, check_features
from harness.subjects.interventions import Change, Steerable
from harness.subjects.protocol import Hookpoint, InterventionMode
from harness.subjects.steering import changed_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.subjects.interventions import Intervention
    from harness.subjects.protocol import SparseActivations

__all__ = ["DictionarySource"]


@dataclass(frozen=True, eq=False)
class DictionarySource(Steerable):
    """Latents of a dictionary, read at ``hookpoint`` and written at ``hookpoint_out``.

    Without a decoder (``Dictionary.d_out`` is 0) they can be read only.

    Attributes:
        dictionary: The weights.
        hookpoint: Where hidden states are read.
        hookpoint_out: Where an intervention adds its change.
        identity: Plain data that determines every value, given the model.
        projection: How a change at ``hookpoint_out`` enters the residual stream, [d_out, d_model], or None.
        encode_only: Whether the latents write to more places than ``hookpoint_out`` and cannot be steered there.
    """

    dictionary: Dictionary
    hookpoint: Hookpoint
    hookpoint_out: Hookpoint
    identity: Mapping[str, Any]
    projection: torch.Tensor | None
    encode_only: bool = False

    @classmethod
    def on_model(
        cls,
        model: torch.nn.Module,
        dictionary: Dictionary,
        read: Hookpoint,
        write: Hookpoint,
        identity: Mapping[str, Any],
        *,
        encode_only: bool = False,
    ) -> Self:
        """Return the source bound to the places of ``model`` where it reads and writes.

        Raises:
            FeatureSourceError: If a width does not fit; the message names both numbers.
        """
        places = [(read, dictionary.d_in, "reads"), (write, dictionary.d_out, "writes")]
        for hookpoint, width, verb in places if dictionary.d_out else places[:1]:
            found = width_at(model, hookpoint)
            if found != width:
                raise FeatureSourceError(
                    f"the feature source {verb} width {width}, but {hookpoint} of the model has width {found}",
                    hint="check that the weights were trained on this model and at this hookpoint",
                )
        only_read = encode_only or not dictionary.d_out
        projection = None if only_read else residual_projection(model, write)
        return cls(dictionary, read, write, dict(identity), projection, only_read)

    @property
    def n_features(self) -> int:
        """Return the number of latents."""
        return self.dictionary.n_features

    @property
    def d_in(self) -> int:
        """Return the width of the hidden states read."""
        return self.dictionary.d_in

    def to(self, device: torch.device) -> Self:
        """Return the source with its weights on ``device``."""
        projection = None if self.projection is None else self.projection.to(device)
        return replace(self, dictionary=self.dictionary.to(device), projection=projection)

    def encode(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the latents [..., n_features] of hidden states [..., d_in]."""
        return self.dictionary.encode(hidden)

    def encode_features(self, hidden: torch.Tensor, features: Sequence[int]) -> torch.Tensor:
        """Return the latents [..., k] of ``features`` only."""
        return self.dictionary.encode_features(hidden, features)

    def encode_sparse(self, hidden: torch.Tensor) -> SparseActivations:
        """Return the positive latents of hidden states [N, d_in]; nothing is left out."""
        return self.dictionary.encode_sparse(hidden)

    def write_directions(self, features: Sequence[int]) -> torch.Tensor | None:
        """Return the directions [k, d_model] the latents write to the residual stream, or None if they write to none.

        Raises:
            FeatureSourceError: If a feature is out of range.
        """
        chosen = check_features(features, self.n_features, where="features")
        return None if self.projection is None else self.dictionary.w_dec[chosen] @ self.projection

    def read_directions(self, features: Sequence[int]) -> torch.Tensor:
        """Return the encoder's directions [k, d_in]: what the latents are products with, normalisation left out.

        Raises:
            FeatureSourceError: If a feature is out of range.
        """
        return self.dictionary.w_enc[:, check_features(features, self.n_features, where="features")].T

    def change(self, model: torch.nn.Module, intervention: Intervention) -> Change:
        """Return what other values of the latents do; see ``harness.subjects.steering``.

        Raises:
            FeatureSourceError: If a feature is out of range, or the latents cannot be steered.
        """
        if self.encode_only:
            raise FeatureSourceError(
                "a layer of a cross-layer transcoder writes to several layers, and can be read but not steered",
                where=str(self.hookpoint),
                hint="run scorers that need no intervention, or use a transcoder of one layer",
            )
        chosen = check_features(sorted(set(intervention.features)), self.n_features, where="features")
        rows = self.dictionary.w_dec[chosen]
        mode, strength = intervention.mode, intervention.strength

        def delta(hidden: torch.Tensor) -> torch.Tensor:
            if mode is InterventionMode.ADD:  # needs no value, which saves encoding
                moved = torch.full((*hidden.shape[:-1], len(chosen)), strength, device=hidden.device)
            else:
                values = self.dictionary.encode_features(hidden, chosen)
                moved = changed_values(values, mode, strength) - values
            return (moved @ rows) * self.dictionary.output_scale(hidden)

        return Change(self.hookpoint, self.hookpoint_out, delta, again=rejoining(model, self.hookpoint_out))
