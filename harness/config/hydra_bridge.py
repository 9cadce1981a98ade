"""What the harness tells Hydra: its schema, options for plugins that ship none, and third parties' config folders."""

from __future__ import annotations

from contextvars import ContextVar
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigNode, ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from harness.config.parameters import defaults_of
from harness.config.paths import conf_dir
from harness.config.schema import CorpusTokens, RunConfig
from harness.errors import PluginError
from harness.registry.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hydra.core.config_search_path import ConfigSearchPath

    from harness.registry.catalogue import Catalogue, Registered
    from harness.registry.kinds import Kind

__all__ = ["SCHEMA_NAME", "PluginConfigs", "prepare_hydra"]

SCHEMA_NAME = "_run_schema"
_NESTED = frozenset({"subject", "scorers", "controls"})  # groups of several options, each under its own name

_AUTOMATIC = "plugin "

# Hydra makes the bridge itself, without arguments, so what it should append is handed over here.
_PACKAGES: ContextVar[Mapping[str, str]] = ContextVar("config_packages", default=MappingProxyType({}))


class PluginConfigs(SearchPathPlugin):
    """Appends the packages that plugins named through ``harness_config_packages``."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append each package, under the name of the distribution that provides it."""
        for package, distribution in _PACKAGES.get().items():
            search_path.append(provider=distribution, path=f"pkg://{package}")


def prepare_hydra(catalogue: Catalogue) -> None:
    """Register the run schema, automatic options and third-party config packages with Hydra; idempotent.

    A plugin without a YAML option of its own gets one made of its defaults, so that ``scorers=[third_party]`` works as
    soon as it is installed.
    """
    store = ConfigStore.instance()
    store.store(name=SCHEMA_NAME, node=RunConfig)
    for kind in KINDS:
        _forget_automatic(store, kind.group)
        for name, registered in catalogue.of_kind(kind.name).items():
            if "/" not in name and not _has_option(catalogue, kind.group, name):
                option = _option(kind, registered)
                node = {name: option} if kind.group in _NESTED else option
                store.store(group=kind.group, name=name, node=node, provider=f"{_AUTOMATIC}{registered.distribution}")
    _PACKAGES.set(MappingProxyType(dict(catalogue.config_packages)))
    Plugins.instance().register(PluginConfigs)


def _forget_automatic(store: ConfigStore, group: str) -> None:
    """Remove the automatic options of an earlier catalogue: the store is one per process."""
    nodes: dict[str, Any] = store.repo.get(group, {})
    for file, node in list(nodes.items()):
        if isinstance(node, ConfigNode) and (node.provider or "").startswith(_AUTOMATIC):
            del nodes[file]


def _has_option(catalogue: Catalogue, group: str, name: str) -> bool:
    file = f"{name}.yaml"
    if (conf_dir() / group / file).is_file():
        return True
    for package in catalogue.config_packages:
        try:
            if resources.files(package).joinpath(group, file).is_file():
                return True
        except (ImportError, OSError, TypeError):
            continue  # a package that is not there: Hydra warns of it when it composes
    return False


def _option(kind: Kind, registered: Registered[Any]) -> dict[str, Any]:
    """Return the option of a plugin that ships none: its name and all its defaults, so that they can be overridden."""
    try:
        defaults = defaults_of(registered.spec.resolve_config())
    except PluginError:
        defaults = {}  # said in full by the run that uses it
    tokens = defaults_of(CorpusTokens) if kind.group == "corpus" else {}
    return {"plugin": registered.spec.name, **tokens, **defaults}
