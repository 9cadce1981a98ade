from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.activations.facts import FeatureFacts
from harness.cli.features import _row, with_subjects
from harness.errors import ConfigError
from harness.runner.overview import Overview

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.cli.conftest import Result


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["demo_sae"], ["subject=demo_sae"]),
        (["corpus=demo", "demo_sae"], ["subject=demo_sae", "corpus=demo"]),
        (["demo_sae", "demo_transcoder"], ["subject=[demo_sae,demo_transcoder]"]),
        (["subject=demo_sae", "features.n=3"], ["subject=demo_sae", "features.n=3"]),
        (["demo_sae", "subject.demo_sae.model.dtype=float32"], None),
        (["demo_sae", "~embedder"], ["subject=demo_sae", "~embedder"]),
    ],
)
def test_bare_words_are_subjects(given: list[str], meant: list[str] | None) -> None:
    assert with_subjects(given) == (meant or [f"subject={given[0]}", *given[1:]])


def test_subjects_are_chosen_in_one_way() -> None:
    with pytest.raises(ConfigError, match="both choose subjects"):
        with_subjects(["demo_sae", "subject=demo_transcoder"])


@pytest.mark.parametrize("word", ["/data/saes", "demo_sae,demo_transcoder", "../x"])
def test_what_is_no_name_is_told(word: str) -> None:
    with pytest.raises(ConfigError, match="neither a subject's name nor KEY=VALUE"):
        with_subjects([word])


@pytest.mark.parametrize("bare", [True, False])
def test_an_unknown_subject_gets_a_suggestion(harness: Callable[..., Result], bare: bool) -> None:
    result = harness("features", "demo_sea" if bare else "subject=demo_sea")
    assert result.code == 2
    assert "did you mean demo_sae" in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("option", ["top", "neighbours", "logits", "scrambled"])
def test_numbers_are_not_negative(harness: Callable[..., Result], option: str) -> None:
    result = harness("features", "demo_sae", f"--{option}", "-1")
    assert (result.code, f"--{option}: must not be negative" in result.err) == (2, True)


def test_a_row_quotes_promoted_and_suppressed_tokens_with_nothing_a_terminal_would_obey() -> None:
    more = {3: {"promoted_tokens": (" a", "\x1b[2J", "c", "d", "e", "f"), "suppressed_tokens": ("\u202eb\n", " g")}}
    facts = FeatureFacts(3, 40, 0.04)
    row = _row(facts, Overview("s", 9, 1_000, 1, {}, (facts,), more))
    assert not {"\x1b", "\u202e", "\n"} & set(row[-1])
    promoted, suppressed = row[-1].split("; suppresses ")
    assert promoted.startswith("promotes ' a' ")
    assert promoted.endswith(" 'e'")
    assert suppressed.endswith("' ' g'")
