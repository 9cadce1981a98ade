"""The one material error that callers tell apart."""

from __future__ import annotations

from harness.errors import MaterialError

__all__ = ["MissingMaterialError"]


class MissingMaterialError(MaterialError):
    """There is nothing at the address; unlike a download that failed or a digest that differs."""
