"""Which format a folder of weights is in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import FeatureSourceError
from harness.subjects.weights import saelens, sparsify

if TYPE_CHECKING:
    from pathlib import Path

    from harness.subjects.weights.header import SourceHeader

__all__ = ["read_header"]

_READERS = (saelens, sparsify)
_SHOWN = 8


def read_header(folder: Path) -> SourceHeader:
    """Return the header of the weights in ``folder``, or in its only sub-folder that holds weights.

    Raises:
        FeatureSourceError: If no known format fits (the message lists what was found), or several sub-folders do.
    """
    if not folder.is_dir():
        raise FeatureSourceError("a feature source is a folder, this is a file", where=str(folder), hint=_expected())
    header = _read(folder)
    if header is not None:
        return header
    inner = [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and _fits(entry)]
    if len(inner) == 1 and (header := _read(inner[0])) is not None:
        return header
    if inner:
        names = ", ".join(entry.name for entry in inner[:_SHOWN])
        raise FeatureSourceError(f"holds {len(inner)} feature sources", where=str(folder), hint=f"add one of: {names}")
    found = ", ".join(sorted(entry.name for entry in folder.iterdir())[:_SHOWN]) or "nothing"
    raise FeatureSourceError(f"no known format of weights; found {found}", where=str(folder), hint=_expected())


def _read(folder: Path) -> SourceHeader | None:
    return next(
        (reader.read_header(folder) for reader in _READERS if _holds(folder, reader.CONFIG, reader.WEIGHTS)), None
    )


def _fits(folder: Path) -> bool:
    return any(_holds(folder, reader.CONFIG, reader.WEIGHTS) for reader in _READERS)


def _holds(folder: Path, *names: str) -> bool:
    return all((folder / name).is_file() for name in names)


def _expected() -> str:
    saelens_files, sparsify_files = (f"{reader.CONFIG} and {reader.WEIGHTS}" for reader in _READERS)
    return f"give a SAELens folder ({saelens_files}) or a sparsify one ({sparsify_files})"
