"""Composes a run's configuration outside ``hydra.main``: for tests, for libraries, and to look at it beforehand."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from harness.config.guard import refuse_code_in_hydra, refuse_targets, refuse_targets_in_overrides
from harness.config.hydra_bridge import prepare_hydra
from harness.config.hydra_errors import COMPOSITION_ERRORS, translate
from harness.config.paths import conf_dir
from harness.errors import ConfigError
from harness.registry.catalogue import load_catalogue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omegaconf import DictConfig

    from harness.registry.catalogue import Catalogue

__all__ = ["CONFIG_NAME", "compose_run", "look_at"]

CONFIG_NAME = "config"
_LOCK = threading.Lock()  # Hydra's composition state is one per process


def compose_run(overrides: Sequence[str], catalogue: Catalogue | None = None) -> DictConfig:
    """Return the configuration that ``harness run`` with these overrides would have.

    Args:
        overrides: As on the command line, for instance ``["experiment=smoke", "features.n=4"]``.
        catalogue: What is registered; None loads it.

    Raises:
        ConfigError: If an override names what does not exist, or a value is of the wrong type.
    """
    refuse_targets_in_overrides(overrides)
    composed = _compose(overrides, catalogue or load_catalogue())
    del composed["hydra"]
    return composed


def look_at(
    overrides: Sequence[str],
    catalogue: Catalogue,
    *,
    config_dir: str | None = None,
    config_name: str = CONFIG_NAME,
) -> None:
    """Compose what Hydra is about to compose, and check it before Hydra acts on it.

    Args:
        overrides: As on the command line. Every value of a sweep is looked at, each with the first ones of the others.
        catalogue: What is registered.
        config_dir: The user's own config folder (``--config-dir``).
        config_name: The primary config.

    Raises:
        ConfigError: If it cannot be composed, or names code to be run.
    """
    refuse_targets_in_overrides(overrides)
    searchpath = _searchpath(overrides, config_dir) if config_dir is not None else []
    for single in _without_sweeps(overrides, catalogue):
        plain = OmegaConf.to_container(_compose([*single, *searchpath], catalogue, config_name), resolve=False)
        composed = cast("dict[str, Any]", plain)
        refuse_code_in_hydra(composed.pop("hydra"))
        refuse_targets(composed)


def _searchpath(overrides: Sequence[str], config_dir: str) -> list[str]:
    where = f"--config-dir {config_dir}"
    folder = Path(config_dir).absolute()
    if not folder.is_dir():
        raise ConfigError("there is no such folder", where=where)
    if any(override.lstrip("+").startswith("hydra.searchpath") for override in overrides):
        raise ConfigError("give either --config-dir or hydra.searchpath", where=where)
    return [f"hydra.searchpath=['file://{folder}']"]


def _compose(overrides: Sequence[str], catalogue: Catalogue, config_name: str = CONFIG_NAME) -> DictConfig:
    with _LOCK:
        GlobalHydra.instance().clear()
        prepare_hydra(catalogue)
        try:
            with initialize_config_dir(config_dir=str(conf_dir()), version_base="1.3"):
                composed = compose(config_name, overrides=list(overrides), return_hydra_config=True)
        except COMPOSITION_ERRORS as error:
            raise translate(error, catalogue) from error
    OmegaConf.set_struct(composed, False)  # noqa: FBT003  -- the library's signature
    return composed


def _without_sweeps(overrides: Sequence[str], catalogue: Catalogue) -> list[list[str]]:
    """Return command lines without sweeps that between them hold every value swept over."""
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except COMPOSITION_ERRORS as error:
        raise translate(error, catalogue) from error
    choices = []
    for override in parsed:
        if override.is_sweep_override() and override.is_discrete_sweep():
            choices.append([f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()])
        elif not override.is_sweep_override():
            choices.append([str(override.input_line)])
    first = [values[0] for values in choices]
    others = [
        [*first[:place], value, *first[place + 1 :]] for place, values in enumerate(choices) for value in values[1:]
    ]
    return [first, *others]
