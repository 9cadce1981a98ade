"""What neurons and dimensions of attention heads have in common: features that are single coordinates of a place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import torch

from harness.subjects.dictionary import check_features
from harness.subjects.interventions import Change, Steerable
from harness.subjects.signed import by_polarity, keep, signed_change

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.subjects.interventions import Intervention
    from harness.subjects.protocol import Hookpoint, SparseActivations

__all__ = ["Coordinates"]


@dataclass(frozen=True, eq=False)
class Coordinates(Steerable):
    """The coordinates ``v`` of the hidden states at one place, by polarity.

    ``encode`` gives every coordinate's value ``f``: ``max(v, 0)``, ``max(-v, 0)`` or ``|v|``. ``encode_sparse`` keeps
    the ``top_k`` largest positive ones of each token, or those above ``threshold``, and counts the others.

    Attributes:
        hookpoint: The place.
        rows: What each coordinate is mapped to on its way to the stream (``residual_projection``), [n_features,
            d_model], float32.
        identity: Plain data that determines every kept value, given the model.
        polarity: ``positive``, ``negative`` or ``absolute``.
        top_k: How many are kept of each token, or None.
        threshold: Above which value they are kept, or None.
        linear: Whether the place is the input of that map. If it lies before an activation function, the stream is not
            linear in the values, and there is no write direction; nor is there where what follows is not known.
    """

    hookpoint: Hookpoint
    rows: torch.Tensor
    identity: Mapping[str, Any]
    polarity: str
    top_k: int | None
    threshold: float | None
    linear: bool = True

    @property
    def n_features(self) -> int:
        """Return the number of coordinates."""
        return int(self.rows.shape[0])

    @property
    def d_in(self) -> int:
        """Return the width of the hidden states, which is the number of coordinates."""
        return self.n_features

    def to(self, device: torch.device) -> Self:
        """Return the source with its directions on ``device``."""
        return replace(self, rows=self.rows.to(device))

    def encode(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return every coordinate's value [..., n_features], float32."""
        return by_polarity(hidden, self.polarity)

    def encode_features(self, hidden: torch.Tensor, features: Sequence[int]) -> torch.Tensor:
        """Return the values [..., k] of ``features`` only.

        Raises:
            FeatureSourceError: If a feature is out of range.
        """
        return self.encode(hidden[..., check_features(features, self.n_features, where="features")])

    def encode_sparse(self, hidden: torch.Tensor) -> SparseActivations:
        """Return the kept values of hidden states [N, d_in], with a count of the active ones left out."""
        return keep(self.encode(hidden), self.top_k, self.threshold)

    def write_directions(self, features: Sequence[int]) -> torch.Tensor | None:
        """Return what the features write to the residual stream, [k, d_model], or None where it is not linear in them.

        A feature of negative polarity writes the opposite of its coordinate's row.

        Raises:
            FeatureSourceError: If a feature is out of range.
        """
        chosen = check_features(features, self.n_features, where="features")
        if not self.linear:
            return None
        return -self.rows[chosen] if self.polarity == "negative" else self.rows[chosen]

    def change(self, model: torch.nn.Module, intervention: Intervention) -> Change:  # noqa: ARG002  -- see Steerable
        """Return what other values of the features do: their coordinates change (``signed_change``).

        Raises:
            FeatureSourceError: If a feature is out of range.
        """
        chosen = check_features(sorted(set(intervention.features)), self.n_features, where="features")

        def delta(hidden: torch.Tensor) -> torch.Tensor:
            full = torch.zeros(hidden.shape, device=hidden.device)
            moved = signed_change(hidden[..., chosen], self.polarity, intervention.mode, intervention.strength)
            full[..., chosen] = moved
            return full

        return Change(self.hookpoint, self.hookpoint, delta)
