"""What the verbs ``list`` and ``show`` know, as plain names; importing this imports nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["LISTABLE", "SHOWABLE", "disabled_plugins"]

SHOWABLE = {
    "scorer": "scorers",
    "subject": "subjects",
    "explainer": "explainers",
    "control": "controls",
    "corpus": "corpora",
}
"""Singular on the command line, plural in the registry."""

LISTABLE = ("subjects", "explainers", "scorers", "controls", "corpora", "plugins", "experiments", "configs")

_OFF = "no:"


def disabled_plugins(options: Iterable[str]) -> list[str]:
    """Return the plugin names of ``-p no:NAME`` options.

    Raises:
        ConfigError: If an option does not begin with ``no:``.
    """
    names = []
    for option in options:
        if not option.startswith(_OFF) or option == _OFF:
            raise ConfigError(
                f"'{option}' is no plugin option", where="-p", hint="write -p no:NAME to leave a plugin out"
            )
        names.append(option.removeprefix(_OFF))
    return names
