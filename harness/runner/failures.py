"""How an unexpected exception reads in a record: its type, its message, and where it was raised."""

from __future__ import annotations

import traceback

__all__ = ["describe"]


def describe(error: BaseException) -> str:
    """Return ``Type: message (module:line)`` on one line, without machine paths."""
    message = " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)
    place = ""
    if frames:
        module = error.__traceback__
        while module is not None and module.tb_next is not None:
            module = module.tb_next
        name = module.tb_frame.f_globals.get("__name__", "?") if module is not None else "?"
        place = f" ({name}:{frames[-1].lineno})"
    return f"{type(error).__name__}: {message}{place}"
