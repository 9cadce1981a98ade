"""From a plain mapping to a dataclass of parameters, with errors that name the key."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from harness.config.schema import CorpusTokens
from harness.errors import ConfigError, HarnessError, PluginError, closest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["OF_THE_HARNESS", "defaults_of", "parameters", "said", "unknown_key"]

T = TypeVar("T")

OF_THE_HARNESS = {
    "corpus": tuple(found.name for found in dataclasses.fields(CorpusTokens)),
    "explainer": ("llm", "set_name"),
}
"""What stands beside a plugin's own parameters, by kind: read by the harness, not by the plugin."""


def parameters(config_type: type[T], given: Mapping[str, Any], where: str) -> T:
    """Return ``given`` as an instance of a dataclass, nested ones included.

    Args:
        config_type: The dataclass.
        given: Plain data.
        where: The key it stands under, for errors.

    Raises:
        ConfigError: If a key is unknown, a value is missing or of the wrong type, or the dataclass refuses it.
        PluginError: If the dataclass itself cannot be used.
    """
    schema = _schema(config_type, where)
    try:
        merged = cast("DictConfig", OmegaConf.merge(schema, dict(given)))
    except ConfigKeyError as error:
        path = str(error.full_key or error.key)
        parent, _, key = path.rpartition(".")
        known = [str(name) for name in (OmegaConf.select(schema, parent) if parent else schema)]
        raise unknown_key(key, known, _join(where, parent)) from error
    except OmegaConfBaseException as error:
        raise ConfigError(said(error), where=_join(where, error.full_key)) from error
    missing = sorted(OmegaConf.missing_keys(merged))
    if missing:
        key = _join(where, missing[0])
        raise ConfigError("a value is needed", where=key, hint=f"give {key}=...")
    try:
        return cast("T", OmegaConf.to_object(merged))
    except HarnessError as error:
        raise ConfigError(error.what, where=_join(where, error.where), hint=error.hint) from error
    except (ValueError, TypeError) as error:
        raise ConfigError(said(error), where=where) from error


def defaults_of(config_type: type) -> dict[str, Any]:
    """Return the defaults of a dataclass of parameters as plain data; what has none is ``???``.

    Raises:
        PluginError: If the dataclass itself cannot be used.
    """
    return cast("dict[str, Any]", OmegaConf.to_container(_schema(config_type, config_type.__name__)))


def unknown_key(key: str, known: Iterable[str], where: str) -> ConfigError:
    """Return the error that there is no ``key`` in ``where``, with the nearest that are known as the hint."""
    known = sorted(known)
    near = closest(key, known)
    hint = f"did you mean {' or '.join(near)}?" if near else f"one of: {', '.join(known)}"
    if not known:
        hint = "leave it out; there are none here"
    return ConfigError(f"unknown parameter '{key}'", where=where or None, hint=hint)


def said(error: BaseException) -> str:
    """Return the first line that an error says."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)


def _schema(config_type: Any, where: str) -> DictConfig:
    if not (isinstance(config_type, type) and dataclasses.is_dataclass(config_type)):
        raise PluginError("the plugin's parameters are no dataclass", where=where)
    try:
        return OmegaConf.structured(config_type)  # type: ignore[no-any-return]  # its stub says Any
    except OmegaConfBaseException as error:
        raise PluginError(f"the plugin's parameters cannot be configured: {said(error)}", where=where) from error


def _join(where: str, key: object) -> str:
    return ".".join(str(part) for part in (where, key) if part)
