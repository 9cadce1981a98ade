"""Refuses configuration that names code: plugins are looked up by name, never instantiated from a configuration.

Hydra instantiates some of its own node (callbacks, launcher, sweeper, logging) before a run begins, so that node is
looked at too, before Hydra is let loose on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["refuse_code_in_hydra", "refuse_targets", "refuse_targets_in_overrides"]

_KEY = "_target_"
_WHAT = "_target_ is not allowed: a configuration cannot name code to run"
_HINT = "name a registered plugin with `plugin: NAME` (see `harness list`)"
_PLUGINS_HINT = "write a plugin with the hooks harness_run_started and harness_run_finished"
_HIDING = (_KEY, "oc.create", "oc.decode")
_OF_HYDRA = ("hydra._internal.core_plugins.", "hydra_plugins.")
_INSTANTIATED = ("launcher", "sweeper")
_LOGGING = ("hydra_logging", "job_logging")


def refuse_targets(value: Any, where: str = "") -> None:
    """Look through plain configuration data.

    Raises:
        ConfigError: If any mapping in it has a ``_target_``.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            place = f"{where}.{key}" if where else str(key)
            if key == _KEY:
                raise ConfigError(_WHAT, where=place, hint=_HINT)
            refuse_targets(item, place)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            refuse_targets(item, f"{where}[{index}]")
    elif isinstance(value, str) and any(hidden in value for hidden in _HIDING):
        # A reference that makes a mapping when it is resolved could hold what is refused here.
        raise ConfigError("a value cannot make configuration out of text", where=where, hint=_HINT)


def refuse_targets_in_overrides(overrides: Iterable[str]) -> None:
    """Look through command-line overrides, before they are composed.

    Raises:
        ConfigError: If one of them mentions ``_target_``.
    """
    for override in overrides:
        if _KEY in override:
            raise ConfigError(_WHAT, where=override, hint=_HINT)


def refuse_code_in_hydra(hydra: Mapping[str, Any]) -> None:
    """Look through Hydra's own node, as plain data.

    Its launcher and sweeper may be those of Hydra and of installed Hydra plugins; everything else that Hydra would
    import by name is refused.

    Raises:
        ConfigError: If the node names other code.
    """
    for key, item in hydra.items():
        value = item
        if key in _INSTANTIATED and isinstance(item, dict) and str(item.get(_KEY, "")).startswith(_OF_HYDRA):
            value = {name: inner for name, inner in item.items() if name != _KEY}
        refuse_targets(value, f"hydra.{key}")
    if hydra.get("callbacks"):
        raise ConfigError("callbacks are code and cannot be configured", where="hydra.callbacks", hint=_PLUGINS_HINT)
    for key in _LOGGING:
        # A logging configuration names classes and factories, which is code by another key.
        if (hydra.get(key) or {}).get("root") is not None:
            raise ConfigError("the harness configures logging itself", where=f"hydra.{key}", hint="leave it at none")
