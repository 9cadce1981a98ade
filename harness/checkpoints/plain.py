"""From a configured path to what ``from_pretrained`` can load: a hub commit or a plain model folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checkpoints.gguf import convert_gguf, converted_folder, is_gguf
from harness.errors import MaterialError
from harness.materials.checkpoint import Checkpoint, open_checkpoint
from harness.materials.digests import path_digest
from harness.materials.store import is_published
from harness.progress import SILENT

if TYPE_CHECKING:
    from pathlib import Path

    from harness.progress import Progress

__all__ = ["plain_checkpoint"]


def plain_checkpoint(
    path: str, revision: str | None, sha256: str | None, dtype: str, *, cache: Path, progress: Progress = SILENT
) -> Checkpoint:
    """Return the checkpoint to load: fetched if it is a material, converted once to ``dtype`` if it is a GGUF file.

    Args:
        path: Hub id, local folder, ``.gguf`` file or address of a material.
        revision: Branch, tag or commit of a hub repository.
        sha256: Digest of the file or folder, if it is known.
        dtype: Name of the type a GGUF's weights are converted to.
        cache: Root of the cache, for materials and conversions.
        progress: Where fetching and converting are shown.

    Raises:
        MissingMaterialError: If it does not exist.
        MaterialError: If it cannot be fetched or converted, has another digest, or is no model.
    """
    if sha256 is not None:
        converted = converted_folder(sha256.strip().lower(), dtype, cache)
        if is_published(converted):
            return Checkpoint(str(converted))
    checkpoint = open_checkpoint(path, revision, sha256, cache=cache, progress=progress)
    local = checkpoint.local
    if local is None or local.is_dir():
        return checkpoint
    if not is_gguf(local):
        hint = "give a hub id, a folder with config.json, or a .gguf file"
        raise MaterialError("neither a model folder nor a GGUF file", where=path, hint=hint)
    return Checkpoint(str(convert_gguf(local, path_digest(local), dtype, cache, progress)))
