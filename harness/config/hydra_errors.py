"""Hydra's and OmegaConf's errors in one line of ours: what, which key, and the nearest name that exists."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, get_args, get_type_hints

from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import OmegaConfBaseException

from harness.config.schema import RunConfig
from harness.errors import ConfigError, HarnessError, UnknownNameError, closest

__all__ = ["HYDRA_ERRORS", "translate"]

HYDRA_ERRORS = (HydraException, OmegaConfBaseException)
"""What composition can raise."""

_OVERRIDE = re.compile(r"Could not override '(?P<key>[^']+)'")
_GROUP = re.compile(r"Could not override '(?P<group>[^'@]+)(?:@[^']*)?'\.?\s+No match in the defaults list")
_FULL_KEY = re.compile(r"full_key: (?P<key>\S+)")


def translate(error: Exception) -> HarnessError:
    """Return the one-line error that says the same as ``error``."""
    cause = error.__cause__
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        options = [option for option in error.options or [] if not option.startswith("_")]
        return UnknownNameError(f"option of {group}" if group else "config", name, options, where=f"{group}={name}")
    message = str(error)
    group_match = _GROUP.search(message)
    if group_match:
        return _unknown_key(group_match["group"])
    override = _OVERRIDE.search(message)
    if override:
        detail = str(cause).splitlines()[0] if cause else ""
        if not detail or "not in" in detail or "Key" in detail:
            return _unknown_key(override["key"])
        return ConfigError(detail, where=override["key"])
    key = _FULL_KEY.search(message)
    return ConfigError(_first_line(cause or error), where=key["key"] if key else None)


def _unknown_key(key: str) -> ConfigError:
    parent, _, last = key.rpartition(".")
    known = _keys(parent)
    near = closest(last, known)
    hint = f"did you mean {' or '.join(f'{parent}.{name}' if parent else name for name in near)}?" if near else None
    if hint is None:
        hint = f"one of: {', '.join(known)}" if known else f"to add a key that is not there, write +{key}=..."
    return ConfigError("there is no such key", where=key, hint=hint)


def _keys(path: str) -> list[str]:
    """Return the keys of the run schema at a dotted path, as far as the schema knows them."""
    current: Any = RunConfig
    for part in filter(None, path.split(".")):
        hints = get_type_hints(current) if dataclasses.is_dataclass(current) else {}
        kinds = [hints.get(part), *get_args(hints.get(part))]
        current = next((kind for kind in kinds if dataclasses.is_dataclass(kind)), None)
    return [found.name for found in dataclasses.fields(current)] if dataclasses.is_dataclass(current) else []


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
