from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness.llm.answers_file import answers_path
from harness.llm.backend import Reply
from harness.llm.cache import AnswerCache
from harness.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.cli.conftest import Result


def filled(tmp_path: Path) -> Path:
    cache = tmp_path / "cache"
    for kind, name in (("materials", "aaa"), ("corpora", "bbb")):
        (cache / kind / name).mkdir(parents=True)
        (cache / kind / name / "data").write_bytes(b"x" * 1000)
    return cache


def test_info_says_what_is_there(harness: Callable[..., Result], tmp_path: Path) -> None:
    cache = filled(tmp_path)
    result = harness("cache", "info", "--cache", str(cache), "--json")
    facts = json.loads(result.out)
    assert facts["cache"] == str(cache)
    assert {(one["kind"], one["fingerprint"]) for one in facts["artefacts"]} == {
        ("materials", "aaa"),
        ("corpora", "bbb"),
    }
    text = harness("cache", "info", "--cache", str(cache)).out
    assert "2 artefacts" in text


def test_an_empty_cache_is_no_error(harness: Callable[..., Result], tmp_path: Path) -> None:
    result = harness("cache", "info", "--cache", str(tmp_path / "nothing"))
    assert (result.code, result.out.splitlines()[-1]) == (0, "0 artefacts, 0.0 MiB in all")


def test_prune_removes_what_was_asked_for(harness: Callable[..., Result], tmp_path: Path) -> None:
    cache = filled(tmp_path)
    harness("cache", "prune", "--cache", str(cache), "--dry-run")
    assert (cache / "corpora" / "bbb").exists()
    harness("cache", "prune", "--cache", str(cache), "--older-than", "1")
    assert (cache / "corpora" / "bbb").exists()
    harness("cache", "prune", "--cache", str(cache), "--kind", "corpora")
    assert not (cache / "corpora" / "bbb").exists()
    assert (cache / "materials" / "aaa").exists()


def test_an_unknown_kind_is_a_user_error(harness: Callable[..., Result], tmp_path: Path) -> None:
    result = harness("cache", "prune", "--cache", str(filled(tmp_path)), "--kind", "corpra")
    assert result.code == 2
    assert "did you mean corpora?" in result.err


def answered(tmp_path: Path) -> Path:
    cache = filled(tmp_path)
    answers = AnswerCache(answers_path(cache))
    for model in ("one", "two\x1b[2J"):
        for number in range(3):
            reply = Reply(Outcome.OK, text="x" * 20_000, input_tokens=10, output_tokens=2)
            answers.put(f"{model}-{number}", model, reply)
    assert answers.get("one-0") is not None
    answers.close()
    return cache


def models(harness: Callable[..., Result], cache: Path) -> dict[str, int]:
    facts = json.loads(harness("cache", "info", "--kind", "llm", "--cache", str(cache), "--json").out)
    return {one["model"]: one["answers"] for one in facts["answers"]}


def test_info_says_what_answers_there_are(harness: Callable[..., Result], tmp_path: Path) -> None:
    cache = answered(tmp_path)
    facts = json.loads(harness("cache", "info", "--cache", str(cache), "--json").out)
    one, two = facts["answers"]
    assert (one["model"], one["answers"], one["tokens"], one["tokens_saved"]) == ("one", 3, 36, 12)
    assert (two["tokens"], two["tokens_saved"]) == (36, 0)
    assert one["oldest"] <= one["last_used"]
    text = harness("cache", "info", "--cache", str(cache)).out
    assert "tokens saved" in text
    assert "\x1b" not in text
    other = harness("cache", "info", "--kind", "corpora", "--cache", str(cache), "--json")
    assert "answers" not in json.loads(other.out)


def test_paid_answers_go_only_by_name(harness: Callable[..., Result], tmp_path: Path) -> None:
    cache = answered(tmp_path)
    said = harness("cache", "prune", "--cache", str(cache))
    assert "--kind llm takes them" in said.err
    assert models(harness, cache) == {"one": 3, "two\x1b[2J": 3}
    assert not (cache / "corpora" / "bbb").exists()
    shown = harness("cache", "prune", "--kind", "llm", "--model", "one", "--cache", str(cache), "--dry-run")
    assert shown.out.splitlines()[-1] == "3 answers, 0.1 MiB would be removed"
    assert harness("cache", "prune", "--kind", "llm", "--older-than", "1", "--cache", str(cache)).code == 0
    assert models(harness, cache) == {"one": 3, "two\x1b[2J": 3}
    harness("cache", "prune", "--kind", "llm", "--model", "one", "--cache", str(cache))
    assert models(harness, cache) == {"two\x1b[2J": 3}
    pruned = harness("cache", "prune", "--kind", "llm", "--max-size", "0.06", "--cache", str(cache), "--json")
    assert 0 < json.loads(pruned.out)["answers"]["answers"]["two\x1b[2J"] < 3
    harness("cache", "prune", "--kind", "llm", "--cache", str(cache))
    assert models(harness, cache) == {}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--model", "one"], "harness cache prune --kind llm"),
        (["--max-size", "1", "--kind", "corpora"], "harness cache prune --kind llm"),
        (["--kind", "llm", "--model", "onw"], "did you mean one?"),
        (["--kind", "llm", "--max-size", "-1"], "--max-size: must not be less than 0"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    harness: Callable[..., Result], tmp_path: Path, options: list[str], said: str
) -> None:
    result = harness("cache", "prune", *options, "--cache", str(answered(tmp_path)))
    assert result.code == 2
    assert said in result.err
    assert result.err.count("\n") == 1
