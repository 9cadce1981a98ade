"""A configuration taken from a manifest: the same run again, whatever its texts hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from harness.config.compose import compose_run
from harness.config.repeat import load_repetition, refuse_choices, store_repetition
from harness.config.resolve import resolve_run
from harness.errors import ConfigError, HarnessError
from harness.registry.catalogue import load_catalogue
from harness.results.manifest import Manifest, Versions, host_free, write_manifest

if TYPE_CHECKING:
    from harness.config.resolved import ResolvedRun

SMOKE = ["experiment=smoke"]
JUDGED = [
    "experiment=smoke",
    "scorers=[detection]",
    "judge=openai_compatible",
    "judge.model=openai/m",
    "judge.api_base=http://127.0.0.1:9/v1",
    "judge.api_key_env=SOME_KEY",
    "judge.concurrency=7",
    "budget.tokens=1000",
    "execution.overlap=false",
]


def resolved(overrides: list[str]) -> ResolvedRun:
    catalogue = load_catalogue()
    return resolve_run(compose_run(overrides, catalogue), catalogue)


def write(folder: Path, run: ResolvedRun, roots: dict[str, Path] | None = None, **changes: Any) -> Path:
    """Write the manifest of ``run`` as the runner does."""
    run_id = f"{run.name}-{run.config_sha256[:10]}"
    path = folder / "runs" / run_id
    path.mkdir(parents=True, exist_ok=True)
    manifest = {
        "run_id": run_id,
        "name": run.name,
        "status": "success",
        "config": host_free(run.plain(), roots or {}),
        "config_sha256": run.config_sha256,
        "versions": Versions(harness="0", python="3"),
        "settings": host_free(run.settings(), roots or {}),
    }
    write_manifest(path / "manifest.json", Manifest(**{**manifest, **changes}))
    return path


def again(path: Path) -> ResolvedRun:
    return resolve_run(OmegaConf.create(load_repetition(str(path)).config), load_catalogue())


@pytest.mark.parametrize("overrides", [SMOKE, JUDGED], ids=["smoke", "judged"])
def test_the_same_run_comes_out_with_its_pace_and_its_budget(tmp_path: Path, overrides: list[str]) -> None:
    run = resolved(overrides)
    repeated = again(write(tmp_path, run))
    assert repeated.config_sha256 == run.config_sha256
    expected = run.settings()
    for role in expected.keys() & {"judge", "explainer.llm"}:
        expected[role]["api_key_env"] = None
    assert repeated.settings() == expected
    assert Path(repeated.paths.results).resolve() == tmp_path


def test_a_manifest_that_lies_alone_is_repeated_into_the_usual_place(tmp_path: Path) -> None:
    path = write(tmp_path, resolved(SMOKE)) / "manifest.json"
    alone = tmp_path / "mailed.json"
    alone.write_bytes(path.read_bytes())
    repeated = again(alone)
    assert repeated.paths.results == "results"


def test_names_of_folders_are_this_machines_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    places = {"$CACHE": tmp_path / "cache", "$RESULTS": tmp_path, "~": tmp_path / "home"}
    for root in places.values():
        run = resolved([*SMOKE, f"subject.demo_sae.model.path={root}/model"])
        path = write(tmp_path, run, places)
        assert str(root) not in (path / "manifest.json").read_text()
        assert again(path).config_sha256 == run.config_sha256


def test_the_users_own_tilde_stays_one(tmp_path: Path) -> None:
    run = resolved([*SMOKE, "subject.demo_sae.model.path='~/model'"])
    assert again(write(tmp_path, run)).config_sha256 == run.config_sha256


def test_the_cache_is_the_one_of_the_command_line(tmp_path: Path) -> None:
    run = resolved([*SMOKE, f"subject.demo_sae.model.path={tmp_path}/there/model"])
    path = write(tmp_path, run, {"$CACHE": tmp_path / "there"})
    config = load_repetition(str(path), [f"paths.cache={tmp_path}/here"]).config
    assert config["subject"]["demo_sae"]["model"]["path"] == f"{tmp_path}/here/model"


@given(text=st.text(st.sampled_from("a\\${}: .?'\"#[,"), min_size=1, max_size=12))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_text_means_itself(tmp_path: Path, text: str) -> None:
    run = resolved(SMOKE)
    config = run.plain()
    config["subject"]["demo_sae"]["source"] = text
    path = write(tmp_path, run, config=config)
    store_repetition(load_repetition(str(path)))
    if text == "???":
        return
    assert _composed()["subject"]["demo_sae"]["source"] == text


def test_a_manifest_cannot_read_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "secret")
    run = resolved(SMOKE)
    config = run.plain()
    config["subject"]["demo_sae"]["source"] = "${oc.env:A_SECRET}"
    store_repetition(load_repetition(str(write(tmp_path, run, config=config))))
    assert _composed()["subject"]["demo_sae"]["source"] == "${oc.env:A_SECRET}"


def _composed() -> dict[str, Any]:
    from harness.config import compose
    from harness.config.repeat import REPEATED

    composed = compose._compose([], load_catalogue(), REPEATED)
    del composed["hydra"]
    plain: Any = OmegaConf.to_container(composed, resolve=True)
    return dict(plain)


def test_trust_in_a_models_code_is_not_handed_on(tmp_path: Path) -> None:
    run = resolved([*SMOKE, "subject.demo_sae.model.trust_remote_code=true"])
    repetition = load_repetition(str(write(tmp_path, run)))
    (line,) = repetition.withheld
    assert line.startswith("subject.demo_sae.model.trust_remote_code was on")
    assert repetition.config["subject"]["demo_sae"]["model"]["trust_remote_code"] is False


@pytest.mark.parametrize("place", ["settings", "config"])
def test_a_manifest_names_no_key_to_be_sent_to_its_endpoint(tmp_path: Path, place: str) -> None:
    run = resolved(JUDGED)
    parts = {"settings": run.settings(), "config": run.plain()}
    parts["settings"]["judge"].pop("api_key_env")
    parts[place]["judge"]["api_key_env"] = "OTHERS_TOKEN"
    path = write(tmp_path, run, **parts)
    repetition = load_repetition(str(path))
    assert "OTHERS_TOKEN" not in json.dumps(repetition.config)
    (line,) = repetition.withheld
    assert line == (
        "judge.api_key_env is not taken over from a manifest: add judge.api_key_env=OTHERS_TOKEN if "
        "http://127.0.0.1:9/v1 is to be sent that key"
    )
    assert load_repetition(str(path), ["judge.api_key_env=OTHERS_TOKEN"]).withheld == ()


def test_a_run_without_a_key_needs_none(tmp_path: Path) -> None:
    overrides = [override for override in JUDGED if "api_key_env" not in override]
    assert load_repetition(str(write(tmp_path, resolved(overrides)))).withheld == ()


@pytest.mark.parametrize(
    ("part", "changes", "named"),
    [
        ("config", {"paths": {"results": "theirs", "cache": "theirs"}}, "config.paths"),
        ("config", {"defaults": ["_self_", {"judge": "local"}]}, "config.defaults"),
        ("config", {"debug": True}, "config.debug"),
        ("config", {"budget": {"usd": 1e9}}, "config.budget"),
        ("config", {"execution": {"overlap": False}}, "config.execution"),
        ("config", {"hydra": {"run": {"dir": "theirs"}}}, "config.hydra"),
        ("settings", {"paths": {"results": "theirs"}}, "settings.paths"),
        ("settings", {"judge": {"api_base": "http://elsewhere/v1"}}, "settings.judge.api_base"),
        ("settings", {"hydra.run": {"dir": "theirs"}}, "settings.hydra.run"),
        ("settings", {"execution": {"colour": 1}}, "settings.execution.colour"),
    ],
)
def test_a_manifest_decides_nothing_that_the_harness_does_not_write_there(
    tmp_path: Path, part: str, changes: dict[str, Any], named: str
) -> None:
    run = resolved(JUDGED)
    parts = {"config": run.plain(), "settings": run.settings()}
    path = write(tmp_path, run, **{part: {**parts[part], **changes}}) / "manifest.json"
    alone = tmp_path / "mailed.json"
    alone.write_bytes(path.read_bytes())
    for file in (path, alone):
        with pytest.raises(HarnessError) as caught:
            load_repetition(str(file))
        assert str(caught.value) == f"{file}: {named} is nothing that the harness writes into a manifest"


def test_arguments_of_an_engine_that_could_name_code_are_left_out(tmp_path: Path) -> None:
    run = resolved(JUDGED)
    config = run.plain()
    config["judge"]["engine"] = {
        "max_num_seqs": 8,
        "enforce_eager": True,
        "quantization": "awq",
        "worker_cls": "evil.Worker",
        "logits_processors": ["evil.Processor"],
        "hf_overrides": {"auto_map": {"AutoModel": "evil"}},
        "trust_remote_code": True,
    }
    repetition = load_repetition(str(write(tmp_path, run, config=config)))
    assert repetition.config["judge"]["engine"] == {
        "max_num_seqs": 8,
        "enforce_eager": True,
        "quantization": "awq",
        "trust_remote_code": False,
    }
    named = {line.partition(" ")[0].rpartition(".")[2] for line in repetition.withheld}
    assert named == {"api_key_env", "worker_cls", "logits_processors", "hf_overrides", "trust_remote_code"}


def test_a_key_of_a_manifest_cannot_drive_a_terminal(tmp_path: Path) -> None:
    run = resolved(SMOKE)
    path = write(tmp_path, run, config={**run.plain(), "\x1b[2J": 1})
    with pytest.raises(HarnessError) as caught:
        load_repetition(str(path))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "override", ["judge=local", "+experiment=demo", "llm@explainer.llm=local", "~judge", "scorers=[detection]"]
)
def test_a_repeated_run_has_no_options_to_choose_from(override: str) -> None:
    with pytest.raises(ConfigError, match="no options to choose from"):
        refuse_choices(["features.n=3", override])


def test_values_may_be_changed() -> None:
    refuse_choices(
        ["features.n=3", "paths.results=x", "+judge.threads=2", "~scorers.fuzzing", "seed=1", "budget.usd=2"]
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no such run. Try: name the folder of a run"),
        ("{", "not a valid manifest: not JSON"),
        ("[]", "not a valid manifest: expected an object"),
        (json.dumps({"schema_version": 99}), "written by a newer harness (schema_version 99"),
    ],
)
def test_what_is_no_manifest_is_one_line(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "manifest.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(HarnessError) as caught:
        load_repetition(str(path))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_manifest_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="there is no manifest here"):
        load_repetition(str(tmp_path))


def test_an_unknown_plugin_is_named_with_its_place(tmp_path: Path) -> None:
    run = resolved(SMOKE)
    config = run.plain()
    config["scorers"]["embedding"]["plugin"] = "somebody/elses"
    with pytest.raises(HarnessError, match=r"scorers.embedding.plugin: unknown scorer 'somebody/elses'"):
        again(write(tmp_path, run, config=config))
