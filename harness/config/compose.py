"""Composes a run's configuration outside the command line: for tests, validation and libraries."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from harness.config.guard import refuse_targets_in_overrides
from harness.config.hydra_bridge import prepare_hydra
from harness.config.hydra_errors import HYDRA_ERRORS, translate
from harness.config.paths import conf_dir

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omegaconf import DictConfig

    from harness.registry.catalogue import Catalogue

__all__ = ["compose_run"]

_LOCK = threading.Lock()  # Hydra's composition state is one per process


def compose_run(overrides: Sequence[str], catalogue: Catalogue) -> DictConfig:
    """Return the configuration that ``harness run`` with these overrides would have.

    Raises:
        ConfigError: If an override names what does not exist, or a value is of the wrong type.
    """
    refuse_targets_in_overrides(overrides)
    with _LOCK:
        GlobalHydra.instance().clear()
        prepare_hydra(catalogue)
        try:
            with initialize_config_dir(config_dir=str(conf_dir()), version_base="1.3"):
                return compose(config_name="config", overrides=list(overrides))
        except HYDRA_ERRORS as error:
            raise translate(error) from error
