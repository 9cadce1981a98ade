"""Feature sources in repositories on the hub: which files one consists of, told from the list of files alone.

Only those files are fetched: no code, no other layer's weights, and no PyTorch file where a safe file of weights lies
beside it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from harness.errors import FeatureSourceError, MaterialError, closest
from harness.materials.repository import cached_files, fetch_files, hub_commit, hub_files
from harness.materials.uri import parse_hub_uri
from harness.subjects.weights.formats import READERS
from harness.subjects.weights.reader import ANY_TORCH_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from harness.materials.uri import HubUri
    from harness.subjects.weights.reader import Reader

__all__ = ["fetch_source", "find_sources", "hub_origin"]

_PICKLED = {".pt", ".pth"}
_SHOWN = 8
_LAYOUTS = tuple((reader, layout) for reader in READERS for layout in reader.layouts)


@dataclass(frozen=True, slots=True)
class RemoteSource:
    """One feature source of a repository.

    Attributes:
        folder: Path of its folder in the repository; empty for the repository itself.
        weights: Path of its file of weights.
        others: Paths of the small files that say the rest.
        readers: Those of the formats that have such files, in the order in which they are tried.
        by_name: Whether its files' names say that it is one; any PyTorch file may be one of some formats.
        complete: Whether all files are there that its formats read where they are there.
    """

    folder: str
    weights: str
    others: tuple[str, ...]
    readers: tuple[Reader, ...]
    by_name: bool
    complete: bool

    @property
    def pickled(self) -> bool:
        """Return whether the weights are in a PyTorch file."""
        return PurePosixPath(self.weights).suffix in _PICKLED

    @property
    def among_others(self) -> bool:
        """Return whether its folder may hold others of its kind, whose names differ by a number or in any way."""
        return self.pickled or re.search(r"\d", PurePosixPath(self.weights).name) is not None

    @property
    def address(self) -> str:
        """Return what a user writes for it: its folder, unless that holds others or is the repository itself."""
        return self.weights if self.among_others or not self.folder else self.folder


def fetch_source(source: str) -> Path | None:
    """Return the local folder or file of a feature source on the hub, or None if ``source`` is no address there.

    What is cached of a commit is used without asking the hub, unless more files may lie there that are read too. The
    configuration is fetched before the weights, so that whoever finds the weights has all of it.

    Raises:
        FeatureSourceError: If there is no feature source at that place, or there are several.
        MaterialError: If there is no such repository or revision, or it cannot be fetched.
    """
    uri = parse_hub_uri(source)
    if uri is None:
        return None
    commit = hub_commit(uri.repository, uri.revision)
    found = _find(uri, commit)
    root = fetch_files(uri.repository, commit, [*found.others, found.weights])
    return _place(root / found.folder, root / found.weights, found.readers)


def _find(uri: HubUri, commit: str) -> RemoteSource:
    cached = _direct(find_sources(cached_files(uri.repository, commit)), uri.path)
    certain = [source for source in cached if source.weights == uri.path or not source.among_others]
    # The cache is shared with other programs: of a file that may be or not be, only the hub's list says which.
    if len(certain) == 1 and certain[0].complete:
        return certain[0]
    try:
        names = hub_files(uri.repository, commit)
    except MaterialError as error:
        # Without a connection, the one that is here is the one that was meant when there was one.
        if error.retryable and len(cached) == 1:
            return cached[0]
        raise
    return _choose(names, uri)


def hub_origin(source: str) -> dict[str, Any]:
    """Return the repository and the commit of an address on the hub, for identities; nothing for other sources.

    Raises:
        MaterialError: If there is no such repository or revision, or the hub cannot be asked.
    """
    uri = parse_hub_uri(source)
    return {} if uri is None else {"hub": uri.repository, "revision": hub_commit(uri.repository, uri.revision)}


def find_sources(names: Iterable[str]) -> list[RemoteSource]:
    """Return the feature sources among the files of a repository, by the paths of their weights."""
    present = set(names)
    found = [source for name in sorted(present) if (source := _source(name, present)) is not None]
    safe = {source.folder for source in found if not source.pickled}
    return [source for source in found if not (source.pickled and source.folder in safe)]


def _source(name: str, present: set[str]) -> RemoteSource | None:
    """Return the source whose weights are the file ``name``, if some format has such files."""
    others: dict[str, None] = {}
    folders: list[str] = []
    readers: dict[str, Reader] = {}
    by_name, complete = False, True
    for reader, layout in _LAYOUTS:
        match = re.search(rf"(?:^|/)(?P<weights>{layout.weights})$", name)
        if match is None:
            continue
        folder = name[: match.start("weights")].rstrip("/")
        beside = [_join(folder, file) for file in layout.beside]
        if not present.issuperset(beside):
            continue
        stem = PurePosixPath(name).stem
        optional = [_join(folder, file.replace("{stem}", stem)) for file in layout.optional]
        others |= dict.fromkeys([*beside, *(file for file in optional if file in present)])
        complete = complete and present.issuperset(optional)
        folders.append(folder)
        readers[reader.name] = reader
        by_name = by_name or layout.weights != ANY_TORCH_FILE
    if not folders:
        return None
    return RemoteSource(folders[0], name, tuple(others), tuple(readers.values()), by_name, complete)


def _place(folder: Path, weights: Path, readers: Iterable[Reader]) -> Path:
    """Return what a reader is given: the file, since a folder may hold others, unless its format is one of folders."""
    for reader in readers:
        for path in (weights, folder):
            if reader.fits(path):
                return path
    return weights


def _choose(names: Sequence[str], uri: HubUri) -> RemoteSource:
    """Return the one source at the address: its file, its folder, or a folder above no other."""
    found = find_sources(names)
    direct = _direct(found, uri.path) or [source for source in [_source(uri.path, set(names))] if source is not None]
    if len(direct) == 1:
        return direct[0]
    if len(direct) > 1:
        raise _several(direct, uri, "files of weights, each a feature source of its own")
    start = f"{uri.path}/" if uri.path else ""
    beneath = [source for source in _named(found) if source.weights.startswith(start)]
    if len(beneath) == 1:
        return beneath[0]
    if beneath:
        raise _several(beneath, uri, "feature sources")
    there = uri.path in names or any(name.startswith(start) for name in names)
    raise _nothing(uri, [source.address for source in _named(found)], there=there)


def _direct(found: Sequence[RemoteSource], path: str) -> list[RemoteSource]:
    """Return the sources whose file or own folder is ``path``; more than one in a folder is for the user to choose."""
    exact = [source for source in found if source.weights == path]
    return exact or [source for source in _named(found) if source.folder == path]


def _named(found: Sequence[RemoteSource]) -> list[RemoteSource]:
    """Return the sources that names tell for certain, or all of them where there are none."""
    return [source for source in found if source.by_name] or list(found)


def _several(sources: Sequence[RemoteSource], uri: HubUri, what: str) -> FeatureSourceError:
    addresses = [source.address for source in sources]
    near = [address[len(uri.path) :].strip("/") for address in addresses[:_SHOWN]]
    shown = ", ".join(near) + (", ..." if len(addresses) > _SHOWN else "")
    return FeatureSourceError(f"holds {len(addresses)} {what}", where=uri.text, hint=f"add one of: {shown}")


def _nothing(uri: HubUri, addresses: Sequence[str], *, there: bool) -> FeatureSourceError:
    what = f"no known format of weights in '{uri.path}'" if there else f"the repository has no '{uri.path}'"
    if not addresses:
        what = "the repository holds no weights of a known format"
        return FeatureSourceError(what, where=uri.text, hint="see docs/reference/formats.md for the files of each")
    near = closest(uri.path, addresses)
    shown = ", ".join(addresses[:_SHOWN]) + (", ..." if len(addresses) > _SHOWN else "")
    hint = f"did you mean {' or '.join(near)}?" if near else f"it has {len(addresses)} feature sources: {shown}"
    return FeatureSourceError(what, where=uri.text, hint=hint)


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
