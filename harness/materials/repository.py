"""Model repositories on the hub: which commit is meant, what files it holds, and files of it on this machine.

Files lie in the hub client's own cache, where other programs find them too. A commit never changes, so that what is
cached of it is never asked for again; which commit a branch stands for is asked once in a process, and where the hub
cannot be reached, the commit it stood for last is taken.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import MaterialError
from harness.materials.digests import path_digest
from harness.materials.hub import answer_errors, download_errors, quiet_hub
from harness.materials.hub_answers import hub_error, unanswered

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["cached_files", "fetch_files", "hub_commit", "hub_files"]

_COMMIT = re.compile(r"[0-9a-f]{40}")
_DEFAULT = "main"
_TIMEOUT_S = 10.0
_SHA256_DIGITS, _SHA1_DIGITS = 64, 40
_BLOCK = 1 << 20


def hub_commit(repository: str, revision: str | None) -> str:
    """Return the commit that a branch or a tag stands for; a whole commit stands for itself.

    Raises:
        MissingMaterialError: If there is no such repository or revision, or it is gated.
        MaterialError: If the hub cannot be asked and nothing of the revision is cached.
    """
    if revision is not None and _COMMIT.fullmatch(revision):
        return revision
    return _resolved(repository, revision, _endpoint())


def hub_files(repository: str, commit: str) -> list[str]:
    """Return the paths of all files of a commit, sorted.

    Raises:
        MissingMaterialError: If there is no such repository or commit, or it is gated.
        MaterialError: If the hub cannot be asked.
    """
    return list(_listed(repository, commit, _endpoint()))


def cached_files(repository: str, commit: str) -> list[str]:
    """Return the paths of the files of a commit that lie in the hub client's cache, sorted."""
    folder = _cache(repository) / "snapshots" / commit
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def fetch_files(repository: str, commit: str, names: Sequence[str]) -> Path:
    """Return the folder in which a commit's files lie as they do in the repository, ``names`` among them.

    They are fetched one after the other, as far as they are not cached. A file whose content is not what the hub says
    it is (which names it by a digest) is fetched once more.

    Raises:
        MissingMaterialError: If there is no such repository, commit or file, or it is gated.
        MaterialError: If the hub cannot be asked, or what it sends is torn.
    """
    folder = _cache(repository) / "snapshots" / commit
    for name in names:
        path = _fetch(repository, commit, name)
        if not _whole(path):
            path = _fetch(repository, commit, name, again=True)
        if not _whole(path):
            what = f"what was fetched of {name} has another digest than the hub states"
            hint = f"remove {path} and run again; if it stays so, the repository or a proxy on the way is at fault"
            raise MaterialError(what, where=_where(repository, commit), hint=hint, retryable=True)
        folder = path.parents[name.count("/")]
    return folder


@lru_cache(maxsize=256)
def _resolved(repository: str, revision: str | None, endpoint: str) -> str:  # noqa: ARG001  -- part of the cache key
    # Imports here keep plans and listings of local sources free of the hub client.
    from huggingface_hub import HfApi  # noqa: PLC0415  -- see above

    try:
        with quiet_hub():
            commit = HfApi().model_info(repository, revision=revision, timeout=_TIMEOUT_S).sha
    except answer_errors() as error:
        cached = _cached_commit(repository, revision) if unanswered(error) else None
        if cached is None:
            raise hub_error(error, repository, revision) from error
        return cached
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        raise MaterialError("the hub names no commit", where=repository, hint="write hub://owner/name@COMMIT/...")
    _remember(repository, revision, commit)
    return commit


@lru_cache(maxsize=256)
def _listed(repository: str, commit: str, endpoint: str) -> tuple[str, ...]:  # noqa: ARG001  -- part of the cache key
    from huggingface_hub import HfApi  # noqa: PLC0415  -- as above
    from huggingface_hub.hf_api import RepoFile  # noqa: PLC0415  -- as above

    try:
        with quiet_hub():
            # The list is asked for again and again where there is no connection; this is not, and says so at once.
            HfApi().model_info(repository, revision=commit, timeout=_TIMEOUT_S)
            entries = HfApi().list_repo_tree(repository, recursive=True, revision=commit)
            return tuple(sorted(entry.path for entry in entries if isinstance(entry, RepoFile)))
    except answer_errors() as error:
        raise hub_error(error, repository, commit) from error


def _fetch(repository: str, commit: str, name: str, *, again: bool = False) -> Path:
    from huggingface_hub import hf_hub_download  # noqa: PLC0415  -- as above

    try:
        cache = _cache(repository).parent
        with quiet_hub():
            path = hf_hub_download(repository, name, revision=commit, force_download=again, cache_dir=cache)
    except download_errors() as error:
        raise hub_error(error, repository, commit, name) from error
    return Path(path)


def _whole(path: Path) -> bool:
    """Return whether a cached file's content has the digest that its blob is named by, where it is named so.

    That is a SHA-256 for large files, and git's SHA-1 of a blob for the others.
    """
    stated = path.resolve().name.lower()
    if not re.fullmatch(r"[0-9a-f]+", stated):
        return True
    if len(stated) == _SHA256_DIGITS:
        return path_digest(path) == stated
    return len(stated) != _SHA1_DIGITS or stated == _git_sha1(path)


def _git_sha1(path: Path) -> str:
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _endpoint() -> str:
    from huggingface_hub import constants  # noqa: PLC0415  -- as above

    return str(constants.ENDPOINT)


def _cache(repository: str) -> Path:
    from huggingface_hub import constants  # noqa: PLC0415  -- as above

    return Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"


def _cached_commit(repository: str, revision: str | None) -> str | None:
    try:
        commit = (_cache(repository) / "refs" / (revision or _DEFAULT)).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    return commit if _COMMIT.fullmatch(commit) else None


def _remember(repository: str, revision: str | None, commit: str) -> None:
    """Write down which commit a revision stands for, where the hub client does it too.

    Where that cannot be written (a cache that is shared and read-only), it is only asked for again.
    """
    file = _cache(repository) / "refs" / (revision or _DEFAULT)
    if _cached_commit(repository, revision) == commit or ".." in file.parts:
        return
    # Beside the folder of the revisions: what lies in it is a revision to the hub client.
    partial = _cache(repository) / f".{commit}-{os.getpid()}-{os.urandom(4).hex()}"
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_text(commit, encoding="utf-8")
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)


def _where(repository: str, revision: str | None) -> str:
    return f"hub://{repository}@{revision}" if revision else f"hub://{repository}"
