"""Reader of e2e_sae files (Braun et al. 2024): a run's checkpoint, or a published file next to its configuration.

A checkpoint (``samples_400000.pt``) holds ``blocks-6-hook_resid_pre.encoder.0.weight`` and so on, one SAE for each
position; a published file (``e2e_similar_ce_layer_6.pt``) holds ``encoder.weight`` and so on, and its position is in
``e2e_similar_ce_layer_6.yaml`` beside it. The decoder's columns are scaled to norm 1 where they are used; nothing is
subtracted from the input.

The library runs its models as TransformerLens loads them: with LayerNorm models (its own are GPT-2, Pythia and
TinyStories), everything written to the residual stream has its mean over the width taken off. At such positions the
hidden states of the published model are read so too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from harness.errors import FeatureSourceError
from harness.subjects.weights.header import SourceHeader, read_yaml
from harness.subjects.weights.reader import ANY_TORCH_FILE, Layout, Reader, take
from harness.subjects.weights.torchfile import only_file, torch_entries, torch_files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

__all__ = ["READER"]

_ENCODER = re.compile(r"(?:(.+)\.)?encoder\.0\.weight")
_PUBLISHED = {"encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias"}
_HOOK = re.compile(r"blocks\.\d+\.[\w.]+")
_STREAM = re.compile(r"blocks\.\d+\.hook_(?:resid_pre|resid_mid|resid_post|attn_out|mlp_out)")
_RUN_CONFIG = "final_config.yaml"
_SHOWN = 8


def read_header(path: Path) -> SourceHeader:
    """Return what the file and the configuration beside it say.

    Raises:
        FeatureSourceError: If there are several SAEs.
    """
    file = only_file(path, torch_files(path, _is_sae))
    entries = torch_entries(file) or {}
    names = _prefixes(entries)
    if len(names) > 1:
        message = f"holds {len(names)} SAEs ({', '.join(names[:_SHOWN])}), and one is read at a time"
        raise FeatureSourceError(message, where=str(file), hint="save each position's tensors to a file of its own")
    hook = names[0].replace("-", ".") if names and names[0] else _position(file)
    return SourceHeader(
        format="e2e_sae",
        weights=file,
        activation="relu",
        subtract_b_dec=False,
        centred=hook is not None and _STREAM.fullmatch(hook) is not None,
        hook_in=hook,
    )


def arrays(tensors: Mapping[str, torch.Tensor], header: SourceHeader) -> dict[str, torch.Tensor]:
    """Return the tensors under the canonical names of ``Dictionary``, norms folded in.

    Raises:
        FeatureSourceError: If a tensor is missing.
    """
    names = _prefixes(tensors)
    prefix = f"{names[0]}." if names and names[0] else ""
    encoder = f"{prefix}encoder.0" if names else "encoder"
    found = take(
        tensors,
        {
            "w_enc": f"{encoder}.weight",
            "b_enc": f"{encoder}.bias",
            "w_dec": f"{prefix}decoder.weight",
            "b_dec": f"{prefix}decoder.bias",
        },
        header,
    )
    w_enc = found["w_enc"].T.contiguous()
    # A column of zeros stays one, as in torch.nn.functional.normalize.
    columns = found["w_dec"] / found["w_dec"].norm(dim=0, keepdim=True).clamp_min(1e-12)
    return found | {"w_enc": w_enc, "w_dec": columns.T.contiguous()}


def _is_sae(file: Path) -> bool:
    entries = torch_entries(file) or {}
    if _prefixes(entries):
        return True
    # These four names are any linear autoencoder's; the configuration beside the file says whose they are.
    return entries.keys() == _PUBLISHED and "saes" in _config(file.with_suffix(".yaml"))


def _fits(path: Path) -> bool:
    return bool(torch_files(path, _is_sae))


def _prefixes(entries: Mapping[str, Any]) -> list[str]:
    """Return the names before ``.encoder.0.weight``, one for each SAE of a checkpoint; empty for an SAE on its own."""
    return [match[1] or "" for name in entries if (match := _ENCODER.fullmatch(name))]


def _config(path: Path) -> dict[str, Any]:
    try:
        return read_yaml(path)
    except FeatureSourceError:
        return {}


def _position(file: Path) -> str | None:
    for path in (file.with_suffix(".yaml"), file.with_name(_RUN_CONFIG)):
        saes = _config(path).get("saes")
        stated = saes.get("sae_positions") if isinstance(saes, dict) else None
        positions = [stated] if isinstance(stated, str) else stated
        if isinstance(positions, list) and len(positions) == 1 and isinstance(positions[0], str):
            return positions[0] if _HOOK.fullmatch(positions[0]) else None
    return None


READER = Reader(
    name="e2e_sae",
    files="samples_*.pt, or a published .pt beside its .yaml",
    kinds="SAEs: ReLU",
    checked="files written and encoded by the class of e2e-sae 2.1.1",
    layouts=(Layout(weights=ANY_TORCH_FILE, optional=("{stem}.yaml", _RUN_CONFIG)),),
    fits=_fits,
    header=read_header,
    arrays=arrays,
)
