"""Where a transformers checkpoint comes from: a hub repository at one commit, or files of this machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import MaterialError
from harness.materials.errors import MissingMaterialError
from harness.materials.hub import hub_errors
from harness.materials.resolve import material_identity, resolve
from harness.materials.uri import has_scheme
from harness.progress import SILENT

if TYPE_CHECKING:
    from harness.progress import Progress

__all__ = ["Checkpoint", "checkpoint_identity", "open_checkpoint"]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What ``from_pretrained`` is given.

    Attributes:
        name: Hub id, or the path of a local folder or file.
        revision: Commit, for a hub id.
    """

    name: str
    revision: str | None = None

    @property
    def local(self) -> Path | None:
        """Return the local folder or file, or None for a hub repository."""
        return Path(self.name) if self.revision is None else None


def checkpoint_identity(path: str, revision: str | None, sha256: str | None) -> dict[str, Any]:
    """Return plain data that determines a checkpoint's content: a digest, a pinned address, or a repository and commit.

    Args:
        path: Hub id, local path or material address.
        revision: Branch, tag or commit of a hub repository.
        sha256: Digest of a file or folder, if it is known.

    Raises:
        MaterialError: If there is no such file, or the hub does not say which commit is meant.
    """
    if _is_hub(path):
        return {"hub": path, "revision": _commit(path, revision)}
    return material_identity(path, sha256)


def open_checkpoint(
    path: str, revision: str | None, sha256: str | None, *, cache: Path, progress: Progress = SILENT
) -> Checkpoint:
    """Return the checkpoint to load, fetched into the cache if it is a material.

    Raises:
        MaterialError: If it does not exist, cannot be fetched, or has another digest.
    """
    if _is_hub(path):
        return Checkpoint(path, _commit(path, revision))
    return Checkpoint(str(resolve(path, cache=cache, sha256=sha256, progress=progress)))


def _is_hub(path: str) -> bool:
    local = has_scheme(path) or Path(path).expanduser().exists() or path.endswith(".gguf")
    return not local and _HUB_ID.fullmatch(path) is not None


def _commit(repository: str, revision: str | None) -> str:
    if revision is not None and _COMMIT.fullmatch(revision):
        return revision
    # Imports here keep plans and listings of local models free of the hub client.
    from huggingface_hub import HfApi, try_to_load_from_cache  # noqa: PLC0415  -- see above

    cached = try_to_load_from_cache(repository, "config.json", revision=revision)
    if isinstance(cached, str):
        return Path(cached).parent.name
    try:
        commit = HfApi().model_info(repository, revision=revision, timeout=_TIMEOUT_S).sha
    except hub_errors() as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise MissingMaterialError(
            f"no such local path, and the model hub gives no such model: {reason}",
            where=repository,
            hint="check the path or hub id; a local model needs an existing folder or .gguf file",
        ) from error
    if commit is None:
        raise MaterialError("the model hub names no commit", where=repository, hint="give a revision")
    return commit
