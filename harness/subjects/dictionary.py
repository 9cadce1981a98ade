"""The one form in memory of every sparse dictionary, whatever format its weights came in."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from harness.errors import FeatureSourceError
from harness.subjects.protocol import SparseActivations

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.subjects.weights.header import ActivationKind, InputNorm

__all__ = ["Dictionary", "check_features"]

_CHUNK_ELEMENTS = 1 << 24
_LAYER_NORM_EPS = 1e-5


def check_features(features: Sequence[int], n_features: int, *, where: str) -> list[int]:
    """Return ``features`` as a list.

    Raises:
        FeatureSourceError: If one is out of range; the message gives the range.
    """
    for feature in features:
        if not 0 <= feature < n_features:
            raise FeatureSourceError(f"no feature {feature}: they run from 0 to {n_features - 1}", where=where)
    return list(features)


@dataclass(frozen=True, eq=False, kw_only=True)
class Dictionary:
    """A linear encoder with an activation function, and a linear decoder.

    Values are computed in float32: ``act(norm(x) - b_in) W_enc + b_enc)``; the decoding is ``values W_dec + b_dec``,
    plus ``x W_skip^T`` where there is a skip connection.

    Attributes:
        w_enc: [d_in, n_features].
        b_enc: [n_features].
        w_dec: [n_features, d_out]; with a d_out of 0 where there is no decoder, and values can only be read.
        b_dec: [d_out].
        activation: ``relu``; ``topk`` (the k largest after relu); ``groupmax`` (the largest of each of k groups after
            relu); ``jumprelu`` (relu where the pre-activation exceeds ``threshold``, strictly); ``gated`` (relu of the
            magnitude path where the gate path is positive; Rajamanoharan et al. 2024a).
        k: For ``topk`` and ``groupmax``.
        threshold: For ``jumprelu``, [n_features] or a single number.
        b_gate: For ``gated``, [n_features].
        magnitude_scale: For ``gated``, [n_features]: factor of the magnitude path's pre-activation.
        b_in: [d_in], subtracted from the input, or None.
        input_norm: ``none``; ``layer_norm`` (minus the mean, over the unbiased standard deviation plus 1e-5);
            ``constant_norm_rescale`` (to norm sqrt(d_in)).
        denormalise: Whether the decoding undoes the input's normalisation (an SAE does, a transcoder does not).
        w_skip: [d_out, d_in] or None.
    """

    w_enc: torch.Tensor
    b_enc: torch.Tensor
    w_dec: torch.Tensor
    b_dec: torch.Tensor
    activation: ActivationKind
    k: int | None = None
    threshold: torch.Tensor | None = None
    b_gate: torch.Tensor | None = None
    magnitude_scale: torch.Tensor | None = None
    b_in: torch.Tensor | None = None
    input_norm: InputNorm = "none"
    denormalise: bool = True
    w_skip: torch.Tensor | None = None

    @property
    def d_in(self) -> int:
        """Return the width of the input."""
        return int(self.w_enc.shape[0])

    @property
    def d_out(self) -> int:
        """Return the width of the decoding."""
        return int(self.w_dec.shape[1])

    @property
    def n_features(self) -> int:
        """Return the number of latents."""
        return int(self.w_enc.shape[1])

    def to(self, device: torch.device) -> Dictionary:
        """Return the dictionary with its tensors on ``device``."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        moved = {name: value.to(device) for name, value in fields.items() if isinstance(value, torch.Tensor)}
        return Dictionary(**{**fields, **moved})

    def encode(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the values [..., n_features], float32, of hidden states [..., d_in]."""
        flat = hidden.reshape(-1, self.d_in)
        parts = [self._activate(self._centred(flat[rows])) for rows in self._chunks(len(flat))]
        values = torch.cat(parts) if parts else flat.new_zeros((0, self.n_features), dtype=torch.float32)
        return values.reshape(*hidden.shape[:-1], self.n_features)

    def encode_features(self, hidden: torch.Tensor, features: Sequence[int]) -> torch.Tensor:
        """Return the values [..., k] of ``features`` only; the same columns of ``encode``, up to float32 rounding.

        A latent of ``topk`` or ``groupmax`` depends on all the others, so there everything is computed, in chunks.

        Raises:
            FeatureSourceError: If a feature is out of range.
        """
        chosen = torch.tensor(check_features(features, self.n_features, where="features"), device=hidden.device).long()
        flat = hidden.reshape(-1, self.d_in)
        if self.activation in {"topk", "groupmax"}:
            parts = [self._activate(self._centred(flat[rows]))[:, chosen] for rows in self._chunks(len(flat))]
        else:
            narrow = self._columns(chosen)
            parts = [narrow._activate(self._centred(flat[rows])) for rows in self._chunks(len(flat))]  # noqa: SLF001  -- same class
        values = torch.cat(parts) if parts else flat.new_zeros((0, len(chosen)), dtype=torch.float32)
        return values.reshape(*hidden.shape[:-1], len(chosen))

    def encode_sparse(self, hidden: torch.Tensor) -> SparseActivations:
        """Return the positive values of hidden states [N, d_in]; nothing is left out."""
        rows, features, values = [], [], []
        for chunk in self._chunks(len(hidden)):
            row, feature, value = self._active(self._centred(hidden[chunk]))
            rows.append(row + chunk.start)
            features.append(feature)
            values.append(value)
        if not rows:
            nothing = torch.zeros(0, dtype=torch.int64)
            return SparseActivations(nothing, nothing, torch.zeros(0), {})
        return SparseActivations(torch.cat(rows), torch.cat(features), torch.cat(values), {})

    def decode(self, values: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """Return the decoding [..., d_out] of ``values`` [..., n_features], read from ``hidden`` [..., d_in]."""
        x = hidden.float()
        out = values @ self.w_dec + self.b_dec
        if self.w_skip is not None:
            out = out + x @ self.w_skip.T
        if not self.denormalise or self.input_norm == "none":
            return out
        shift = x.mean(dim=-1, keepdim=True) if self.input_norm == "layer_norm" else 0.0
        return out * self.output_scale(hidden) + shift

    def output_scale(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the factor [..., 1] that undoes the normalisation of ``hidden`` in the decoding, else 1."""
        x = hidden.float()
        if not self.denormalise or self.input_norm == "none":
            return x.new_ones((*x.shape[:-1], 1))
        if self.input_norm == "layer_norm":
            return x.std(dim=-1, keepdim=True)
        scale: torch.Tensor = x.norm(dim=-1, keepdim=True) / self.d_in**0.5
        return scale

    def _chunks(self, n_rows: int) -> Iterator[slice]:
        step = max(1, _CHUNK_ELEMENTS // self.n_features)
        return (slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step))

    def _centred(self, hidden: torch.Tensor) -> torch.Tensor:
        x = hidden.float()
        if self.input_norm == "layer_norm":
            x = (x - x.mean(dim=-1, keepdim=True)) / (x.std(dim=-1, keepdim=True) + _LAYER_NORM_EPS)
        elif self.input_norm == "constant_norm_rescale":
            x = x * (self.d_in**0.5 / x.norm(dim=-1, keepdim=True))
        return x if self.b_in is None else x - self.b_in

    def _activate(self, x: torch.Tensor) -> torch.Tensor:
        if self.activation == "gated" and self.b_gate is not None and self.magnitude_scale is not None:
            projected = x @ self.w_enc
            magnitude = torch.relu(projected * self.magnitude_scale + self.b_enc)
            return torch.where(projected + self.b_gate > 0, magnitude, 0.0)
        before = torch.addmm(self.b_enc, x, self.w_enc)
        if self.activation == "jumprelu" and self.threshold is not None:
            return torch.where(before > self.threshold, torch.relu(before), 0.0)
        values = torch.relu(before)
        if self.activation == "topk" and self.k is not None:
            top, index = values.topk(self.k, dim=-1, sorted=False)
            return torch.zeros_like(values).scatter(-1, index, top)
        if self.activation == "groupmax" and self.k is not None:
            groups = values.reshape(*values.shape[:-1], self.k, -1)
            top, index = groups.max(dim=-1, keepdim=True)
            return torch.zeros_like(groups).scatter(-1, index, top).flatten(-2)
        return values

    def _active(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return row, feature and value of what is positive in ``_activate``, without its zeros being written out."""
        if self.activation in {"topk", "groupmax"} and self.k is not None:
            before = torch.addmm(self.b_enc, x, self.w_enc)
            if self.activation == "topk":
                top, feature = before.topk(self.k, dim=-1, sorted=False)
            else:
                groups = before.reshape(len(before), self.k, -1)
                top, within = groups.max(dim=-1)
                feature = within + torch.arange(self.k, device=x.device) * groups.shape[-1]
            # What is no number is kept for whoever reads the values to refuse.
            row, column = ((top > 0) | top.isnan()).nonzero(as_tuple=True)
            return row, feature[row, column], top[row, column]
        dense = self._activate(x)
        row, column = dense.nonzero(as_tuple=True)
        return row, column, dense[row, column]

    def _columns(self, chosen: torch.Tensor) -> Dictionary:
        """Return a dictionary of some latents only; right for activations that look at one latent at a time."""
        n = self.n_features

        def pick(tensor: torch.Tensor | None) -> torch.Tensor | None:
            return tensor[chosen] if tensor is not None and tensor.numel() == n else tensor

        return dataclasses.replace(
            self,
            w_enc=self.w_enc[:, chosen],
            b_enc=self.b_enc[chosen],
            w_dec=self.w_dec[chosen],
            threshold=pick(self.threshold),
            b_gate=pick(self.b_gate),
            magnitude_scale=pick(self.magnitude_scale),
        )
