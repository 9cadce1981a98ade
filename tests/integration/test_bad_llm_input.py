"""A user's mistakes about language models, as a user makes them: one line, exit code 2, no traceback, no key shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.harness_process import run_harness
from tests.support.judged_run import JudgedRun, Size
from tests.support.loopback.process import EndpointProcess
from tests.support.loopback.server import EndpointSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SIZE = Size(features=2, activating=5, non_activating=5)
SECRET = "sk-0123456789abcdef-wrong"  # noqa: S105  -- made up, to be looked for in everything a run leaves behind
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'


def refused(run: JudgedRun, **environment: str) -> str:
    """Return the error line of a run that must be refused."""
    return error_of(run_harness(run.arguments, run.folder, env={**os.environ, **environment}))


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    """Return the line that a refused run ended with."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.strip().splitlines() if line.startswith("harness: error: ")]
    assert lines == [done.stderr.strip().splitlines()[-1]]
    assert len(lines[0]) < 600
    return lines[0]


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with EndpointProcess() as endpoint:
        line = refused(JudgedRun(tmp_path, endpoint.url, SIZE, "judge.api_key_env=HARNESS_TEST_NO_KEY"))
        assert endpoint.stats()["received"] == 0
    assert "judge.api_key_env" in line
    assert "HARNESS_TEST_NO_KEY is not set" in line


def test_a_wrong_key_is_named_and_never_shown(tmp_path: Path) -> None:
    with EndpointProcess(EndpointSettings(key="right")) as endpoint:
        run = JudgedRun(tmp_path, endpoint.url, SIZE, "judge.api_key_env=HARNESS_TEST_KEY")
        line = refused(run, HARNESS_TEST_KEY=SECRET)
    assert "judge.api_key_env" in line
    assert "HARNESS_TEST_KEY" in line
    assert SECRET not in line
    left = [path for path in (tmp_path / "results").rglob("*") if path.is_file()]
    left += [path for path in (tmp_path / "cache" / "llm").rglob("*") if path.is_file()]
    assert left
    for path in left:
        assert SECRET.encode() not in path.read_bytes(), path


def test_a_wrong_model_name_is_corrected(tmp_path: Path) -> None:
    with EndpointProcess(EndpointSettings(models=("qwen2.5-7b", "llama-3"))) as endpoint:
        line = refused(JudgedRun(tmp_path, endpoint.url, SIZE, "judge.model=openai/qwen2.5-7bb"))
    assert "judge.model" in line
    assert "did you mean openai/qwen2.5-7b?" in line


def test_a_url_that_is_no_api(tmp_path: Path) -> None:
    with EndpointProcess() as endpoint:
        root = endpoint.url.removesuffix("/v1")
        line = refused(JudgedRun(tmp_path, root, SIZE))
    assert "judge.api_base" in line
    assert root in line
    assert "/v1" in line


def test_a_url_that_is_no_server(tmp_path: Path) -> None:
    line = refused(JudgedRun(tmp_path, "http://127.0.0.1:9/v1", SIZE))
    assert "judge.api_base" in line
    assert "http://127.0.0.1:9/v1" in line


def assert_context_is_explained(run: JudgedRun) -> None:
    """Run to the end that must come, and look for a line with a feature, its tokens, and those the model takes."""
    assert run.finish() == 2, run.said
    assert "Traceback" not in run.said
    lines = [line for line in run.said.splitlines() if line.startswith("harness: ")]
    assert len(lines) == 1, run.said
    named = [line for line in lines if re.search(r"demo_sae/\d+", line) and "context" in line and "100 tokens" in line]
    assert named, run.said
    assert re.search(r"resulted in \d+ tokens", named[0]), named[0]


@pytest.mark.parametrize("features", [2, 5])
def test_a_context_too_short_for_the_judge_names_a_feature_and_tokens(tmp_path: Path, features: int) -> None:
    with EndpointProcess(EndpointSettings(context_tokens=100)) as endpoint:
        assert_context_is_explained(JudgedRun(tmp_path, endpoint.url, Size(features, 5, 5)))


def test_a_context_too_short_for_the_explainer_names_a_feature_and_tokens(tmp_path: Path) -> None:
    with EndpointProcess(EndpointSettings(context_tokens=100)) as endpoint:
        writer = ("llm@explainer.llm=openai_compatible", "explainer.llm.model=openai/m")
        place = f"explainer.llm.api_base={endpoint.url}"
        assert_context_is_explained(JudgedRun(tmp_path, endpoint.url, SIZE, "explainer=default", *writer, place))


@pytest.mark.parametrize("stated", [False, True], ids=["found out", "stated"])
def test_a_judge_without_log_probabilities_is_offered_the_list_mode(tmp_path: Path, *, stated: bool) -> None:
    with EndpointProcess(EndpointSettings(logprobs=False)) as endpoint:
        line = refused(JudgedRun(tmp_path, endpoint.url, SIZE, f"judge.logprobs={'false' if stated else 'null'}"))
    assert "log-probabilities" in line
    assert "detection_list" in line


def test_the_list_mode_needs_no_log_probabilities(tmp_path: Path) -> None:
    with EndpointProcess(EndpointSettings(logprobs=False)) as endpoint:
        run = JudgedRun(tmp_path, endpoint.url, SIZE, "scorers=[detection_list]", "judge.logprobs=null")
        assert run.finish() == 0, run.said
        assert {line["status"] for line in run.lines("scores.jsonl")} == {"scored"}


@pytest.mark.parametrize("limit", ["usd", "tokens"])
def test_a_budget_of_nothing(tmp_path: Path, limit: str) -> None:
    price = ("judge.input_usd_per_mtok=1", "judge.output_usd_per_mtok=1")
    with EndpointProcess() as endpoint:
        line = refused(JudgedRun(tmp_path, endpoint.url, SIZE, f"budget.{limit}=0", *price))
        assert endpoint.stats()["received"] == 0
    assert f"budget.{limit}" in line


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    """For root, whom no permission stops, the folder is on a file system mounted read-only."""
    with EndpointProcess() as endpoint:
        run = JudgedRun(tmp_path, endpoint.url, SIZE)
        cache = tmp_path / "cache"
        if os.geteuid() != 0:
            cache.chmod(0o555)
            line = refused(run)
            cache.chmod(0o755)
        elif sys.platform == "linux" and Path("/usr/bin/unshare").exists():
            command = [sys.executable, "-m", "harness.cli.main", *run.arguments]
            mounted = ["unshare", "-m", "sh", "-c", READ_ONLY, str(cache), *command]
            done = subprocess.run(
                mounted, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, cwd=tmp_path
            )
            line = error_of(done)
        else:
            pytest.skip("root, and no private mounts here")
        assert endpoint.stats()["received"] == 0
    assert str(cache) in line
    assert "paths.cache" in line


def test_a_file_where_the_answers_should_lie(tmp_path: Path) -> None:
    with EndpointProcess() as endpoint:
        run = JudgedRun(tmp_path, endpoint.url, SIZE)
        (tmp_path / "cache" / "llm").write_text("in the way")
        line = refused(run)
        assert endpoint.stats()["received"] == 0
    assert str(tmp_path / "cache" / "llm") in line
    assert "paths.cache" in line
