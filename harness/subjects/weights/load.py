"""From a header to the dictionary in memory, with the checks that keep malformed weights from giving numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from harness.errors import FeatureSourceError
from harness.subjects.dictionary import Dictionary
from harness.subjects.weights.containers import read_tensors
from harness.subjects.weights.formats import reader_named

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.subjects.weights.header import SourceHeader

__all__ = ["load_dictionary"]


def load_dictionary(header: SourceHeader) -> Dictionary:
    """Return the dictionary of a feature source, in float32 on the CPU.

    Raises:
        FeatureSourceError: If the file is unreadable, tensors are missing, shapes disagree with the config or with
            each other, or values are not finite.
    """
    reader = reader_named(header.format)
    arrays = reader.arrays((reader.tensors or read_tensors)(header.weights), header)
    _check(arrays, header)
    if header.rescale_by_decoder_norm:
        # Scaling the encoder by the norms and the decoder by their inverse is the same map with nothing left to do.
        norms = arrays["w_dec"].norm(dim=-1)
        # A latent that writes nothing has no value either, and stays without a direction.
        shares = torch.where(norms > 0, 1 / norms, 0.0)
        arrays |= {
            "w_enc": arrays["w_enc"] * norms,
            "b_enc": arrays["b_enc"] * norms,
            "w_dec": arrays["w_dec"] * shares[:, None],
        }
    if header.gate_by_decoder_norm and "threshold" in arrays:
        # Norms are not negative: p * norm > t says the same as p > t / norm, and a row of norm 0 never fires.
        arrays["threshold"] = arrays["threshold"] / arrays["w_dec"].norm(dim=-1)
    _check_finite({name: tensor for name, tensor in arrays.items() if name != "threshold"}, header)
    return Dictionary(
        **arrays,
        b_in=arrays["b_dec"] if header.subtract_b_dec else None,
        activation=header.activation,
        k=header.k,
        input_norm=header.input_norm,
        denormalise=not header.transcoder,
    )


def _check(arrays: Mapping[str, torch.Tensor], header: SourceHeader) -> None:
    d_in, n_features = (int(size) for size in arrays["w_enc"].shape)
    d_out = int(arrays["w_dec"].shape[-1])
    expected = {
        "w_enc": (header.d_in or d_in, header.n_features or n_features),
        "w_dec": (n_features, d_out),
        "b_dec": (d_out,),
        "w_skip": (d_out, d_in),
    }
    for name, tensor in arrays.items():
        shape = expected.get(name, (n_features,))
        if tuple(tensor.shape) != shape and not (name == "threshold" and tensor.numel() == 1):
            message = f"{name} has shape {tuple(tensor.shape)}, expected {shape}"
            raise FeatureSourceError(
                message, where=str(header.weights), hint="see d_in and the number of latents in its config"
            )
    _check_finite(arrays, header)
    if header.k is not None and header.k > n_features:
        raise FeatureSourceError(f"k is {header.k}, with only {n_features} latents", where=str(header.weights))
    if header.activation == "groupmax" and header.k is not None and n_features % header.k:
        message = f"{n_features} latents do not make k = {header.k} groups of one size"
        raise FeatureSourceError(message, where=str(header.weights))
    if header.subtract_b_dec and d_in != d_out:
        message = f"its decoder bias has width {d_out} and cannot be subtracted from inputs of width {d_in}"
        raise FeatureSourceError(message, where=str(header.weights))


def _check_finite(arrays: Mapping[str, torch.Tensor], header: SourceHeader) -> None:
    for name, tensor in arrays.items():
        if not bool(tensor.isfinite().all()):
            raise FeatureSourceError(f"{name} holds NaN or infinite values", where=str(header.weights))
