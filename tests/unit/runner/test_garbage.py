from __future__ import annotations

import pytest

from harness.errors import LLMError
from harness.outcome import Outcome
from harness.runner.garbage import explainer_watch, judge_watch, unusable
from harness.scoring.protocol import Item, Score


def item(outcome: Outcome, reply: str | None = None, error: str | None = None, *, truth: bool | None = False) -> Item:
    return Item("k", "random", None, truth, prediction=None, value=None, outcome=outcome, reply=reply, error=error)


def test_a_unit_with_one_answer_is_usable() -> None:
    assert unusable(Score({}, (item(Outcome.UNPARSED), item(Outcome.OK))), 0.1) is None


def test_a_unit_that_asks_nothing_is_usable() -> None:
    assert unusable(Score({}, ()), 0.1) is None


def test_a_unit_without_an_answer_says_what_came_instead_and_hides_control_characters() -> None:
    reason = unusable(Score({}, (item(Outcome.UNPARSED, "a\x1b[31mwalrus"), item(Outcome.UNPARSED))), 0.1)
    assert reason is not None
    assert "none of 2 answers" in reason
    assert "walrus" in reason
    assert "\x1b" not in reason


@pytest.mark.parametrize(
    ("outcome", "error", "said"),
    [
        (
            Outcome.ERROR,
            "context (HTTP 400): too long. Try: less",
            "one failed with: context (HTTP 400): too long. Try: less",
        ),
        (Outcome.REFUSED, "refused (HTTP 400): no", "one was refused (HTTP 400): no"),
        (Outcome.TRUNCATED, "truncated", "one was truncated"),
        (Outcome.UNPARSED, "no_list: the reply holds no list", "one was unparsed: no_list: the reply holds no list"),
    ],
)
def test_what_became_of_a_question_is_said_once(outcome: Outcome, error: str, said: str) -> None:
    assert unusable(Score({}, (item(outcome, error=error),)), 0.1) == f"none of 1 answers could be used; {said}"


def test_a_long_error_keeps_its_mend() -> None:
    error = f"context (HTTP 400): {'x' * 200}. Try: {'y' * 150}"
    assert str(unusable(Score({}, (item(Outcome.ERROR, error=error),)), 0.1)).endswith(error)


@pytest.mark.parametrize(("errors", "usable"), [(0, True), (1, True), (2, False)])
def test_a_unit_of_which_too_many_questions_failed_is_done_again(errors: int, usable: bool) -> None:
    items = tuple([item(Outcome.ERROR)] * errors + [item(Outcome.OK)] * (10 - errors))
    assert (unusable(Score({}, items), 0.1) is None) is usable


def test_three_features_without_an_answer_at_the_beginning_end_the_run() -> None:
    watch = judge_watch("detection")
    for feature in (1, 1, 1, 2, 2):
        watch.saw(("sae", feature), "why")
    with pytest.raises(LLMError, match="detection: the judge's answers cannot be used"):
        watch.saw(("sae", 3), "why")


@pytest.mark.parametrize("trusted", [True, False])
def test_useless_units_after_a_useful_one_do_not(trusted: bool) -> None:
    watch = judge_watch("detection", trusted=trusted)
    if not trusted:
        watch.saw(("sae", 0), None)
    for feature in range(1, 10):
        watch.saw(("sae", feature), "why")


@pytest.mark.parametrize(("features", "borne"), [(1, None), (2, 1), (3, 2), (9, 2)])
def test_of_few_features_all_come_to_nothing_before_the_model_is_given_up(features: int, borne: int | None) -> None:
    watch = explainer_watch(features=features)
    for feature in range(features if borne is None else borne):
        watch.saw(("sae", feature), "context: too long. Try: fewer")
    if borne is not None:
        with pytest.raises(LLMError, match=r"explainer: the explainer's .* about sae/9 .*Try: fewer$"):
            watch.saw(("sae", 9), "context: too long. Try: fewer")


@pytest.mark.parametrize(("truth", "sort"), [(True, "positive"), (False, "negative")])
def test_a_side_of_which_too_many_questions_failed_makes_a_unit_fail(truth: bool, sort: str) -> None:
    failed = [item(Outcome.ERROR, error="timeout: no answer", truth=truth)] * 9
    items = (item(Outcome.OK, truth=truth), *failed, *[item(Outcome.OK, truth=not truth)] * 90)
    said = f"9 of 10 {sort} items failed; one failed with: timeout: no answer"
    assert unusable(Score({}, items), 0.1) == said
    assert unusable(Score({}, items), 0.9) is None
    # What has no truth is on neither side.
    assert unusable(Score({}, (item(Outcome.ERROR, truth=None), *[item(Outcome.OK, truth=truth)] * 90)), 0.1) is None


def test_one_side_that_is_lost_makes_a_unit_fail_however_many_items_the_other_has() -> None:
    items = (item(Outcome.ERROR, error="timeout: no answer"), *[item(Outcome.OK)] * 500)
    assert unusable(Score({}, items, lost=0.1), 0.1) is None
    said = "20% of what should have been written is missing, as calls failed; one failed with: timeout: no answer"
    assert unusable(Score({}, items, lost=0.2), 0.1) == said


def test_what_was_never_asked_is_no_answer_that_failed() -> None:
    skipped = item(Outcome.SKIPPED, error="no language")
    assert unusable(Score({}, (skipped,)), 0.1) is None
    assert unusable(Score({}, (*[skipped] * 9, item(Outcome.OK))), 0.1) is None
    assert unusable(Score({}, (*[skipped] * 90, item(Outcome.ERROR), item(Outcome.OK))), 0.1) is not None
