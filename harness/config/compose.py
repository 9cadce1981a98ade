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


def look_at(overrides: Sequence[str], catalogue: Catalogue, *, config_dir: str | None = None) -> None:
    """Compose what Hydra is about to compose, and check it before Hydra acts on it.

    Args:
        overrides: As on the command line. Of a sweep's values, the first is taken.
        catalogue: What is registered.
        config_dir: The user's own config folder (``--config-dir``).

    Raises:
        ConfigError: If it cannot be composed, or names code to be run.
    """
    refuse_targets_in_overrides(overrides)
    single = _without_sweeps(overrides, catalogue)
    if config_dir is not None:
        folder = Path(config_dir).absolute()
        if not folder.is_dir():
            raise ConfigError("there is no such folder", where=f"--config-dir {config_dir}")
        if any(override.lstrip("+").startswith("hydra.searchpath") for override in single):
            raise ConfigError("give either --config-dir or hydra.searchpath", where=f"--config-dir {config_dir}")
        single.append(f"hydra.searchpath=['file://{folder}']")
    composed = cast("dict[str, Any]", OmegaConf.to_container(_compose(single, catalogue), resolve=False))
    refuse_code_in_hydra(composed.pop("hydra"))
    refuse_targets(composed)


def _compose(overrides: Sequence[str], catalogue: Catalogue) -> DictConfig:
    with _LOCK:
        GlobalHydra.instance().clear()
        prepare_hydra(catalogue)
        try:
            with initialize_config_dir(config_dir=str(conf_dir()), version_base="1.3"):
                composed = compose(CONFIG_NAME, overrides=list(overrides), return_hydra_config=True)
        except COMPOSITION_ERRORS as error:
            raise translate(error, catalogue) from error
    OmegaConf.set_struct(composed, False)  # noqa: FBT003  -- the library's signature
    return composed


def _without_sweeps(overrides: Sequence[str], catalogue: Catalogue) -> list[str]:
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except COMPOSITION_ERRORS as error:
        raise translate(error, catalogue) from error
    single = []
    for override in parsed:
        if override.is_sweep_override() and override.is_discrete_sweep():
            single.append(f"{override.get_key_element()}={next(iter(override.sweep_string_iterator()))}")
        elif not override.is_sweep_override():
            single.append(str(override.input_line))
    return single
