"""The written forms of a material.

A plain path, ``demo://...``, ``wheel://DIST==VERSION/path/in/wheel`` or ``hub://owner/name@revision/path/in/repository``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from harness.errors import MaterialError

__all__ = [
    "DemoUri",
    "HubUri",
    "MaterialUri",
    "PathUri",
    "WheelPart",
    "WheelUri",
    "expand_ranges",
    "has_scheme",
    "parse_hub_uri",
    "parse_uri",
]

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.DOTALL)
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_WHEEL = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9][A-Za-z0-9._+!-]*)/(.+)")
# A slash in a revision is written %2F, as in refs%2Fpr%2F1.
_HUB = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*)(?:@([A-Za-z0-9][A-Za-z0-9._%+-]*))?(?:/(.*))?"
)
_MAX_PARTS = 10_000
_WHEEL_FORM = "write wheel://NAME==VERSION/path/in/wheel"
_HUB_FORM = "write hub://owner/name/path/in/repository, or hub://owner/name@revision/path/in/repository"


@dataclass(frozen=True, slots=True)
class PathUri:
    """A file or folder of this machine."""

    path: Path


@dataclass(frozen=True, slots=True)
class DemoUri:
    """A file or folder shipped inside the harness. ``path`` is relative and stays inside."""

    path: PurePosixPath


@dataclass(frozen=True, slots=True)
class WheelPart:
    """A member (file or folder) of one version of a distribution."""

    distribution: str
    version: str
    member: str

    @property
    def requirement(self) -> str:
        """Return the pinned requirement, ``NAME==VERSION``."""
        return f"{self.distribution}=={self.version}"


@dataclass(frozen=True, slots=True)
class WheelUri:
    """One or several wheel members; several are parts of one file, in order.

    Attributes:
        text: The address as written; with its pinned versions it names the bytes.
        parts: The members.
        basename: Name of the file or folder they make.
    """

    text: str
    parts: tuple[WheelPart, ...]
    basename: str


@dataclass(frozen=True, slots=True)
class HubUri:
    """A file or folder of a model repository on the hub.

    Attributes:
        text: The address as written.
        repository: ``owner/name``.
        revision: Branch, tag or commit; None for the default branch.
        path: Path in the repository, without slashes at its ends; empty for the repository itself.
    """

    text: str
    repository: str
    revision: str | None
    path: str


MaterialUri = PathUri | DemoUri | WheelUri | HubUri


def has_scheme(text: str) -> bool:
    """Return whether ``text`` is written ``scheme://...`` rather than as a path or a hub id."""
    return _SCHEME.fullmatch(text) is not None


def parse_uri(text: str) -> MaterialUri:
    """Return the parsed address of a material.

    Raises:
        MaterialError: If the scheme is unknown or the address is malformed.
    """
    match = _SCHEME.fullmatch(text)
    if match is None:
        if not text.strip():
            raise MaterialError("an empty path names no material")
        return PathUri(Path(text).expanduser())
    scheme, rest = match.groups()
    if scheme == "demo":
        return DemoUri(_inside(rest, where=text))
    if scheme == "wheel":
        return _wheel_uri(text, rest)
    if scheme == "hub":
        return _hub_uri(text, rest)
    raise MaterialError(
        f"unknown scheme '{scheme}://'", where=text, hint="use a plain path, demo://, wheel:// or hub://"
    )


def parse_hub_uri(text: str) -> HubUri | None:
    """Return the parsed address of a place on the hub, or None if it is of another kind.

    Raises:
        MaterialError: If it is a malformed address of a place on the hub.
    """
    match = _SCHEME.fullmatch(text)
    return _hub_uri(text, match[2]) if match is not None and match[1] == "hub" else None


def expand_ranges(text: str) -> list[str]:
    """Return the texts that ``{first..last}`` ranges stand for, in numeric order; zero padding of ``first`` is kept.

    All ranges of a text run in step: ``part{1..3}/{01..03}.bin`` is three texts, not nine.

    Raises:
        MaterialError: If ranges run backwards, differ in length or are absurdly long.
    """
    columns = [_numbers(first, last, where=text) for first, last in _RANGE.findall(text)]
    if not columns:
        return [text]
    if len({len(column) for column in columns}) != 1:
        raise MaterialError("its {first..last} ranges differ in length", where=text, hint="they run in step")
    expanded = []
    for row in zip(*columns, strict=True):
        numbers = iter(row)
        expanded.append(_RANGE.sub(lambda _, numbers=numbers: next(numbers), text))  # type: ignore[misc]
    return expanded


def _numbers(first: str, last: str, *, where: str) -> list[str]:
    count = int(last) - int(first) + 1
    if not 1 <= count <= _MAX_PARTS:
        raise MaterialError(f"range {{{first}..{last}}} is empty or too long", where=where)
    return [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]


def _wheel_uri(text: str, rest: str) -> WheelUri:
    parts = []
    for one in expand_ranges(rest):
        match = _WHEEL.fullmatch(one)
        if match is None:
            raise MaterialError("not a wheel address", where=text, hint=_WHEEL_FORM)
        distribution, version, member = match.groups()
        parts.append(WheelPart(distribution, version, str(_inside(member, where=text))))
    last = _RANGE.sub("", rest).rpartition("/")[2] if len(parts) > 1 else PurePosixPath(parts[0].member).name
    return WheelUri(text, tuple(parts), last.strip(".") or "joined")


def _hub_uri(text: str, rest: str) -> HubUri:
    match = _HUB.fullmatch(rest)
    if match is None:
        raise MaterialError("not an address on the hub", where=text, hint=_HUB_FORM)
    repository, revision, path = match.groups()
    inside = (path or "").strip("/")
    return HubUri(
        text, repository, unquote(revision) if revision else None, str(_inside(inside, where=text)) if inside else ""
    )


def _inside(text: str, *, where: str) -> PurePosixPath:
    path = PurePosixPath(text)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in text or "\0" in text:
        raise MaterialError("the path must stay inside its folder", where=where)
    return path
