from __future__ import annotations

import pytest

from harness.errors import LLMError
from harness.outcome import Outcome
from harness.runner.garbage import AnswerWatch, unusable
from harness.scoring.protocol import Item, Score


def item(outcome: Outcome, reply: str | None = None) -> Item:
    return Item("k", "random", None, truth=False, prediction=None, value=None, outcome=outcome, reply=reply)


def test_a_unit_with_one_answer_is_usable() -> None:
    assert unusable(Score({}, (item(Outcome.UNPARSED), item(Outcome.OK)))) is None


def test_a_unit_that_asks_nothing_is_usable() -> None:
    assert unusable(Score({}, ())) is None


def test_a_unit_without_an_answer_says_what_came_instead_and_hides_control_characters() -> None:
    reason = unusable(Score({}, (item(Outcome.UNPARSED, "a\x1b[31mwalrus"), item(Outcome.ERROR))))
    assert reason is not None
    assert "none of 2 answers" in reason
    assert "\x1b" not in reason


def test_three_useless_units_at_the_beginning_end_the_run() -> None:
    watch = AnswerWatch("detection")
    watch.saw("why")
    watch.saw("why")
    with pytest.raises(LLMError, match="detection: the judge's answers cannot be understood"):
        watch.saw("why")


def test_useless_units_after_a_useful_one_do_not() -> None:
    watch = AnswerWatch("detection")
    watch.saw(None)
    for _ in range(10):
        watch.saw("why")
