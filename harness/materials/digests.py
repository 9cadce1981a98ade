"""Digests of files and folders, remembered while a file does not change."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from harness.errors import MaterialError
from harness.identity import file_sha256

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["check_digest_form", "folder_files", "path_digest", "verify"]

_HEX = re.compile(r"[0-9a-f]{64}")


def check_digest_form(sha256: str, *, where: str) -> str:
    """Return ``sha256`` in lower case.

    Raises:
        MaterialError: If it is not 64 hex digits.
    """
    lower = sha256.strip().lower()
    if not _HEX.fullmatch(lower):
        raise MaterialError(f"'{sha256}' is not a sha256 digest", where=where, hint="give its 64 hex digits")
    return lower


def folder_files(folder: Path) -> list[Path]:
    """Return the files under ``folder``, sorted by relative path, without hidden files and Python's bytecode."""
    files = (path for path in folder.rglob("*") if path.is_file())
    kept = (path for path in files if not _ignored(path.relative_to(folder).parts))
    return sorted(kept, key=lambda path: path.relative_to(folder).as_posix())


def path_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, or of a folder's ``relative path, NUL, file digest`` lines in order.

    A file is read once per size and modification time.
    """
    if path.is_dir():
        lines = (f"{file.relative_to(path).as_posix()}\0{path_digest(file)}\n" for file in folder_files(path))
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    status = path.stat()
    return _file_digest(path.resolve(), status.st_size, status.st_mtime_ns)


def verify(path: Path, sha256: str | None, *, where: str) -> None:
    """Compare a file's or folder's digest with the expected one, if there is one.

    Raises:
        MaterialError: If they differ; the message names both.
    """
    if sha256 is None:
        return
    expected, found = check_digest_form(sha256, where=where), path_digest(path)
    if found != expected:
        hint = "check the address, or correct the sha256 in the config if the new content is meant"
        raise MaterialError(f"sha256 is {found}, expected {expected}", where=where, hint=hint)


def _ignored(parts: tuple[str, ...]) -> bool:
    return "__pycache__" in parts or any(part.startswith(".") for part in parts)


@lru_cache(maxsize=1024)
def _file_digest(path: Path, size: int, mtime_ns: int) -> str:  # noqa: ARG001  -- size and time are the cache key
    return file_sha256(path)
