"""Hydra's and OmegaConf's errors in one line of ours: what, which key, and the nearest name that exists."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException
from yaml import YAMLError

from harness.config.options import option_names
from harness.config.parameters import OF_THE_HARNESS, defaults_of, said, unknown_key
from harness.config.schema import RunConfig
from harness.errors import ConfigError, HarnessError, PluginError, UnknownNameError, closest
from harness.registry.kinds import KINDS

if TYPE_CHECKING:
    from harness.registry.catalogue import Catalogue

__all__ = ["COMPOSITION_ERRORS", "HYDRA_ERRORS", "translate"]

HYDRA_ERRORS = (HydraException, OmegaConfBaseException)
"""What Hydra and OmegaConf raise on purpose."""

COMPOSITION_ERRORS = (*HYDRA_ERRORS, YAMLError, ValueError, AssertionError)
"""What composing a configuration can raise. Hydra does not check every override before it asserts things about it."""

_FREE_FORM = frozenset({"extra_body", "engine"})
"""Mappings of a language model that take any key; Hydra adds to a mapping only when told to."""

_NO_KEY = re.compile(r"Could not override '(?P<key>[^']+)'")
_IN_FILE = re.compile(r"In '(?P<where>[^']+)': \w+ raised while composing config:\s*(?P<what>[^\n]+)")
# Hydra says these in its message alone: a pattern with the place it names, what we say of it, and what to try.
_MESSAGES = (
    (
        r"Could not override '(?P<where>[^']*@[^']*)'\. No match in the defaults list",
        "the run has no such choice",
        "+{where}=...",
    ),
    (
        r"Could not override '(?P<where>[^']+)'\. No match in the defaults list",
        "the run has no such choice",
        "say what for: +{where}@judge=...",
    ),
    (
        r"Could not override '(?P<where>[^']+)'\.\s+Did you mean to override (?:one of )?(?P<places>[^?]+)\?",
        "it is not said for what",
        "one of: {places}",
    ),
    (
        r"Override (?P<where>\S+) looks like a config group override",
        "there is no such config group",
        "`harness list configs` lists the groups",
    ),
    (
        r"Could not append to config\. An item is already at '(?P<where>[^']+)'",
        "this key is there already",
        "leave out the +",
    ),
    (
        r"Could not delete from config\. '(?P<where>[^']+)'",
        "there is nothing of this name to remove",
        None,
    ),
    (
        r"(?:Ambiguous value for argument|Sweep parameters) '(?P<where>[^']+)'",
        "several values are given",
        "add -m to run each value, or write a list as 'key=[a,b]'",
    ),
)


def translate(error: Exception, catalogue: Catalogue) -> HarnessError:  # noqa: PLR0911  -- one return per kind of error
    """Return the one-line error that says the same as ``error``.

    Args:
        error: One of ``COMPOSITION_ERRORS``.
        catalogue: What is registered: a missing option may be that of a broken plugin.
    """
    if isinstance(error, HarnessError):
        return error
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _missing_option(error.missing_cfg_file, catalogue)
    if isinstance(error, OverrideParseException):
        return ConfigError(
            f"cannot read the override: {said(error)}",
            where=error.override,
            hint="KEY=VALUE, with lists and mappings in quotes: 'scorers=[detection,fuzzing]'",
        )
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    if isinstance(cause, (ConfigKeyError, ConfigAttributeError)):
        return _missing_key(cause, str(error), catalogue)
    if isinstance(cause, OmegaConfBaseException):
        return _no_set_of_values(cause) or ConfigError(said(cause), where=cause.full_key or None)
    if isinstance(error, AssertionError):
        return ConfigError(
            "an override sets a value inside something that is not configured",
            hint="choose it first, as in judge=local judge.slots=1",
        )
    return _by_message(error)


def _missing_option(path: str, catalogue: Catalogue) -> HarnessError:
    group, _, name = path.rpartition("/")
    for kind in KINDS:
        if kind.group == group and name not in catalogue.of_kind(kind.name):
            try:
                catalogue.get(kind.name, name, where=group)
            except PluginError as error:
                return error
            except UnknownNameError:
                break
    if not group:
        return UnknownNameError("config", name, ["config"])
    return UnknownNameError(f"{group} option", name, option_names(catalogue, group), where=group)


def _missing_key(cause: OmegaConfBaseException, message: str, catalogue: Catalogue) -> ConfigError:
    path = str(cause.full_key or cause.key)
    parent, _, key = path.rpartition(".")
    node = cause.parent_node
    known = [str(name) for name in node if name != "hydra"] if node is not None else []
    found = _plugin_parameters(parent, node, catalogue) if "plugin" in known else None
    if parent.rpartition(".")[2] in _FREE_FORM and closest(key, known):
        return unknown_key(key, known, parent)
    if parent.rpartition(".")[2] in _FREE_FORM:
        return ConfigError(f"'{key}' is not there to be changed", where=parent, hint=f"add it, with a +: +{path}=...")
    if found is None:
        return unknown_key(key, known, parent)
    if key in found:
        # An option need not list every parameter of its plugin; Hydra adds what it does not list only when told to.
        asked = _NO_KEY.search(message)
        full = asked["key"] if asked else path
        return ConfigError(f"the option does not list '{key}'", where=parent, hint=f"add it, with a +: +{full}=...")
    return unknown_key(key, found, parent)


def _no_set_of_values(cause: OmegaConfBaseException) -> ConfigError | None:
    """Return the error that one value stands where the run has a set of named ones, or None if that is not it."""
    where = str(cause.full_key or "")
    kind: Any = RunConfig
    for key in where.split("."):
        kind = get_type_hints(kind).get(key) if is_dataclass(kind) else None
    if not is_dataclass(kind):
        return None
    found = fields(kind)
    names = [one.name for one in found]
    hint = f"change one with {where}.KEY=VALUE, of {', '.join(names)}"
    if all(isinstance(one.default, float) for one in found):
        hint = f"'{where}={{{names[0]}:1,{names[-1]}:1}}', of {', '.join(names)}"
    return ConfigError("a set of named values is needed", where=where, hint=hint)


def _plugin_parameters(path: str, node: Any, catalogue: Catalogue) -> list[str] | None:
    """Return the parameters of the plugin that the mapping ``node`` at ``path`` names, or None."""
    kind = next((kind for kind in KINDS if kind.group == path.partition(".")[0]), None)
    if kind is None:
        return None
    try:
        names = list(defaults_of(catalogue.get(kind.name, str(node["plugin"])).spec.resolve_config()))
    except HarnessError:
        return None  # said in full when the run is resolved
    return sorted({*names, *OF_THE_HARNESS.get(kind.name, ()), *map(str, node)} - {"plugin"})


def _by_message(error: Exception) -> ConfigError:
    message = str(error)
    if match := _IN_FILE.search(message):
        return ConfigError(match["what"], where=f"{match['where']}.yaml")
    for pattern, what, hint in _MESSAGES:
        if match := re.search(pattern, message):
            return ConfigError(what, where=match["where"], hint=hint.format(**match.groupdict()) if hint else None)
    if isinstance(error, YAMLError):
        return ConfigError(f"a config file is no valid YAML: {' '.join(message.split())}")
    return ConfigError(f"the configuration cannot be composed: {said(error)}")
