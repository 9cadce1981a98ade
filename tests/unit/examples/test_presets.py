from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

import harness
from harness.config.schema import ExamplesConfig
from harness.errors import UnknownNameError
from harness.examples.checks import check_examples
from harness.examples.presets import PRESETS, preset

INSTALLED = Path(harness.__file__).parent / "conf" / "examples"
OPTIONS = INSTALLED if INSTALLED.is_dir() else Path(__file__).parents[3] / "conf" / "examples"


def composed(name: str) -> ExamplesConfig:
    merged = OmegaConf.merge(OmegaConf.structured(ExamplesConfig), OmegaConf.load(OPTIONS / f"{name}.yaml"))
    config = OmegaConf.to_object(merged)
    assert isinstance(config, ExamplesConfig)
    return config


@pytest.mark.parametrize("name", PRESETS)
def test_option_and_preset_are_the_same(name: str) -> None:
    assert composed(name) == preset(name)


@pytest.mark.parametrize("path", sorted(OPTIONS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_option_is_whole_and_valid(path: Path) -> None:
    config = composed(path.stem)
    check_examples(config)
    assert config.preset == path.stem
    assert set(OmegaConf.load(path)) == set(ExamplesConfig.__dataclass_fields__)
    assert path.read_text(encoding="utf-8").startswith("# ")


def test_there_are_the_named_ones() -> None:
    assert {*PRESETS, "demo"} <= {path.stem for path in OPTIONS.glob("*.yaml")}


def test_unknown_preset() -> None:
    with pytest.raises(UnknownNameError, match="did you mean saebench"):
        preset("sae_bench")
