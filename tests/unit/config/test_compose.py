from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from harness.config.compose import compose_run, look_at
from harness.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from harness.registry.catalogue import Catalogue


def test_the_defaults_are_those_of_the_schema_and_the_root(catalogue: Catalogue) -> None:
    composed = compose_run([], catalogue)
    assert list(composed.subject) == ["demo_sae"]
    assert list(composed.scorers) == ["detection", "fuzzing"]
    assert composed.execution.unit_concurrency is None
    assert "hydra" not in composed
    assert not GlobalHydra.instance().is_initialized()


def test_several_options_of_one_group_merge(catalogue: Catalogue) -> None:
    composed = compose_run(["scorers=[detection,embedding]", "scorers.detection.re_asks=3"], catalogue)
    assert list(composed.scorers) == ["detection", "embedding"]
    assert composed.scorers.detection.re_asks == 3
    assert list(compose_run(["scorers=embedding"], catalogue).scorers) == ["embedding"]
    assert list(compose_run(["scorers=[]"], catalogue).scorers) == []


def test_one_plugin_may_be_used_twice(catalogue: Catalogue) -> None:
    composed = compose_run(["+scorers.strict={plugin:detection,re_asks:0}"], catalogue)
    assert composed.scorers.strict == {"plugin": "detection", "re_asks": 0}


def test_an_experiment_chooses_and_the_command_line_has_the_last_word(catalogue: Catalogue) -> None:
    composed = compose_run(["experiment=demo", "features.n=2", "controls=[]"], catalogue)
    assert sorted(composed.subject) == ["demo_neurons", "demo_sae", "demo_transcoder"]
    assert composed.features.n == 2
    assert list(composed.controls) == []
    assert composed.name == "demo"


def test_composing_writes_nothing(catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    compose_run(["experiment=smoke"], catalogue)
    look_at(["experiment=smoke"], catalogue)
    assert list(tmp_path.iterdir()) == []


def test_a_target_in_an_override_is_refused(catalogue: Catalogue) -> None:
    with pytest.raises(ConfigError, match="_target_ is not allowed"):
        compose_run(["+scorers.x={_target_:os.system}"], catalogue)


def folder_with(tmp_path: Path, option: str) -> str:
    folder = tmp_path / "own"
    (folder / "experiment").mkdir(parents=True)
    (folder / "experiment" / "mine.yaml").write_text("# @package _global_\n" + option)
    return str(folder)


def test_a_folder_of_the_users_own_is_looked_at(catalogue: Catalogue, tmp_path: Path) -> None:
    look_at(["experiment=mine"], catalogue, config_dir=folder_with(tmp_path, "features: {n: 3}\n"))


@pytest.mark.parametrize(
    ("option", "where"),
    [
        ("scorers: {x: {plugin: detection, _target_: os.system}}\n", "scorers.x._target_"),
        ("hydra: {callbacks: {x: {_target_: os.system}}}\n", "hydra.callbacks.x._target_"),
        ("hydra: {launcher: {extra: {_target_: os.system}}}\n", "experiment/mine.yaml"),
        ("hydra: {sweeper: {params: {x: {_target_: os.system}}}}\n", "hydra.sweeper.params.x._target_"),
        ("hydra: {job_logging: {root: {level: INFO}}}\n", "hydra.job_logging"),
    ],
)
def test_code_named_in_a_file_is_refused_before_hydra_acts_on_it(
    catalogue: Catalogue, tmp_path: Path, option: str, where: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        look_at(["experiment=mine"], catalogue, config_dir=folder_with(tmp_path, option))
    assert caught.value.where == where


def test_a_file_that_is_no_yaml_is_one_line(catalogue: Catalogue, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no valid YAML"):
        look_at(["experiment=mine"], catalogue, config_dir=folder_with(tmp_path, "features: {n: 3\n"))


def test_a_folder_that_is_not_there(catalogue: Catalogue, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        look_at([], catalogue, config_dir=str(tmp_path / "nothing"))


@pytest.mark.parametrize(
    "sweep", ["seed=0,1", "seed=range(0,3)", "features=sample,all", "subject=choice(sae,demo_sae)"]
)
def test_of_a_sweep_the_first_values_are_looked_at(catalogue: Catalogue, sweep: str) -> None:
    look_at([sweep], catalogue)
    with pytest.raises(ConfigError, match="unknown experiment option 'smok'"):
        look_at([sweep, "experiment=smok"], catalogue)


def test_without_a_catalogue_the_installed_plugins_are_taken() -> None:
    assert OmegaConf.select(compose_run(["experiment=smoke"]), "scorers.embedding.plugin") == "embedding"
