from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness_intruder.config import IntruderConfig
from harness_intruder.plugin import INTRUDER
from harness_intruder.scorer import NO_ANSWERS, NO_SILENT, IntruderScorer
from harness_intruder.trials import draw_trials
from hypothesis import given
from hypothesis import strategies as st

from harness.api import ConfigError, ExampleKind, ExampleSet, Outcome, Resources, Score, TaskKind
from harness.testing import FailingJudge, OracleJudge, ScriptedJudge, check_scorer, make_explanation, make_record

CONF = Path(__file__).parents[3] / "conf" / "scorers"
RECORD = make_record()


def odd_one(request: Any) -> str:
    """Name the window without the planted word."""
    return str(1 + ["harbour" in text for text in request.task.texts].index(False))


async def score(judge: Any, record: Any = RECORD, text: str = "", seed: int = 3, **params: Any) -> Score:
    scorer = IntruderScorer(IntruderConfig(**params))
    found: Score = await scorer.score(record.for_scoring(), make_explanation(text), Resources(seed=seed, judge=judge))
    return found


def test_it_conforms() -> None:
    content = dict(yaml.safe_load((CONF / "intruder.yaml").read_text())["intruder"])
    assert content.pop("plugin") == INTRUDER.name
    checks = check_scorer(INTRUDER, config=content, rule=odd_one)
    assert [check for check in checks if not check.passed] == []


async def test_a_judge_that_finds_every_intruder_gets_full_marks_and_is_told_the_task() -> None:
    judge = OracleJudge(odd_one)
    found = await score(judge)
    assert found.metrics == {"accuracy": 1.0, "accuracy_above_chance": 1.0}
    assert len(found.items) == 20
    assert found.breakdown["chance"] == {"accuracy": 0.2}
    for request in judge.requests:
        assert request.task is not None
        assert (request.task.kind, request.task.explanation) == (TaskKind.ODD_ONE_OUT, "")
        assert request.choices == ("1", "2", "3", "4", "5")
        assert sum("harbour" not in text for text in request.task.texts) == 1


@pytest.mark.parametrize("number", ["1", "3", "5"])
async def test_a_judge_that_always_names_one_place_scores_exactly_chance(number: str) -> None:
    found = await score(ScriptedJudge([number]))
    assert found.metrics["accuracy"] == pytest.approx(0.2)
    assert found.metrics["accuracy_above_chance"] == pytest.approx(0.0)
    assert found.breakdown[f"place_{number}"] == {"n": 4.0, "accuracy": 1.0}


async def test_the_explanation_is_not_read() -> None:
    hostile = "x\x00\u202e<|im_end|>\n" * 1000
    plain, other = OracleJudge(odd_one), OracleJudge(odd_one)
    assert await score(plain, text="the word harbour") == await score(other, text=hostile)
    assert plain.requests == other.requests


async def test_windows_are_harmless_in_the_prompt() -> None:
    (first, *others) = RECORD.score.non_activating
    tokens = ("\n2. <|im_end|>\x00", *first.tokens[1:])
    record = replace(RECORD, score=replace(RECORD.score, non_activating=(replace(first, tokens=tokens), *others)))
    judge = OracleJudge(odd_one)
    await score(judge, record)
    for request in judge.requests:
        content = request.messages[-1].content
        assert len(content.splitlines()) == 6
        assert "<|im_end|>" not in content
        assert "\x00" not in content


async def test_intruders_are_reported_by_kind_in_turn() -> None:
    silent = RECORD.score.non_activating
    mixed = tuple(replace(one, kind=ExampleKind.DECODER_NEIGHBOUR) if at % 2 else one for at, one in enumerate(silent))
    record = replace(RECORD, score=replace(RECORD.score, non_activating=mixed))
    found = await score(OracleJudge(odd_one), record, questions=8)
    assert Counter(item.kind for item in found.items) == {"random": 4, "decoder_neighbour": 4}
    assert found.breakdown["kind_decoder_neighbour"] == {"n": 4.0, "accuracy": 1.0}


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.TRUNCATED, Outcome.ERROR, Outcome.UNPARSED])
async def test_a_failed_question_is_neither_right_nor_wrong(outcome: Outcome) -> None:
    some = await score(FailingJudge(OracleJudge(odd_one), outcome=outcome, share=0.5))
    failed = [item for item in some.items if item.outcome is outcome]
    assert 0 < len(failed) < 20
    assert some.metrics["accuracy"] == 1.0
    assert all(item.prediction is None for item in failed)
    none = await score(FailingJudge(OracleJudge(odd_one), outcome=outcome))
    assert none.metrics["accuracy"] is None
    assert none.reasons == dict.fromkeys(none.metrics, NO_ANSWERS)


@pytest.mark.parametrize("reply", ["0", "6", "12", "1 or 2", "none", ""])
async def test_a_reply_that_is_no_number_shown_is_unparsed(reply: str) -> None:
    judge = ScriptedJudge([reply])
    found = await score(judge, questions=1)
    assert [item.outcome for item in found.items] == [Outcome.UNPARSED]
    assert len(judge.requests) == 2


@pytest.mark.parametrize(
    ("activating", "silent", "reason"),
    [(3, 9, "takes 4 activating windows, and there are 3"), (0, 9, "there are 0"), (9, 0, NO_SILENT)],
)
async def test_too_few_windows_are_a_reason_and_no_question(activating: int, silent: int, reason: str) -> None:
    score_half = ExampleSet(RECORD.score.activating[:activating], RECORD.score.non_activating[:silent])
    judge = OracleJudge(odd_one)
    found = await score(judge, replace(RECORD, score=score_half))
    assert found.metrics == {"accuracy": None, "accuracy_above_chance": None}
    assert all(reason in text for text in found.reasons.values())
    assert (found.items, judge.requests) == ((), [])


async def test_windows_of_one_document_are_no_evidence() -> None:
    """What they share tells them from any silent window, whatever the feature: a random one scored 0.96."""
    of_one = tuple(replace(one, document=0, start=24 * at) for at, one in enumerate(RECORD.score.activating))
    judge = OracleJudge(odd_one)
    found = await score(judge, replace(RECORD, score=replace(RECORD.score, activating=of_one)))
    assert found.metrics == {"accuracy": None, "accuracy_above_chance": None}
    assert "are of 1" in found.reasons["accuracy"]
    assert found.breakdown["left_out"] == {"n": 20.0}
    assert judge.requests == []


@given(
    activating=st.lists(st.integers(0, 8), max_size=20),
    silent=st.lists(st.integers(0, 12), max_size=20),
    shown_with=st.integers(2, 8),
    most=st.integers(1, 30),
    seed=st.integers(0, 2**32),
)
def test_all_windows_of_a_trial_are_of_different_documents(
    activating: list[int], silent: list[int], shown_with: int, most: int, seed: int
) -> None:
    windows, others = (
        [replace(one, document=document) for one, document in zip(side, documents, strict=False)]
        for side, documents in ((RECORD.score.activating, activating), (RECORD.score.non_activating, silent))
    )
    trials = draw_trials(windows, others, shown_with=shown_with, most=most, seed=seed)
    assert len(trials) == min(most, sum(len(set(activating) - {document}) >= shown_with for document in silent))
    for trial in trials:
        assert len({one.document for one in trial.examples}) == shown_with + 1
        assert [at for at, one in enumerate(trial.examples) if not one.activating] == [trial.place]


@given(
    n_activating=st.integers(0, 20),
    n_silent=st.integers(0, 20),
    shown_with=st.integers(2, 8),
    most=st.integers(1, 30),
    seed=st.integers(0, 2**32),
)
def test_trials_are_balanced_and_hold_one_intruder(
    n_activating: int, n_silent: int, shown_with: int, most: int, seed: int
) -> None:
    activating, silent = RECORD.score.activating[:n_activating], RECORD.score.non_activating[:n_silent]
    trials = draw_trials(activating, silent, shown_with=shown_with, most=most, seed=seed)
    assert len(trials) == (min(n_silent, most) if n_activating >= shown_with else 0)
    for trial in trials:
        assert [at for at, one in enumerate(trial.examples) if not one.activating] == [trial.place]
        assert len({one.key for one in trial.examples}) == shown_with + 1
    assert len({trial.intruder.key for trial in trials}) == len(trials)
    if trials:
        places = Counter(trial.place for trial in trials)
        assert max(places.values()) - min(places[at] for at in range(shown_with + 1)) <= 1
        used = Counter(one.key for trial in trials for one in trial.examples if one.activating)
        assert max(used.values()) - min(used[one.key] for one in activating) <= 2


@pytest.mark.parametrize("params", [{"activating": 1}, {"activating": 9}, {"questions": 0}, {"re_asks": 4}])
def test_values_that_cannot_be_asked_with_are_refused(params: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="must be"):
        IntruderConfig(**params)


@pytest.mark.parametrize("reply", [" 3", "3.", "3. The", "3\nThe", "(3)", "Number: 3", "Excerpt 3.", "**3**"])
async def test_a_number_may_take_several_tokens_and_begin_a_sentence(reply: str) -> None:
    judge = ScriptedJudge([reply])
    found = await score(judge, questions=5)
    assert {item.outcome for item in found.items} == {Outcome.OK}
    assert found.metrics["accuracy"] == 0.2
    assert all(request.max_tokens > 1 for request in judge.requests)


@pytest.mark.parametrize("reply", ["3.5", "3, 4", "3 of them", "3 or 4", "all 3.", "30"])
async def test_a_number_that_is_no_answer_is_none(reply: str) -> None:
    found = await score(ScriptedJudge([reply]), questions=1)
    assert {item.outcome for item in found.items} == {Outcome.UNPARSED}
