"""Rows of a JSONL or CSV file with the line each one came from; every fault is one line that names it."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Self, cast

from harness.errors import ConfigError
from harness.text import for_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["MAX_LINE_BYTES", "Row", "read_rows"]

MAX_LINE_BYTES = 1 << 20
"""A longer line is no record of ours or of anybody's."""

_FORMATS = "a .jsonl, .jsonl.gz, .csv or .csv.gz file"


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a file. ``where`` is ``file:line``."""

    where: str
    values: Mapping[str, Any]


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the records of a JSONL or CSV file, plain or gzipped, in order; blank lines are passed over.

    Raises:
        ConfigError: If the file cannot be read, is of another format, or a line is malformed.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes[-1:] == [".gz"]
    kind = (suffixes[:-1] if packed else suffixes)[-1:]
    readers = {".jsonl": _jsonl, ".csv": _csv}
    if not kind or kind[0] not in readers:
        raise ConfigError("not a format that can be read", where=str(path), hint=_FORMATS)
    try:
        with cast("IO[bytes]", gzip.open(path, "rb")) if packed else path.open("rb") as stream:
            yield from readers[kind[0]](path, stream)
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(f"cannot be read: {error}", where=str(path)) from error


def _jsonl(path: Path, stream: IO[bytes]) -> Iterator[Row]:
    lines = _Lines(path, stream)
    for line in lines:
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"not JSON: {error}", where=lines.where) from error
        if not isinstance(values, dict):
            hint = 'one object per line: {"feature": 7, "text": "..."}'
            raise ConfigError("not a JSON object", where=lines.where, hint=hint)
        yield Row(lines.where, values)


def _csv(path: Path, stream: IO[bytes]) -> Iterator[Row]:
    lines = _Lines(path, stream)
    reader = csv.DictReader(lines, strict=True)
    try:
        for values in reader:
            if None in values:
                message = f"more cells than the {len(reader.fieldnames or ())} of the header"
                raise ConfigError(message, where=lines.where)
            yield Row(lines.where, values)
    except csv.Error as error:
        raise ConfigError(f"not CSV: {error}", where=lines.where) from error


class _Lines:
    """The lines decoded, each with its ending (a quoted CSV cell may hold line breaks); knows where it is."""

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        self._path = path
        self._stream = stream
        self._number = 0

    @property
    def where(self) -> str:
        """Return ``file:line`` of the line handed out last."""
        return f"{self._path}:{self._number}"

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(MAX_LINE_BYTES + 1)
        if not line:
            raise StopIteration
        self._number += 1
        if len(line) > MAX_LINE_BYTES:
            raise ConfigError(f"a line of more than {MAX_LINE_BYTES:,} bytes", where=self.where)
        try:
            return line.decode("utf-8-sig" if self._number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise ConfigError(f"not UTF-8: {for_terminal(error.reason)}", where=self.where) from error
