"""Tables: as the golden files have them, and harmless whatever the names in them are."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UnknownNameError
from harness.leaderboard.build import build_rows
from harness.leaderboard.render import render_table
from harness.results.codec import decode
from harness.results.manifest import MetricFacts
from harness.results.records import LeaderboardRow, UsageLine

GOLDEN = Path(__file__).parents[2] / "golden"
FILES = {"text": "leaderboard.txt", "md": "leaderboard.md", "json": "leaderboard.json"}


def sample_rows(root: Path, fake_run: Any) -> list[LeaderboardRow]:
    """Return a leaderboard with two protocols, two subjects, controls, ties, failures and an unknown price."""
    paid = UsageLine(calls=40, input_tokens=4000, output_tokens=40, usd=0.0123)
    run = fake_run("demo-1a2b", models={"default": "writer-1.5b", "better": "writer-70b"})
    sets: dict[str, tuple[str | None, dict[int, float]]] = {
        "default": (None, {0: 0.71, 1: 0.64, 2: 0.82, 3: 0.77, 4: 0.69, 5: 0.58}),
        "shuffled(default)": ("shuffled", {0: 0.52, 1: 0.47, 2: 0.50, 3: 0.55, 4: 0.49, 5: 0.51}),
        "top_tokens": ("top_tokens", {0: 0.70, 1: 0.66, 2: 0.79, 3: 0.80, 4: 0.61, 5: 0.60}),
    }
    for subject, shift in (("smollm2-sae", 0.0), ("smollm2-mlp", -0.05)):
        for name, (control, values) in sets.items():
            moved = {feature: round(value + shift, 4) for feature, value in values.items()}
            run.add(name, moved, subject=subject, control=control, usage=paid)
    run.add("default", {6: None}, subject="smollm2-mlp", status="error", metrics={}, coverage={}, error="no answer")
    other = fake_run(
        "embed-3c4d",
        fields={"corpus": {"path": "texts"}, "embedder": {"model": "minilm"}, "seed": 0},
        metrics=(MetricFacts(name="auroc", low=-1.0, chance=None, higher_is_better=False), MetricFacts(name="recall")),
        judge=None,
    )
    other.add("default", {0: 0.5}, usage=UsageLine(usd=None)).add("empty", {0: 0.5}, control="empty")
    other.add("broken", {0: None}, status="error", metrics={}, coverage={}, error="x")
    return build_rows([run.write(root), other.write(root)])


@pytest.mark.parametrize("format", FILES)
def test_tables_are_as_the_golden_files(tmp_path: Path, fake_run: Any, format: str) -> None:  # noqa: A002  -- its name
    table = render_table(sample_rows(tmp_path, fake_run), format) + "\n"
    if os.environ.get("HARNESS_WRITE_GOLDEN"):
        (GOLDEN / FILES[format]).write_text(table, "utf-8")
    assert table == (GOLDEN / FILES[format]).read_text("utf-8")


def test_means_of_different_features_are_flagged_with_what_is_at_chance(tmp_path: Path, fake_run: Any) -> None:
    run = fake_run("a").add("gaps", {1: 0.9, 2: 0.8, 3: None}).add("whole", {1: 0.7, 2: 0.75, 3: 0.6})
    run.add("c", {2: 0.5, 3: 0.45}, control="c")
    table = render_table(build_rows([run.write(tmp_path)]), "text")
    assert "note: n is 2 to 3: these means are of different features" in table
    assert "note: gaps has no value where another set has one (features: 1)" in table
    assert "makes its mean 0.73" in table
    assert "n=1" in next(line for line in table.splitlines() if " gaps " in line)  # of the margin: one shared feature
    assert "different features" not in render_table(
        build_rows([fake_run("b").add("whole", {1: 0.7}).add("also", {1: 0.6}).write(tmp_path)]), "text"
    )


@pytest.mark.parametrize(("format", "shown"), [("text", "no scores yet"), ("md", "no scores yet"), ("json", "[]")])
def test_an_empty_leaderboard_says_so(format: str, shown: str) -> None:  # noqa: A002  -- the option's name
    assert render_table([], format) == shown


def test_an_unknown_format_is_named_with_its_neighbours() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown leaderboard format 'jsn'\. Try: did you mean json"):
        render_table([], "jsn")


def test_json_rows_are_records(tmp_path: Path, fake_run: Any) -> None:
    rows = sample_rows(tmp_path, fake_run)
    tables = json.loads(render_table(rows, "json"))
    back = []
    for table in tables:
        for place in table["rows"]:
            assert place.pop("rank") in {1, 2, 3, None}
            place.pop("tied")
            back.append(decode(LeaderboardRow, place))
    assert sorted(map(repr, back)) == sorted(map(repr, rows))


HOSTILE = "x\x1b[2J\u202e\x07 | `a` <script> [l](http://x) \n# h"


def test_names_from_files_cannot_move_the_cursor(tmp_path: Path, fake_run: Any) -> None:
    run = fake_run("a", judge=HOSTILE).add(HOSTILE, {1: 0.5, 2: 0.7}, subject=HOSTILE)
    run.add("c", {1: 0.5, 2: 0.7}, subject=HOSTILE, control=HOSTILE)
    rows = build_rows([run.write(tmp_path)])
    text = render_table(rows, "text")
    assert all(char.isprintable() for char in text.replace("\n", ""))
    assert "x\\x1b[2J\\u202e\\x07" in text
    json.loads(render_table(rows, "json"))
    assert all(char.isprintable() for char in render_table(rows, "json").replace("\n", ""))


def test_names_from_files_cannot_leave_their_markdown_cell(tmp_path: Path, fake_run: Any) -> None:
    run = fake_run("a", judge=HOSTILE).add(HOSTILE, {1: 0.5, 2: 0.7}, subject=HOSTILE)
    run.add("c", {1: 0.5, 2: 0.7}, subject=HOSTILE, control=HOSTILE)
    table = render_table(build_rows([run.write(tmp_path)]), "md")
    lines = [line for line in table.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {10}
    for line in table.splitlines():
        outside = "".join(line.split("`")[::2])
        assert "<script>" not in outside
        assert "](" not in outside
    assert not any(line.startswith("# ") for line in table.splitlines())
