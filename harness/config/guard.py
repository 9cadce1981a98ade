"""Refuses ``_target_``: plugins are named and looked up, never instantiated from a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["refuse_targets", "refuse_targets_in_overrides"]

_KEY = "_target_"
_HINT = "name a registered plugin with `plugin: NAME` (see `harness list`)"


def refuse_targets(value: Any, where: str = "") -> None:
    """Look through plain configuration data.

    Raises:
        ConfigError: If any mapping in it has a ``_target_``.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            place = f"{where}.{key}" if where else str(key)
            if key == _KEY:
                raise ConfigError("_target_ is not allowed: a configuration cannot name code to run", where=place, hint=_HINT)
            refuse_targets(item, place)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            refuse_targets(item, f"{where}[{index}]")


def refuse_targets_in_overrides(overrides: Iterable[str]) -> None:
    """Look through command-line overrides, before they are composed.

    Raises:
        ConfigError: If one of them mentions ``_target_``.
    """
    for override in overrides:
        if _KEY in override:
            raise ConfigError("_target_ is not allowed: a configuration cannot name code to run", where=override, hint=_HINT)
