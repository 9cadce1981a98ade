"""What the two trainers and the evaluation share: reading stored activations and describing a run."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file, save_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODEL_NAME = "SmolLM2-135M-Instruct"
LAYER = 14
CONTEXT = 256
N_LATENTS = 4_096
TOP_K = 32

# A residual vector this many times longer than the median is a massive activation (an attention sink). Position 0 is
# always one and is not stored at all; about 1.5 in 10,000 of the other tokens are too.
MASSIVE = 5.0

# What an export may lose to float16: latents that change between active and not, and relative error of the others.
MIN_AGREEMENT = 0.999
MAX_RELATIVE_ERROR = 0.01


@dataclass(frozen=True)
class Part:
    """The activations of one part (``train`` or ``held_out``)."""

    folder: Path
    width: int

    def read(self, name: str) -> np.ndarray:
        """Read one stream into memory as float16 ``[tokens, width]``."""
        return np.fromfile(self.folder / f"{name}.f16", dtype=np.float16).reshape(-1, self.width)


def open_part(activations: Path, name: str) -> Part:
    """Open one part of what ``collect.py`` wrote."""
    meta = json.loads((activations / "meta.json").read_text(encoding="utf-8"))
    return Part(activations / name, int(meta["width"]))


def norms(block: np.ndarray, step: int = 65_536) -> np.ndarray:
    """Return the Euclidean norm of each row, computed in float32."""
    parts = [np.linalg.norm(block[i : i + step].astype(np.float32), axis=1) for i in range(0, len(block), step)]
    return np.concatenate(parts)


def shuffled(streams: list[np.ndarray], batch: int, seed: int) -> Iterator[list[torch.Tensor]]:
    """Yield float32 batches of matching rows forever, in a new seeded order each epoch; the last short one is left."""
    rng = np.random.default_rng(seed)
    rows = len(streams[0])
    while True:
        order = rng.permutation(rows)
        for start in range(0, rows - batch + 1, batch):
            take = np.sort(order[start : start + batch])
            yield [torch.from_numpy(stream[take].astype(np.float32)) for stream in streams]


def store_float16(path: Path) -> None:
    """Rewrite a safetensors file in float16, readable by everyone (the library makes it private)."""
    save_file({key: value.to(torch.float16).contiguous() for key, value in load_file(path).items()}, path)
    path.chmod(0o644)


def sha256(path: Path) -> str:
    """Return the hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def versions(*names: str) -> dict[str, str]:
    """Return the installed versions of some distributions."""
    return {name: importlib.metadata.version(name) for name in names}


def write_json(path: Path, value: object) -> None:
    """Write JSON with a stable layout."""
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
