"""Random generators named by what they are for.

A draw depends on the root seed and its purpose alone, never on what was drawn before, so the same run gives the same
bytes in any order of execution and after a resume.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from harness.identity import canonical_json

if TYPE_CHECKING:
    import numpy as np

__all__ = ["derive_seed", "generator"]


def derive_seed(root: int, *purpose: str | int) -> int:
    """Return a 63-bit seed for ``purpose``, for instance ``derive_seed(0, "split", "demo", 17)``."""
    digest = hashlib.sha256(canonical_json([root, *purpose]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(root: int, *purpose: str | int) -> np.random.Generator:
    """Return a fresh NumPy generator (PCG64) for ``purpose``."""
    import numpy as np  # noqa: PLC0415  -- keeps `harness --help` free of NumPy

    return np.random.Generator(np.random.PCG64(derive_seed(root, *purpose)))
