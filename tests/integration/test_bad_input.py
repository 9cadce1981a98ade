"""A user's mistakes, as a user makes them: one line that says what, where and the mend, exit code 2, no traceback."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from harness.materials import cache_root
from tests.support.harness_process import run_harness
from tests.support.openai_server import Answer, OpenAIServer, chat_body

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

FIXTURES = Path(__file__).parent.parent / "fixtures" / "feature_sources"


def arguments(results: Path, *overrides: str) -> list[str]:
    places = [f"paths.results={results}", f"paths.cache={cache_root(None)}"]
    return ["run", "experiment=smoke", *places, *overrides]


def refused(results: Path, *overrides: str) -> str:
    """Return the error line of a run that must be refused."""
    done = run_harness(arguments(results, *overrides), results)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("harness: error: ")
    return last


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("scorers=[detectoin]", "did you mean detection"),
        ("subject=demo_sea", "did you mean demo_sae"),
        ("subject.demo_sae.plugin=saee", "did you mean sae"),
        ("exmaples=demo", "examples"),
        ("+features.m=3", "m"),
        ("features.n=many", "features.n"),
        ("subject.demo_sae._target_=os.system", "_target_"),
        ("subject.demo_sae.model.path=/no/such/model.gguf", "/no/such/model.gguf"),
        ("corpus.path=/no/such/corpus.jsonl", "/no/such/corpus.jsonl"),
    ],
)
def test_names_and_places_that_do_not_exist(tmp_path: Path, override: str, said: str) -> None:
    assert said in refused(tmp_path, override)


def test_a_feature_out_of_range(tmp_path: Path) -> None:
    line = refused(tmp_path, "features=list", "features.ids=[4096]")
    assert "4096" in line
    assert "4095" in line


def test_a_source_that_does_not_fit_the_model(tmp_path: Path) -> None:
    line = refused(tmp_path, f"subject.demo_sae.source={FIXTURES / 'saelens_topk'}")
    assert "16" in line
    assert "576" in line


def test_an_empty_corpus(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("")
    refused(tmp_path, "corpus=text", f"corpus.path={tmp_path / 'empty.txt'}")


def test_a_corpus_shorter_than_a_window(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("Only a few words.")
    line = refused(tmp_path, "corpus=text", f"corpus.path={tmp_path / 'short.txt'}", "corpus.min_document_tokens=1")
    assert "shorter than a window" in line


def test_no_activating_examples(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("The same short sentence, again and again. " * 12)
    line = refused(
        tmp_path, "corpus=text", f"corpus.path={tmp_path / 'one.txt'}", "features=list", "features.ids=[1,2]"
    )
    assert "demo_sae" in line


def test_an_unwritable_results_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    line = refused(tmp_path, f"paths.results={tmp_path / 'file'}")
    assert "paths.results" in line


def test_an_unreachable_judge(tmp_path: Path) -> None:
    judge = ("judge=openai_compatible", "judge.model=openai/m", "judge.api_base=http://127.0.0.1:9/v1")
    line = refused(tmp_path, "scorers=[detection]", *judge)
    assert "127.0.0.1:9" in line


async def _with_judge(answer: Answer, results: Path) -> tuple[int, str]:
    async with OpenAIServer(lambda _number, _request: answer) as server:
        judge = (
            "judge=openai_compatible",
            "judge.model=openai/m",
            f"judge.api_base={server.url}",
            "judge.max_retries=0",
            # Stated, as a judge that was asked what it can do would be found out there and then.
            "judge.structured=none",
            "judge.choices=none",
            "judge.logprobs=true",
            "judge.prompt_logprobs=false",
        )
        done = await asyncio.to_thread(run_harness, arguments(results, "scorers=[detection]", *judge), results)
        return done.returncode, done.stderr


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=chat_body("As a walrus I cannot say.")),
        Answer(body=chat_body(None)),
        Answer(body=b"<html>It works!</html>", content_type="text/html"),
    ],
    ids=["prose", "null", "html"],
)
async def test_a_judge_that_returns_garbage(tmp_path: Path, answer: Answer) -> None:
    code, stderr = await _with_judge(answer, tmp_path)
    assert code == 2, stderr
    assert "Traceback" not in stderr
    assert stderr.strip().splitlines()[-1].startswith("harness: error: ")
    # What was asked before the run gave up is on record as failed units, and never as a score.
    (folder,) = (tmp_path / "runs").iterdir()
    statuses = {json.loads(line)["status"] for line in (folder / "scores.jsonl").read_text().splitlines()}
    assert statuses == {"error"}


def test_a_torn_last_line_is_repaired_and_nothing_else_is_lost(tmp_path: Path) -> None:
    assert run_harness(arguments(tmp_path, "features.n=2"), tmp_path).returncode == 0
    (folder,) = (tmp_path / "runs").iterdir()
    scores = folder / "scores.jsonl"
    whole = scores.read_bytes()
    scores.write_bytes(whole[:-40])
    assert run_harness(arguments(tmp_path, "features.n=2"), tmp_path).returncode == 0
    assert scores.read_bytes() == whole
