"""A run's configuration taken from its manifest instead of from the groups in ``conf/``."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from harness.config.handed_on import check_parts, withhold
from harness.config.hydra_bridge import SCHEMA_NAME
from harness.config.paths import conf_dir
from harness.errors import ConfigError, ResultsError
from harness.identity import fingerprint
from harness.materials import cache_root
from harness.results.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.results.manifest import Manifest

__all__ = ["REPEATED", "Repetition", "load_repetition", "refuse_choices", "store_repetition"]

REPEATED = "_repeated_run"
"""Name of the primary config that a repetition composes in place of ``conf/config.yaml``."""

_GROUPS = frozenset(path.name for path in conf_dir().iterdir() if path.is_dir())
"""The config groups; a key of the same name stands for the choice of an option, never for a value."""

_REFERENCE = re.compile(r"(\\*)\$\{")
_CACHE_KEY = "paths.cache="
_PLUGIN_GROUPS = ("subject", "scorers", "controls")
_SINGLE_PLUGINS = ("corpus", "explainer")
_OF_ANY_RUN = ("execution", "budget", "memory")


@dataclass(frozen=True)
class Repetition:
    """A run to be repeated.

    Attributes:
        manifest: The manifest it is repeated from.
        config: Its configuration, as for ``harness.config.schema.RunConfig``; every text is meant literally.
        withheld: One line about everything that is not taken over, as a file must not decide it.
    """

    manifest: Manifest
    config: dict[str, Any]
    withheld: tuple[str, ...] = ()


def refuse_choices(overrides: Sequence[str]) -> None:
    """Check that no override chooses an option of a config group: a repeated run was composed before.

    Raises:
        ConfigError: If one does.
    """
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        if key.partition("@")[0] in _GROUPS or "@" in key or "/" in key:
            raise ConfigError(
                "a repeated run has no options to choose from", where=override, hint="change values, as in features.n=8"
            )


def load_repetition(given: str, overrides: Sequence[str] = ()) -> Repetition:
    """Return the run whose folder or ``manifest.json`` is named.

    Unless ``overrides`` say otherwise, its results lie where those of the first run do, so that it is gone on with. A
    manifest that lies alone is repeated into the usual place.

    Args:
        given: The folder of a run, or its manifest.
        overrides: Those of the command line, of which ``paths.cache`` decides what ``$CACHE`` stands for.

    Raises:
        ResultsError: If there is no such folder or manifest, it is not valid or holds what no harness writes there, or
            a newer harness wrote it.
    """
    path = Path(given)
    if not path.exists():
        raise ResultsError("there is no such run", where=given, hint="name the folder of a run, or its manifest.json")
    file = path / "manifest.json" if path.is_dir() else path
    manifest = read_manifest(file)
    check_parts(manifest.config, manifest.settings, str(file))
    results = _results_root(file.absolute().parent, manifest)
    roots = {
        "$CACHE": cache_root(_given_cache(overrides)),
        "$RESULTS": results or file.absolute().parent,
        "~": Path.home(),
    }
    config = _config(manifest, roots)
    _drop_versions(config)
    _add_settings(config, _of_this_machine(dict(manifest.settings), roots))
    withheld = withhold(config, overrides)
    if results is not None:
        config["paths"] = {"results": _short(results)}
    return Repetition(manifest, config, tuple(withheld))


def store_repetition(repetition: Repetition) -> None:
    """Make a repetition the primary config ``REPEATED``, on which overrides and sweeps work as on any other."""
    usual: Any = OmegaConf.to_container(OmegaConf.load(conf_dir() / "config.yaml"), resolve=False)
    of_hydra = [
        default
        for default in usual["defaults"]
        if isinstance(default, dict) and any(key.startswith("override hydra/") for key in default)
    ]
    defaults = [SCHEMA_NAME, *of_hydra, "_self_"]
    node = {"defaults": defaults, **_literal(repetition.config), "hydra": usual["hydra"]}
    ConfigStore.instance().store(name=REPEATED, node=node)


def _results_root(folder: Path, manifest: Manifest) -> Path | None:
    """Return the results folder that a run's folder is in, None if it was taken out of it."""
    return folder.parent.parent if (folder.parent.name, folder.name) == ("runs", manifest.run_id) else None


def _short(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _given_cache(overrides: Sequence[str]) -> str | None:
    values = [
        override.lstrip("+")[len(_CACHE_KEY) :] for override in overrides if override.lstrip("+").startswith(_CACHE_KEY)
    ]
    value = values[-1].strip("'\"") if values else None
    return None if value in {"null", ""} else value


def _config(manifest: Manifest, roots: Mapping[str, Path]) -> dict[str, Any]:
    """Return the configuration with the names of folders replaced by this machine's folders.

    A ``~`` may have been the user's own. The digest of the configuration tells whether it was.
    """
    whole: dict[str, Any] = _of_this_machine(manifest.config, roots)
    own: dict[str, Any] = _of_this_machine(manifest.config, {name: roots[name] for name in roots if name != "~"})
    return own if fingerprint(own, length=64) == manifest.config_sha256 else whole


def _of_this_machine(value: Any, roots: Mapping[str, Path]) -> Any:
    """Return JSON data with ``harness.results.manifest.host_free`` undone."""
    if isinstance(value, dict):
        return {key: _of_this_machine(item, roots) for key, item in value.items()}
    if isinstance(value, list):
        return [_of_this_machine(item, roots) for item in value]
    if isinstance(value, str):
        for name, root in roots.items():
            if value == name or value.startswith(f"{name}/"):
                return f"{root}{value[len(name) :]}"
    return value


def _drop_versions(config: Mapping[str, Any]) -> None:
    """Remove the plugins' versions, which stand beside their parameters: they are facts, not choices."""
    plugins = [config.get(key) for key in _SINGLE_PLUGINS]
    for group in _PLUGIN_GROUPS:
        members = config.get(group)
        plugins += members.values() if isinstance(members, dict) else []
    for plugin in plugins:
        if isinstance(plugin, dict):
            plugin.pop("version", None)


def _add_settings(config: dict[str, Any], settings: Mapping[str, Any]) -> None:
    for place, values in settings.items():
        node: Any = config
        *parents, last = place.split(".")
        for parent in parents:
            node = node.get(parent) if isinstance(node, dict) else None
        if isinstance(node, dict) and (last in _OF_ANY_RUN or isinstance(node.get(last), dict)):
            node[last] = {**node.get(last, {}), **values}


def _literal(value: Any) -> Any:
    """Return ``value`` with every reference in it made plain text: a manifest must not read the environment."""
    if isinstance(value, dict):
        return {key: _literal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_literal(item) for item in value]
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: f"{match[1] * 2}\\${{", value)
    return value
