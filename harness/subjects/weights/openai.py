"""Reader of OpenAI's GPT-2 autoencoders (Gao et al. 2024): a PyTorch file a layer, ``{location}/autoencoders/{L}.pt``.

Those with the TopK activation normalise their input (minus its mean, over its unbiased standard deviation plus 1e-5)
and undo that in the decoding; the older ones with ReLU do neither. All were trained on GPT-2's hidden states as they
are, without TransformerLens' centring.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from harness.errors import FeatureSourceError
from harness.subjects.weights.folding import transpose
from harness.subjects.weights.header import SourceHeader, integer, shown
from harness.subjects.weights.reader import Layout, Reader, take
from harness.subjects.weights.torchfile import only_file, torch_entries, torch_files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

__all__ = ["READER"]

_NAMES = {"w_enc": "encoder.weight", "b_enc": "latent_bias", "w_dec": "decoder.weight", "b_dec": "pre_bias"}
_OWN = {"pre_bias", "latent_bias"}  # no other format has these two

_LOCATION = re.compile(r"(mlp_post_act|resid_delta_attn|resid_delta_mlp|resid_post_attn|resid_post_mlp)(?:_v\w+)?")
_PLACES = {
    "mlp_post_act": "mlp.hook_post",
    "resid_delta_attn": "hook_attn_out",
    "resid_delta_mlp": "hook_mlp_out",
    "resid_post_attn": "hook_resid_mid",
    "resid_post_mlp": "hook_resid_post",
}


def read_header(path: Path) -> SourceHeader:
    """Return what the file says, and its place in the model where the path says that.

    Raises:
        FeatureSourceError: If the folder holds several, or the activation is none of the two that were published.
    """
    file = only_file(path, torch_files(path, _is_autoencoder))
    entries = torch_entries(file) or {}
    activation = entries.get("activation", "ReLU")
    if activation not in ("ReLU", "TopK"):
        message = f"activation {shown(activation)} is not read"
        raise FeatureSourceError(message, where=str(file), hint="one of: ReLU, TopK")
    topk = activation == "TopK"
    n_features, d_in = _shape(entries)
    return SourceHeader(
        format="openai",
        weights=file,
        activation="topk" if topk else "relu",
        k=_k(entries.get("activation_state_dict"), file) if topk else None,
        d_in=d_in,
        n_features=n_features,
        input_norm="layer_norm" if topk else "none",
        hook_in=_hook(file),
    )


def arrays(tensors: Mapping[str, torch.Tensor], header: SourceHeader) -> dict[str, torch.Tensor]:
    """Return the tensors under the canonical names of ``Dictionary``.

    Raises:
        FeatureSourceError: If a tensor is missing.
    """
    return transpose(take(tensors, _NAMES, header))


def _is_autoencoder(file: Path) -> bool:
    return (torch_entries(file) or {}).keys() >= _OWN


def _fits(path: Path) -> bool:
    return bool(torch_files(path, _is_autoencoder))


def _shape(entries: Mapping[str, Any]) -> tuple[int | None, int | None]:
    bias, latents = entries["pre_bias"], entries["latent_bias"]
    sizes = [shape[0] if isinstance(shape, tuple) and len(shape) == 1 else None for shape in (latents, bias)]
    return sizes[0], sizes[1]


def _k(state: object, file: Path) -> int:
    if not isinstance(state, dict):
        raise FeatureSourceError("a TopK activation without activation_state_dict", where=str(file))
    after = state.get("postact_fn", "ReLU")
    if after != "ReLU":
        message = f"the function after TopK is {shown(after)}, and only ReLU is read"
        raise FeatureSourceError(message, where=str(file))
    k = integer(state, "k", file)
    if k is None:
        raise FeatureSourceError("a TopK activation without k", where=str(file))
    return k


def _hook(file: Path) -> str | None:
    match = next((found for name in reversed(file.absolute().parts) if (found := _LOCATION.fullmatch(name))), None)
    if match is None or not file.stem.isdecimal():
        return None
    return f"blocks.{int(file.stem)}.{_PLACES[match[1]]}"


READER = Reader(
    name="openai",
    files="{layer}.pt with pre_bias and latent_bias",
    kinds="SAEs: TopK, ReLU",
    checked="its definition, computed by hand in NumPy",
    layouts=(Layout(weights=r"\d+\.pt"),),
    fits=_fits,
    header=read_header,
    arrays=arrays,
)
