"""Which format a folder of weights is in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import FeatureSourceError
from harness.subjects.weights.formats import READERS

if TYPE_CHECKING:
    from pathlib import Path

    from harness.subjects.weights.header import SourceHeader

__all__ = ["read_header"]

_SHOWN = 8


def read_header(path: Path) -> SourceHeader:
    """Return the header of the weights at ``path``: a folder, a file of weights, or the parent of one such folder.

    Raises:
        FeatureSourceError: If no known format fits (the message lists what was found), or several sub-folders do.
    """
    header = _read(path)
    if header is not None:
        return header
    if not path.is_dir():
        if path.suffix in {".pt", ".pth"}:
            from harness.subjects.weights.containers import read_torch  # noqa: PLC0415  -- listings do without PyTorch

            read_torch(path)  # says so if it is torn, or needs code to be read
        raise FeatureSourceError(
            "no known format of weights is a single file like this", where=str(path), hint=_expected()
        )
    inner = [entry for entry in sorted(path.iterdir()) if entry.is_dir() and _fits(entry)]
    if len(inner) == 1 and (header := _read(inner[0])) is not None:
        return header
    if inner:
        names = ", ".join(entry.name for entry in inner[:_SHOWN])
        raise FeatureSourceError(f"holds {len(inner)} feature sources", where=str(path), hint=f"add one of: {names}")
    found = ", ".join(sorted(entry.name for entry in path.iterdir())[:_SHOWN]) or "nothing"
    raise FeatureSourceError(f"no known format of weights; found {found}", where=str(path), hint=_expected())


def _read(path: Path) -> SourceHeader | None:
    return next((reader.header(path) for reader in READERS if reader.fits(path)), None)


def _fits(path: Path) -> bool:
    return any(reader.fits(path) for reader in READERS)


def _expected() -> str:
    return "give one of: " + "; ".join(f"{reader.name} ({reader.files})" for reader in READERS)
