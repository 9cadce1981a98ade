"""Finding and opening the files of a corpus."""

from __future__ import annotations

import glob
import gzip
import lzma
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from harness.errors import CorpusError
from harness.materials import cache_root, material_identity, path_digest, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["corpus_files", "files_identity", "open_bytes"]


def corpus_files(path: str, pattern: str, *, sha256: str | None, cache: str | None) -> list[Path]:
    """Return the files that ``path`` names, sorted, so that their order is the same on every machine.

    Raises:
        CorpusError: If there are none.
        MaterialError: If a material cannot be fetched or verified.
    """
    expanded = Path(path).expanduser()
    if "://" not in path and not expanded.exists():
        found = [Path(name) for name in glob.glob(str(expanded), recursive=True)]  # noqa: PTH207 -- may be absolute
        files = sorted(file for file in found if file.is_file())
        if not files:
            raise CorpusError("no such file or folder, and no file matches it as a pattern", where=path)
        return files
    place = resolve(path, cache=cache_root(cache), sha256=sha256)
    if place.is_file():
        return [place]
    files = sorted(file for file in place.glob(pattern) if file.is_file())
    if not files:
        raise CorpusError(f"the folder has no file that matches {pattern}", where=path, hint="set corpus.pattern")
    return files


def files_identity(path: str, pattern: str, *, sha256: str | None, cache: str | None) -> dict[str, Any]:
    """Return what determines the files: their digests, in order; for data in a wheel its pinned address, unfetched.

    Where local files lie and what they are called is no part of it.

    Raises:
        CorpusError: If there are no files, or one cannot be read.
    """
    if path.startswith("wheel://"):
        return {"material": material_identity(path, sha256), "pattern": pattern}
    try:
        return {"files": [path_digest(file) for file in corpus_files(path, pattern, sha256=sha256, cache=cache)]}
    except OSError as error:
        raise CorpusError(f"cannot be read: {error.strerror}", where=str(error.filename)) from error


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Yield the file's bytes as a stream, unpacked if its name ends in ``.gz`` or ``.xz``.

    Raises:
        CorpusError: If it cannot be read, or is no whole archive.
    """
    try:
        with _opener(path)(path, "rb") as stream:
            yield stream
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CorpusError(f"cannot be read: {reason}", where=str(path)) from error


def _opener(path: Path) -> Callable[..., BinaryIO]:
    openers: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open}
    return openers.get(path.suffix, open)
