"""Which plugins are to be loaded: the allow-list, the disable-list and ``-p no:NAME``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["ALLOW_VARIABLE", "DISABLE_VARIABLE", "Selection"]

ALLOW_VARIABLE = "HARNESS_PLUGINS"
"""Comma-separated entry points or distributions; if set, no others are loaded. Empty: none at all."""

DISABLE_VARIABLE = "HARNESS_DISABLE_PLUGINS"
"""Comma-separated entry points or distributions that are not loaded."""


@dataclass(frozen=True)
class Selection:
    """Which plugins may be loaded. ``allowed`` None means all.

    A plugin is named by its entry point (``detection``), its distribution (``my-scorers``) or both
    (``my-scorers/detection``).
    """

    disabled: frozenset[str] = frozenset()
    allowed: frozenset[str] | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], disabled: Iterable[str] = ()) -> Selection:
        """Return the selection that the environment variables and the names in ``disabled`` make together."""
        allowed = environment.get(ALLOW_VARIABLE)
        return cls(
            disabled=frozenset(disabled) | _names(environment.get(DISABLE_VARIABLE, "")),
            allowed=None if allowed is None else _names(allowed),
        )

    def admits(self, name: str, distribution: str) -> bool:
        """Return whether the entry point ``name`` of ``distribution`` is to be loaded."""
        names = {name, distribution, f"{distribution}/{name}"}
        return not names & self.disabled and (self.allowed is None or bool(names & self.allowed))


def _names(text: str) -> frozenset[str]:
    return frozenset(name for part in text.split(",") if (name := part.strip()))
