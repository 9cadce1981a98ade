"""A claim on a run's folder by a file that only one process can make, where the file system knows no locks.

Such a file outlives a killed process, so it says who made it: a process of this machine that is gone has no claim. One
of another machine cannot be asked, and only the user can say that it is gone.
"""

from __future__ import annotations

import json
import os
import socket
import time
from typing import TYPE_CHECKING, Any

from harness.results.files import write_all

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ClaimedError", "about_us", "claim", "owner"]

_MINUTE = 60
_HOUR = 3600
_DAY = 86_400


class ClaimedError(OSError):
    """Another process has the claim."""


def about_us() -> bytes:
    """Return what a lock or claim says of its owner: process, machine, since when, as JSON."""
    return json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "started": time.time()}).encode()


def owner(path: Path) -> str:
    """Return who owns a lock or claim, as far as its file says: ``process 123 on host, for 4 min``."""
    try:
        about = json.loads(path.read_text("utf-8"))
        age = max(0.0, time.time() - float(about["started"]))
        return f"process {int(about['pid'])} on {_plain(about['host'])}, for {_age(age)}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it has not said which"


def claim(path: Path) -> None:
    """Make the file ``path``, which must not be there, or be that of a process of this machine that is gone.

    Raises:
        ClaimedError: If another process has the claim.
        OSError: If the file cannot be made.
    """
    for _ in range(2):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            if not _is_gone(path):
                raise ClaimedError from None
            _bury(path)
        else:
            try:
                write_all(descriptor, about_us())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            return
    raise ClaimedError


def _bury(path: Path) -> None:
    """Remove the claim of a process that is gone. Of several that try, only one finds it there."""
    grave = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.rename(grave)
    except FileNotFoundError:
        return
    if not _is_gone(grave):  # somebody was faster, and this is their claim
        grave.rename(path)
        raise ClaimedError
    grave.unlink()


def _is_gone(path: Path) -> bool:
    try:
        about: Any = json.loads(path.read_text("utf-8"))
        pid, host = int(about["pid"]), str(about["host"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if host != socket.gethostname() or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _plain(host: object) -> str:
    return "".join(char if char.isprintable() else "?" for char in f"{host!s:.80}")


def _age(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.1f} h" if seconds < _DAY else f"{seconds / _DAY:.1f} days"
