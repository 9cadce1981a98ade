"""Record files: one JSON line per record, checked on write and on read, safe against crashes and second writers.

A line counts once its newline is on disk. What a crash left of a line is moved to ``<name>.torn`` beside the file, so
that nothing is lost and nothing half-written is read.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, TypeVar

from harness.errors import ResultsError
from harness.results.codec import InvalidRecordError, encode, parse
from harness.results.files import locked, reported, write_all, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["append_line", "append_lines", "read_lines", "repair_tail", "rewrite_sorted"]

Record = TypeVar("Record")

_BLOCK = 1 << 16


def append_line(path: Path, record: object, *, sync: bool = False) -> None:
    """Append one record. See ``append_lines``."""
    append_lines(path, [record], sync=sync)


def append_lines(path: Path, records: Iterable[object], *, sync: bool = False) -> None:
    """Append records under the file's lock, after mending a torn last line; all of them or, if the disk is full, none.

    Args:
        path: The file; made if need be, its folder must exist.
        records: Instances of a record dataclass.
        sync: Whether to wait until the lines are on the disk.

    Raises:
        ResultsError: If a record is not valid (nothing is written then) or the file cannot be written.
    """
    data = "".join(f"{_checked(path, record)}\n" for record in records).encode()
    with reported(path, "append"), locked(path) as descriptor:
        _repair(path, descriptor)
        end = os.lseek(descriptor, 0, os.SEEK_END)
        try:
            write_all(descriptor, data)
        except OSError:
            os.ftruncate(descriptor, end)
            raise
        if sync:
            os.fsync(descriptor)


def rewrite_sorted(path: Path, records: Iterable[object]) -> None:
    """Replace the file by ``records`` in the order given, atomically. The caller has put them in their final order.

    Raises:
        ResultsError: If a record is not valid (the file stays as it was) or the file cannot be written.
    """
    write_whole(path, (f"{_checked(path, record)}\n" for record in records))


def read_lines(path: Path, kind: type[Record], *, ignore_torn: bool = False) -> Iterator[Record]:
    """Yield the records of a file one by one, holding one line at a time. A missing file has none.

    Args:
        path: The file.
        kind: Record dataclass of its lines.
        ignore_torn: Whether to leave out a last line without a newline, which its writer has not committed (or may be
            writing at this moment), instead of refusing the file.

    Raises:
        ResultsError: With file and line number, if a line is not a valid record or a newer harness wrote it.
    """
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        return
    except OSError as error:
        raise ResultsError(f"cannot be read: {error.strerror}", where=str(path)) from error
    with stream:
        for number, line in enumerate(stream, start=1):
            if not line.endswith(b"\n"):
                if ignore_torn:
                    return
                raise ResultsError(
                    "the last line is torn", where=f"{path}:{number}", hint="run the same command again: it repairs it"
                )
            try:
                yield parse(kind, line)
            except InvalidRecordError as error:
                raise ResultsError(
                    f"not a valid {kind.__name__}: {error}",
                    where=f"{path}:{number}",
                    hint="mend or remove the line; what was removed is done again",
                ) from error


def repair_tail(path: Path) -> int:
    """Mend a last line without a newline and return how many bytes were moved to ``<name>.torn``.

    A whole JSON object that lacks only its newline gets it. Anything else is moved to the side file.

    Raises:
        ResultsError: If the files cannot be written.
    """
    if not path.exists():
        return 0
    with reported(path, "repair"), locked(path) as descriptor:
        return _repair(path, descriptor)


def _checked(path: Path, record: object) -> str:
    try:
        return encode(record)
    except InvalidRecordError as error:
        raise ResultsError(f"not a valid {type(record).__name__}: {error}", where=str(path)) from error


def _repair(path: Path, descriptor: int) -> int:
    """As ``repair_tail``, on an open file whose lock is held."""
    size = os.fstat(descriptor).st_size
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return 0
    start = _last_line_start(descriptor, size)
    tail = os.pread(descriptor, size - start, start)
    if _is_object(tail):
        os.lseek(descriptor, 0, os.SEEK_END)
        write_all(descriptor, b"\n")
        return 0
    with locked(path.with_name(f"{path.name}.torn")) as side:
        os.lseek(side, 0, os.SEEK_END)
        write_all(side, tail + b"\n")
        os.fsync(side)
    os.ftruncate(descriptor, start)
    os.fsync(descriptor)
    return len(tail)


def _last_line_start(descriptor: int, size: int) -> int:
    """Return the offset after the last newline before ``size``, reading backwards."""
    end = size
    while end > 0:
        begin = max(0, end - _BLOCK)
        newline = os.pread(descriptor, end - begin, begin).rfind(b"\n")
        if newline >= 0:
            return begin + newline + 1
        end = begin
    return 0


def _is_object(tail: bytes) -> bool:
    """Return whether ``tail`` is one whole JSON object; no beginning of one is one."""
    try:
        return isinstance(json.loads(tail), dict)
    except (ValueError, RecursionError):
        return False
