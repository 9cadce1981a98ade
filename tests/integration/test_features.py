"""``harness features`` on the demo SAE and the corpus of the smoke benchmark, in processes of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.harness_process import run_harness

if TYPE_CHECKING:
    import subprocess

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

SMOKE = ("subject=demo_sae", "corpus=demo", "corpus.n_tokens=60000")


def features(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_harness(["features", *SMOKE, *arguments], Path.cwd())


def found(*arguments: str) -> dict[str, Any]:
    done = features(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    (subject,) = json.loads(done.stdout)
    assert isinstance(subject, dict)
    return subject


def test_all_features_with_all_there_is_to_say() -> None:
    subject = found()
    assert subject["subject"] == "demo_sae"
    assert subject["looked_at"] == subject["n_features"] == len(subject["features"])
    alive = [facts for facts in subject["features"] if "dead" not in facts["flags"]]
    assert len(subject["features"]) - len(alive) == subject["flagged"]["dead"]
    assert 0.5 * subject["n_features"] < len(alive)
    for facts in alive:
        assert facts["density"] == facts["n_active"] / subject["n_tokens"]
        assert 0 < facts["mean"] <= facts["max"]
        assert facts["deciles"] == sorted(facts["deciles"])
        assert 0 < facts["token_share"] <= 1
        assert 0 <= facts["positional_share"] <= 1
        assert facts["unigram_share"] is None or 0 <= facts["unigram_share"] <= 1
        assert sum(token["count"] for token in facts["top_tokens"]) <= facts["n_active"]
    # An SAE trained on real text has features of one token and features of many.
    assert subject["flagged"]["single_token"] > 0
    assert any(facts["token_share"] < 0.2 for facts in alive)


def test_a_condition_chooses_and_neighbours_and_promoted_tokens_are_worked_out() -> None:
    where = "features.where='1e-4 < density < 0.05 and not prior_token'"
    subject = found("features=sample", "features.n=5", where, "--neighbours", "3", "--logits", "4")
    assert len(subject["features"]) == 5
    for facts in subject["features"]:
        assert 1e-4 < facts["density"] < 0.05
        assert len(facts["promoted_tokens"]) == len(facts["suppressed_tokens"]) == 4
        assert not set(facts["promoted_tokens"]) & set(facts["suppressed_tokens"])
        cosines = [near["cosine"] for near in facts["nearest_by_direction"]]
        assert cosines == sorted(cosines, reverse=True)
        assert all(near["feature"] != facts["feature"] for near in facts["nearest_by_direction"])
        assert all(0 < near["jaccard"] <= 1 for near in facts["nearest_by_tokens"])
    assert found("features=sample", "features.n=5", where, "--neighbours", "3", "--logits", "4") == subject


def test_what_is_left_in_scrambled_contexts() -> None:
    """On the real model features that the token explains keep most activations, those it says little of few."""
    chosen = ("features=sample", "features.n=3", "--scrambled", "6")
    alone = found("features.where='unigram and token_share > 0.5 and n_active > 20'", *chosen)
    others = found("features.where='unigram_share < 0.2 and density < 0.02 and n_active > 20'", *chosen)
    left = []
    for subject in (alone, others):
        results = [facts["scrambled"] for facts in subject["features"]]
        assert [result["n"] for result in results] == [6, 6, 6]
        for result in results:
            for way in ("reordered", "replaced"):
                for part in ("share", "strength"):
                    assert 0 <= result[way][part]["low"] <= result[way][part]["mean"] <= result[way][part]["high"] <= 1
        left.append(sum(result["replaced"]["share"]["mean"] for result in results) / 3)
    assert left[0] > 0.6
    assert left[1] < 0.3
    assert found("features.where='unigram and token_share > 0.5 and n_active > 20'", *chosen) == alone


def test_the_table_for_people() -> None:
    done = features("--top", "3", "--sort", "max")
    assert done.returncode == 0, done.stderr
    head, flags, blank, header, *rows = done.stdout.splitlines()
    assert head.startswith("demo_sae: ")
    assert "dead" in flags
    assert blank == ""
    assert header.split()[:3] == ["feature", "density", "max"]
    assert len(rows) == 4
    assert rows[-1].startswith("... and ")
    values = [float(row.split()[2]) for row in rows[:3]]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--sort", "densty"), "did you mean density"),
        (("features.where='densty > 1'",), "did you mean density"),
        (("--top", "-1"), "--top"),
        (("demo_sae",), "both choose subjects"),
        (("--scrambled", "30"), "contexts to read"),
        (("features=list", "features.ids=[999999]"), "there is no feature 999999"),
        (("features=file",), "features.path"),
    ],
)
def test_mistakes_end_in_one_line(arguments: tuple[str, ...], said: str) -> None:
    done = features(*arguments)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("harness: error: ")]
    assert said in line
    assert "Traceback" not in done.stderr
