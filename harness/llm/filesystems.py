"""Whether a folder lies on a file system that several machines share, as far as the operating system tells."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["filesystem_of", "is_shared_filesystem"]

_MOUNTS = Path("/proc/self/mounts")
_OCTAL = re.compile(r"\\([0-7]{3})")
_SHARED = frozenset(
    {
        *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fhgfs", "gfs2", "glusterfs", "gpfs", "lustre"),
        *("ncpfs", "nfs", "nfs3", "nfs4", "ocfs2", "orangefs", "osxfs", "panfs", "pvfs2", "smb3", "smbfs", "vboxsf"),
        *("virtiofs", "wekafs"),
    }
)


def is_shared_filesystem(path: Path, mounts: Path = _MOUNTS) -> bool:
    """Return whether ``path`` lies on a network or other shared file system, where memory cannot be shared.

    FUSE counts as one: it is what sshfs, s3fs and most cluster file systems are mounted through. False where the
    operating system has no table of mounts to ask.
    """
    kind = filesystem_of(path, mounts)
    return kind is not None and (kind in _SHARED or kind.startswith("fuse"))


def filesystem_of(path: Path, mounts: Path = _MOUNTS) -> str | None:
    """Return the type of the file system ``path`` is on or would be made on, or None where that cannot be told."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    places = {}
    for line in lines:
        _, place, kind, *_ = [*line.split(" "), "", "", ""]
        # Of two file systems at one place the later one is on top.
        places[_unescaped(place)] = kind
    real = path.resolve()
    return next((places[str(folder)] for folder in (real, *real.parents) if str(folder) in places), None)


def _unescaped(place: str) -> str:
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), place)
