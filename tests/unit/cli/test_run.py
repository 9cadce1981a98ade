"""The verb ``run`` up to where the runner begins. What the runner does is tested with it, and in tests/integration."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from harness.cli.run_arguments import parse_run
from harness.config.compose import compose_run
from harness.config.resolve import resolve_run
from harness.errors import ConfigError, LLMError
from harness.registry.catalogue import load_catalogue
from harness.results.manifest import Manifest, collect_versions, write_manifest
from harness.runner.identity import run_id
from harness.runner.manifest_facts import plugin_versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.unit.cli.conftest import Result

    Harness = Callable[..., Result]

SMOKE = "experiment=smoke"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    # Hydra's --info logs to the standard output of the time, which is gone after the test.
    root.handlers[:], root.level = handlers, level


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(harness: Harness, tmp_path: Path) -> None:
    result = harness("run", SMOKE, "--dry-run")
    assert result.code == 0
    assert result.out.startswith("run        smoke-")
    assert "scoring: embedding" in result.out
    assert list(tmp_path.iterdir()) == []


def test_options_may_stand_anywhere(harness: Harness) -> None:
    first = harness("run", "--dry-run", SMOKE, "features.n=2").out
    assert harness("run", SMOKE, "--dry-run", "features.n=2").out == first
    assert harness("run", SMOKE, "features.n=2", "-p", "no:fuzzing", "--dry-run").out == first


def test_the_composed_configuration_can_be_printed(harness: Harness) -> None:
    result = harness("run", SMOKE, "--cfg", "job", "features.n=2")
    composed = yaml.safe_load(result.out)
    assert composed["features"]["n"] == 2
    assert composed["judge"] is None
    assert "hydra" not in composed


def test_hydra_can_be_asked_where_options_come_from(harness: Harness) -> None:
    assert "provider" in harness("run", "--info", "searchpath").out.lower()


def test_a_sweep_plans_every_combination(harness: Harness, tmp_path: Path) -> None:
    result = harness("run", SMOKE, "-m", "seed=0,1", "features.n=2,3", "--dry-run")
    assert result.code == 0
    assert result.out.count("run        smoke-") == 4
    assert result.err.splitlines()[0] == "harness: job 0: experiment=smoke,features.n=2,seed=0"
    assert not (tmp_path / "multirun").exists()
    assert not (tmp_path / "multirun.yaml").exists()
    assert len(list((tmp_path / "results" / "sweeps").glob("*/multirun.yaml"))) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["experiment=smok"], "experiment: unknown experiment option 'smok'. Try: did you mean smoke?"),
        ([SMOKE, "subject.demo_sae.source=???"], "subject.demo_sae.source: a value is needed"),
        ([SMOKE, "+x={_target_:os.system}"], "+x={_target_:os.system}: _target_ is not allowed"),
        ([SMOKE, "+hydra.callbacks.x._target_=os.system"], "+hydra.callbacks.x._target_=os.system: _target_ is not"),
        (["--experimental-rerun", "x.pickle"], "--experimental-rerun: not allowed here"),
        (["--config-name", "other"], "--config-name: not allowed here"),
        (["--config-dir", "nowhere"], "--config-dir nowhere: there is no such folder"),
        ([SMOKE, "seed=0,1"], "seed=0,1: several values are given. Try: add -m"),
        ([SMOKE, "--cfg", "job", "examples=zzz"], "examples: unknown examples option 'zzz'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_exit_code_2(harness: Harness, arguments: list[str], said: str) -> None:
    result = harness("run", *arguments)
    assert result.code == 2
    assert result.err.startswith(f"harness: error: {said}")
    assert result.err.count("\n") == 1
    assert result.out == ""


def test_in_a_sweep_a_job_that_cannot_run_stops_no_other(harness: Harness) -> None:
    result = harness("run", SMOKE, "-m", "features.n=0,2", "--dry-run")
    assert result.code == 2
    assert "harness: error: features.n: must be at least 1" in result.err
    assert result.out.count("run        smoke-") == 1


def test_a_folder_of_the_users_own_provides_options(harness: Harness, tmp_path: Path) -> None:
    (tmp_path / "own" / "experiment").mkdir(parents=True)
    option = "# @package _global_\ndefaults:\n  - smoke\n  - _self_\nname: mine\n"
    (tmp_path / "own" / "experiment" / "mine.yaml").write_text(option)
    assert harness("run", "--config-dir", "own", "experiment=mine", "--dry-run").out.startswith("run        mine-")


class TestFrom:
    @pytest.fixture
    def finished(self, tmp_path: Path) -> str:
        catalogue = load_catalogue()
        run = resolve_run(compose_run([SMOKE], catalogue), catalogue)
        folder = tmp_path / "results" / "runs" / run_id(run)
        folder.mkdir(parents=True)
        manifest = Manifest(
            run_id=run_id(run),
            name=run.name,
            status="success",
            config=run.plain(),
            config_sha256=run.config_sha256,
            versions=collect_versions(plugin_versions(run)),
            settings=run.settings(),
        )
        write_manifest(folder / "manifest.json", manifest)
        return str(folder)

    def test_the_plan_is_that_of_the_run(self, harness: Harness, finished: str) -> None:
        first = harness("run", SMOKE, "--dry-run")
        again = harness("run", "--from", finished, "--dry-run")
        assert (again.code, again.out, again.err) == (0, first.out, "")

    def test_values_may_be_changed_and_swept(self, harness: Harness, finished: str) -> None:
        result = harness("run", f"--from={finished}", "-m", "features.n=2,3", "--dry-run")
        assert result.code == 0, result.err
        assert result.out.count("run        smoke-") == 2
        assert result.err.count("this is another run, smoke-") == 2

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--from"], "--from: no run is named. Try: --from results/runs/RUN_ID"),
            (["--from", "nowhere"], "nowhere: there is no such run. Try: name the folder of a run"),
            (["--from", "."], "manifest.json: there is no manifest here"),
            (["--from", "RUN", "judge=local"], "judge=local: a repeated run has no options to choose from"),
            (["--from", "RUN", "features.m=1"], "features: unknown parameter 'm'. Try: one of: ids, n"),
            (["--from", "RUN", "features.n=x"], "features.n: "),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_a_mistake_is_one_line(self, harness: Harness, finished: str, arguments: list[str], said: str) -> None:
        result = harness("run", *[finished if argument == "RUN" else argument for argument in arguments])
        assert result.code == 2
        assert result.err.startswith(f"harness: error: {said}")
        assert result.err.count("\n") == 1


def test_nothing_of_the_process_is_left_changed(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    before = list(sys.argv)
    harness("run", SMOKE, "--dry-run")
    harness("run", "experiment=smok")
    assert sys.argv == before
    assert "HYDRA_FULL_ERROR" not in os.environ


def test_results_that_cannot_be_written_are_a_user_error(harness: Harness, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = harness("run", SMOKE, "-m", "seed=0,1", "paths.results=file/results", "--dry-run")
    assert result.code == 2
    assert result.err.startswith("harness: error: file/results")


def test_the_command_line_is_put_into_hydras_order() -> None:
    asked = parse_run(["a=1", "--cfg", "job", "b=2", "--resolve", "-p", "no:x", "-m", "--dry-run"])
    assert asked.overrides == ("a=1", "b=2")
    assert asked.hydra[:2] == ("a=1", "b=2")
    assert set(asked.hydra[2:]) == {"--cfg", "job", "--resolve", "--multirun"}
    assert (asked.disabled, asked.dry_run, asked.sweep, asked.inspects) == (("x",), True, True, True)
    with pytest.raises(ConfigError, match="write -p no:NAME"):
        parse_run(["-p"])


@dataclass(frozen=True)
class Report:
    """What a runner reports; the runner itself is not what is tested here."""

    exit_code: int
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    undefined: tuple[str, ...] = ()
    table: str = "THE TABLE\n"
    run_dir: Path = Path("results/runs/x")
    status: str = "partial"
    leaderboard: Path = Path("results/leaderboard.jsonl")


@dataclass
class Runner:
    """Returns or raises what it is told to, job by job."""

    answers: list[Report | Exception]
    seeds: list[int] = field(default_factory=list)

    def __call__(self, resolved: Any, catalogue: Any, progress: Any) -> Report:
        assert catalogue.names("scorers")
        assert progress is not None
        self.seeds.append(resolved.seed)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class TestExitCodes:
    @pytest.fixture
    def run(self, harness: Harness, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
        def with_answers(answers: list[Report | Exception], *arguments: str) -> Result:
            monkeypatch.setattr("harness.runner.execute.execute", Runner(answers))
            return harness("run", SMOKE, *arguments)

        return with_answers

    def test_what_is_to_be_known_of_a_run_is_said(self, run: Callable[..., Result]) -> None:
        result = run([Report(0, notes=("1 of 8 explanations are too long",))])
        assert (result.code, result.err.count("1 of 8 explanations are too long\n")) == (0, 1)

    @pytest.mark.parametrize("code", [0, 1, 3])
    def test_the_reports_exit_code_is_ours(self, run: Callable[..., Result], code: int) -> None:
        result = run([Report(code)])
        assert result.code == code
        assert result.out.startswith("THE TABLE\n")
        assert "results/runs/x (partial)" in result.out

    def test_failures_are_said_but_not_all_of_a_thousand(self, run: Callable[..., Result]) -> None:
        result = run([Report(3, failures=tuple(f"unit {n}" for n in range(1000)))])
        assert result.err.count("failed: unit") == 10
        assert "failed: 990 more" in result.err

    def test_what_has_no_value_is_said_below_the_table(self, run: Callable[..., Result]) -> None:
        result = run([Report(1, undefined=("saebench, s: 2 of 2 features: \x1b[2Jtoo few", *("more",) * 10))])
        assert result.out.startswith("THE TABLE\n\nundefined    saebench, s: 2 of 2 features: \\x1b[2Jtoo few\n")
        assert "undefined    1 more, see scores.jsonl\n\nrun  " in result.out
        assert run([Report(0)]).out.startswith("THE TABLE\n\nrun  ")

    def test_a_user_error_in_the_run_is_one_line(self, run: Callable[..., Result]) -> None:
        result = run([LLMError("nobody answers", where="judge.api_base")])
        assert result.code == 2
        assert result.err == "harness: error: judge.api_base: nobody answers\n"

    @pytest.mark.parametrize(
        ("answers", "code"),
        [
            ([Report(0), Report(0)], 0),
            ([Report(3), Report(0)], 3),
            ([Report(3), Report(1)], 1),
            ([LLMError("nobody answers"), Report(3)], 2),
        ],
    )
    def test_a_sweep_has_its_worst_jobs_exit_code(
        self, run: Callable[..., Result], answers: list[Report | Exception], code: int
    ) -> None:
        assert run(answers, "-m", "seed=0,1").code == code

    def test_a_defect_of_ours_keeps_its_traceback(self, run: Callable[..., Result]) -> None:
        with pytest.raises(ZeroDivisionError):
            run([ZeroDivisionError()])
