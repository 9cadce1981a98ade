"""What is known of a plugin that does not work."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Literal

__all__ = ["BrokenPlugin", "Stage"]

Stage = Literal["load", "register", "hook"]


@dataclass(frozen=True)
class BrokenPlugin:
    """A plugin that failed, and how.

    Attributes:
        name: Name of its entry point.
        distribution: The distribution it is from.
        version: That distribution's version.
        stage: ``load`` (its import), ``register`` (its hooks do not fit) or ``hook`` (a hook raised or returned
            something that is not a spec).
        traceback: The whole traceback, or a sentence where nothing was raised.
    """

    name: str
    distribution: str
    version: str
    stage: Stage
    traceback: str

    @classmethod
    def from_error(cls, name: str, distribution: str, version: str, stage: Stage, error: BaseException) -> BrokenPlugin:
        """Return the record of ``error``, with its traceback."""
        return cls(name, distribution, version, stage, "".join(traceback.format_exception(error)).rstrip())

    @property
    def reason(self) -> str:
        """Return the last line of the traceback: what went wrong in one line."""
        return self.traceback.strip().splitlines()[-1].strip()

    def __str__(self) -> str:
        """Return one line that names the plugin, its origin, the stage and the reason."""
        return f"plugin '{self.name}' ({self.distribution} {self.version}) is broken at {self.stage}: {self.reason}"
