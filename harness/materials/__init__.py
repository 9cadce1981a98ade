"""Files the harness works on, wherever they come from: local paths, the shipped demo, and data inside wheels."""

from __future__ import annotations

from harness.materials.digests import path_digest
from harness.materials.resolve import cache_root, material_identity, resolve

__all__ = ["cache_root", "material_identity", "path_digest", "resolve"]
