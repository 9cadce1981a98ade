from __future__ import annotations

import pytest

from harness.api import LLMError, PlacedToken, TokenAlternatives
from harness.scoring.prompt_reading import check_prompt_logprobs, same_cut, tokens_within
from harness.testing import OracleJudge


def placed(*spans: tuple[int, int]) -> list[PlacedToken]:
    return [PlacedToken(start, end, TokenAlternatives("x", -1.0)) for start, end in spans]


def test_tokens_of_a_part_are_those_that_hold_any_of_it() -> None:
    tokens = placed((0, 2), (2, 5), (5, 5), (5, 7), (7, 9))
    assert [(one.start, one.end) for one in tokens_within(tokens, 4, 7)] == [(2, 5), (5, 5), (5, 7)]
    assert tokens_within(tokens, 9, 9) == ()


def test_cuts_are_compared_from_the_end() -> None:
    assert same_cut(placed((3, 5), (5, 9)), placed((13, 15), (15, 19)))
    assert not same_cut(placed((3, 5), (5, 9)), placed((13, 16), (16, 19)))
    assert not same_cut(placed((3, 9)), placed((13, 15), (15, 19)))
    assert same_cut((), ())


def test_a_judge_that_reads_no_prompts_is_refused_with_a_way_out() -> None:
    check_prompt_logprobs(OracleJudge(lambda _: True, prompt_rule=lambda _: []), "scorers.x")
    with pytest.raises(LLMError, match="reports none") as caught:
        check_prompt_logprobs(OracleJudge(lambda _: True), "scorers.x", "other=thing")
    assert (caught.value.where, caught.value.exit_code) == ("scorers.x", 2)
    assert (caught.value.hint or "").startswith("other=thing; judge=transformers")
