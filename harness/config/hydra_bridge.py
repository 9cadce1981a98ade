"""What the harness tells Hydra: its schema, options for plugins that ship none, and third parties' config folders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from harness.config.paths import conf_dir
from harness.config.schema import RunConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hydra.core.config_search_path import ConfigSearchPath

    from harness.registry.catalogue import Catalogue

__all__ = ["SCHEMA_NAME", "prepare_hydra"]

SCHEMA_NAME = "_run_schema"
_GROUPS = {"scorers": "scorers", "controls": "controls"}


def prepare_hydra(catalogue: Catalogue) -> None:
    """Register the run schema, automatic options and third-party config packages with Hydra; idempotent.

    A scorer or control without a YAML option of its own gets one made of its defaults, so that
    ``scorers=[third_party]`` works as soon as the plugin is installed.
    """
    store = ConfigStore.instance()
    store.store(name=SCHEMA_NAME, node=RunConfig)
    for kind, group in _GROUPS.items():
        for name in catalogue.names(kind):
            if "/" not in name and not (conf_dir() / group / f"{name}.yaml").exists():
                store.store(group=group, name=name, node={name: {"plugin": name}})
    Plugins.instance().register(_search_path_plugin(catalogue.config_packages))


def _search_path_plugin(packages: Mapping[str, str]) -> type[SearchPathPlugin]:
    class ThirdPartyConfigs(SearchPathPlugin):
        """Appends the packages that plugins named through ``harness_config_packages``."""

        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            """Append each package under the name of its distribution."""
            known: Any = {element.path for element in search_path.get_path()}
            for package, distribution in packages.items():
                if f"pkg://{package}" not in known:
                    search_path.append(provider=distribution, path=f"pkg://{package}")

    return ThirdPartyConfigs
