"""What determines the values of planted features, found out without loading a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.errors import ConfigError
from harness.identity import fingerprint, plain
from harness.planted.catalogue import RULES_VERSION, features_digest
from harness.planted.promoters import PROMOTERS
from harness.planted.texts import TEXTS_VERSION

if TYPE_CHECKING:
    from harness.subjects.configs import PlantedConfig, PlantedOutputConfig

__all__ = ["BUILD_VERSION", "planted_identity", "promoters_identity"]

BUILD_VERSION = 1
"""Raise it when the directions or biases of planted output features could change."""


def planted_identity(config: PlantedConfig) -> dict[str, Any]:  # noqa: ARG001  -- the seam
    """Return what determines the values of planted features that read text, given the tokenizer: their rules."""
    return {"features": features_digest()}


def promoters_identity(config: PlantedOutputConfig) -> dict[str, Any]:
    """Return what determines the values of planted output features, given the model.

    Raises:
        ConfigError: If the density is no share, or the layer is negative.
    """
    if not 0 < config.density < 1:
        raise ConfigError(f"is {config.density}", where="density", hint="a share of the tokens, above 0 and below 1")
    if config.layer < 0:
        raise ConfigError(f"is {config.layer}", where="layer", hint="count from 0")
    return {
        "build": BUILD_VERSION,
        "features": fingerprint({"version": RULES_VERSION, "rules": [plain(feature.rule) for feature in PROMOTERS]}),
        "texts": TEXTS_VERSION,
        "layer": config.layer,
        "density": config.density,
    }
