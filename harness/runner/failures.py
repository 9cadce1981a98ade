"""What an error means: whether it ends the run or one unit, and how an unexpected one reads in a record."""

from __future__ import annotations

import traceback

from harness.errors import ExampleError, FeatureSourceError, UserError

__all__ = ["describe", "ends_run"]

_OF_ONE_FEATURE = (ExampleError, FeatureSourceError)


def ends_run(error: BaseException) -> bool:
    """Return whether an error that an explainer or scorer raised would meet every other unit as well.

    What a user has to mend (an endpoint, a key, a missing capability, a parameter, a budget) is no unit's own business:
    going on would spend money on the same error. Errors about the examples or the feature of one unit are, and so is
    every defect of a plugin.
    """
    return isinstance(error, UserError) and not isinstance(error, _OF_ONE_FEATURE)


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
