"""Folders of the cache that appear whole or not at all."""

from __future__ import annotations

import fcntl
import json
import shutil
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from harness.errors import MaterialError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

__all__ = ["META", "is_published", "publish_folder", "read_meta"]

META = "meta.json"
_CACHE_HINT = "choose a folder you can write with paths.cache or HARNESS_CACHE, and see that the disk is not full"


def publish_folder(
    target: Path, *, kind: str, identity: Mapping[str, Any], build: Callable[[Path], None]
) -> Mapping[str, Any]:
    """Return the metadata of the folder ``target``, building it first if it is not there or not whole.

    ``build`` fills a temporary folder beside it, which is renamed when it is done; two processes take turns, and the
    second one finds the work done. A crash leaves no folder under the final name.

    Args:
        target: The folder; its name is the fingerprint.
        kind: What it holds (``material``, ``model``), for listings of the cache.
        identity: Plain data its content is determined by.
        build: Fills the folder it is given.

    Raises:
        MaterialError: If the cache cannot be written.
    """
    if is_published(target):
        return read_meta(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target.parent / f".{target.name}.lock"):
            if not is_published(target):
                _build(target, kind, identity, build)
    except OSError as error:
        message = f"cannot write the cache: {error}"
        raise MaterialError(message, where=str(target), hint=_CACHE_HINT) from error
    return read_meta(target)


def is_published(target: Path) -> bool:
    """Return whether ``target`` is a whole folder: its metadata is there and every file has the recorded size."""
    if not (target / META).is_file():
        return False
    sizes: dict[str, int] = read_meta(target)["files"]
    return all(path.is_file() and path.stat().st_size == size for path, size in _at(target, sizes))


def read_meta(target: Path) -> dict[str, Any]:
    """Return the metadata written with a published folder: kind, fingerprint, identity, created, files (bytes each)."""
    meta: dict[str, Any] = json.loads((target / META).read_text(encoding="utf-8"))
    return meta


def _build(target: Path, kind: str, identity: Mapping[str, Any], build: Callable[[Path], None]) -> None:
    temporary = target.parent / f".{target.name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        build(temporary)
        meta = {
            "kind": kind,
            "fingerprint": target.name,
            "identity": dict(identity),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "files": _sizes(temporary),
        }
        (temporary / META).write_text(json.dumps(meta, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sizes(folder: Path) -> dict[str, int]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def _at(folder: Path, sizes: Mapping[str, int]) -> Iterator[tuple[Path, int]]:
    return ((folder / name, size) for name, size in sizes.items())


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    # The kernel drops this lock with the process, so a killed run never blocks the next one.
    with path.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(stream, fcntl.LOCK_UN)
