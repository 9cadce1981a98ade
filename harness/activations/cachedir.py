"""What lies in the cache folder, and how it is cleared."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from harness.activations.artefact import META, USED, remove_dead_partials
from harness.activations.unfinished import remove_unfinished
from harness.errors import UnknownNameError
from harness.llm.answers_file import answers_path

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

__all__ = [
    "ACTIVATIONS_FOLDER",
    "ANSWERS_KIND",
    "CORPORA_FOLDER",
    "EMBEDDINGS_FOLDER",
    "KINDS",
    "Artefact",
    "list_artefacts",
    "prune",
]

CORPORA_FOLDER = "corpora"
ACTIVATIONS_FOLDER = "activations"
EMBEDDINGS_FOLDER = "embeddings"
ANSWERS_KIND = "llm"
KINDS = ("materials", "models", CORPORA_FOLDER, ACTIVATIONS_FOLDER, EMBEDDINGS_FOLDER, ANSWERS_KIND)
_DOOMED = ".doomed-"
_BESIDE = ("-wal", "-shm", "-journal", "-lock")


@dataclass(frozen=True)
class Artefact:
    """One thing in the cache.

    Attributes:
        kind: The folder of the cache it lies in: one of ``KINDS``.
        fingerprint: Its name there.
        path: Where it is.
        bytes: Its size on disk.
        created: When it was written.
        last_used: When it was last opened, as far as that is noted.
        summary: One line about it.
    """

    kind: str
    fingerprint: str
    path: Path
    bytes: int
    created: datetime
    last_used: datetime
    summary: str


def list_artefacts(cache: Path) -> list[Artefact]:
    """Return everything in the cache, by kind and then by name. A cache that does not exist holds nothing."""
    return [_describe(kind, path) for kind in KINDS for path in _entries(cache, kind)]


def prune(
    cache: Path,
    kinds: Collection[str] = KINDS,
    older_than: timedelta | None = None,
    keep: Collection[str] = (),
    *,
    dry_run: bool = False,
) -> list[Artefact]:
    """Return the artefacts that were removed, or with ``dry_run`` would be.

    What interrupted collections left to go on from goes too, though it is no artefact yet and not in the list.

    The answers of language models stay: they are removed answer by answer (``harness.llm.cache_contents``), as their
    file may be in use, and was paid for.

    Args:
        cache: The cache folder.
        kinds: The kinds to clear.
        older_than: Leave what was used within this time; None leaves nothing.
        keep: Fingerprints to leave.
        dry_run: Remove nothing.

    Raises:
        UnknownNameError: If a kind does not exist.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise UnknownNameError("kind of artefact", kind, KINDS)
    before = datetime.now(UTC) - older_than if older_than is not None else None
    chosen = [
        artefact
        for artefact in list_artefacts(cache)
        if artefact.kind in kinds
        and artefact.path != answers_path(cache)
        and artefact.fingerprint not in keep
        and (before is None or artefact.last_used <= before)
    ]
    if not dry_run:
        for kind in kinds:
            _sweep(cache / kind)
            remove_unfinished(cache / kind, before, keep)
        for artefact in chosen:
            for part in _with_journals(artefact.path):
                _remove(part)
    return chosen


def _entries(cache: Path, kind: str) -> Iterator[Path]:
    folder = cache / kind
    if folder.is_dir():
        # Names that begin with a dot are unfinished work or locks, and no artefacts.
        named = (path for path in folder.iterdir() if not path.name.startswith("."))
        yield from sorted(path for path in named if not path.name.endswith(_BESIDE))


def _with_journals(path: Path) -> list[Path]:
    """Return ``path`` and, where it is an SQLite file, the journals and the lock beside it."""
    return [path, *(journal for end in _BESIDE if (journal := path.with_name(path.name + end)).exists())]


def _describe(kind: str, path: Path) -> Artefact:
    changed = path.lstat().st_mtime
    marker = path / USED
    used = marker.stat().st_mtime if marker.is_file() else changed
    meta = _meta(path)
    created = meta.get("created")
    return Artefact(
        kind=kind,
        fingerprint=path.name,
        path=path,
        bytes=sum(_size(part) for part in _with_journals(path)),
        created=_time(created) or datetime.fromtimestamp(changed, UTC),
        last_used=datetime.fromtimestamp(used, UTC),
        summary=_summary(path, kind, meta),
    )


def _meta(path: Path) -> dict[str, object]:
    try:
        meta = json.loads((path / META).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # materials, models and answers have none; a damaged one can still be listed and removed
    return meta if isinstance(meta, dict) else {}


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _summary(path: Path, kind: str, meta: dict[str, object]) -> str:
    tokens, activations = meta.get("n_tokens"), meta.get("n_activations")
    if kind == CORPORA_FOLDER and isinstance(tokens, int):
        return f"{tokens:,} tokens of {meta.get('n_documents')} documents"
    if kind == ACTIVATIONS_FOLDER and isinstance(activations, int) and isinstance(tokens, int):
        return f"{activations:,} activations of {meta.get('n_features')} features on {tokens:,} tokens"
    if kind == EMBEDDINGS_FOLDER and isinstance(vectors := meta.get("n_vectors"), int):
        return f"embeddings of {vectors:,} windows"
    identity = meta.get("identity")
    if isinstance(identity, dict) and isinstance(identity.get("uri"), str):
        return f"{identity['uri']}"
    if kind == ANSWERS_KIND:
        return "what endpoints can do" if path.is_dir() else "answers of language models"
    return {"materials": "fetched file", "models": "converted model"}.get(kind, "")


def _size(path: Path) -> int:
    if not path.is_dir() or path.is_symlink():
        return path.lstat().st_size
    return sum(
        os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118  -- os.walk gives texts
        for folder, _, names in os.walk(path)
        for name in names
    )


def _sweep(folder: Path) -> None:
    """Remove what ended processes left behind: half-built artefacts, half-removed ones."""
    if not folder.is_dir():
        return
    remove_dead_partials(folder)
    for doomed in folder.glob(f"{_DOOMED}*"):
        shutil.rmtree(doomed, ignore_errors=True)


def _remove(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    # Renamed first, so that a kill in the middle leaves no half artefact under a good name.
    doomed = path.with_name(f"{_DOOMED}{path.name}-{os.getpid()}")
    path.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)
