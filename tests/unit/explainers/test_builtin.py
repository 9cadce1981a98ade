from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from omegaconf import OmegaConf

from harness.explainers.builtin import CONTROLS, EXPLAINERS

if TYPE_CHECKING:
    from harness.registry.specs import Spec

CONF = Path(__file__).parents[3] / "conf"
NOT_PARAMETERS = {"plugin", "defaults", "llm", "set_name"}
SPECS = {spec.name: spec for spec in EXPLAINERS}
CONTROL_SPECS = {spec.name: spec for spec in CONTROLS}


def test_the_names_are_those_of_the_house() -> None:
    assert [spec.name for spec in EXPLAINERS] == [
        "default",
        "refined",
        "contrastive",
        "token_activations",
        "max_activation_logits",
        "logit_tokens",
        "ngram",
        "imported",
        "planted",
        "top_tokens",
    ]
    planted = [f"planted_{name}" for name in ("broad", "narrow", "related", "wrong_token", "other")]
    assert [spec.name for spec in CONTROLS] == ["shuffled", "top_tokens", "empty", *planted]


@pytest.mark.parametrize("spec", [*EXPLAINERS, *CONTROLS], ids=lambda spec: f"{type(spec).__name__}-{spec.name}")
def test_every_spec_can_be_made_from_its_defaults(spec: Spec) -> None:
    assert callable(spec.resolve_factory())
    composed = OmegaConf.structured(spec.resolve_config())
    if spec.name == "imported":
        assert OmegaConf.missing_keys(composed) == {"path"}
    else:
        assert spec.resolve_factory()(OmegaConf.to_object(composed))


def test_listing_them_imports_nothing_heavy() -> None:
    code = (
        "import sys, harness.explainers.builtin;"
        "print([m for m in ('torch', 'transformers', 'litellm', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", sorted((CONF / "explainer").glob("*.yaml")), ids=lambda path: path.stem)
def test_explainer_options_name_parameters_that_exist(path: Path) -> None:
    option = yaml.safe_load(path.read_text(encoding="utf-8"))
    spec = SPECS[option.get("plugin", "default")]
    fields = {field.name: field for field in dataclasses.fields(spec.resolve_config())}
    given = {key: value for key, value in option.items() if key not in NOT_PARAMETERS}
    assert given.keys() <= fields.keys()
    if path.stem == spec.name:  # the option named like the plugin spells out every default
        assert given == {name: field.default for name, field in fields.items()}


@pytest.mark.parametrize("path", sorted((CONF / "controls").glob("*.yaml")), ids=lambda path: path.stem)
def test_control_options_nest_under_their_own_name(path: Path) -> None:
    option = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert list(option) == [path.stem]
    spec = CONTROL_SPECS[option[path.stem].pop("plugin")]
    assert option[path.stem].keys() == {field.name for field in dataclasses.fields(spec.resolve_config())}
