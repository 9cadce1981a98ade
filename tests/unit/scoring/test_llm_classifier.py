from __future__ import annotations

import math

import pytest

from harness.api import (
    ClassifierConfig,
    ClassifierPrompt,
    Completion,
    ConfigError,
    LLMError,
    Outcome,
    Question,
    TokenAlternatives,
    Usage,
    classify,
    estimate_calls,
)
from harness.testing import OracleJudge, ScriptedJudge, last_message

PROMPT = ClassifierPrompt(single="Fixed text.", several="Fixed text for lists.", cue="\nAnswer:")
SINGLE = ClassifierConfig()
LIST = ClassifierConfig(mode="list", examples_per_call=5)


def question(number: int) -> Question:
    return Question(f"key {number}", "activating", 10, truth=number % 2 == 0, shown=f"Text: window {number}.")


QUESTIONS = [question(number) for number in range(12)]


def graded(p_yes: float, text: str = "Yes") -> Completion:
    alternatives = {"Yes": math.log(p_yes), "No": math.log(1 - p_yes)}
    logprobs = (TokenAlternatives(text, alternatives[text], alternatives),)
    return Completion(text, Outcome.OK, Usage(1, 10, 1), logprobs=logprobs)


async def test_a_single_answer_is_graded_by_its_log_probabilities() -> None:
    judge = ScriptedJudge([graded(0.8), graded(0.3, "No")], logprobs=True)
    found = await classify(QUESTIONS[:2], "an explanation", PROMPT, SINGLE, judge, 0)
    assert [item.value for item in found.items] == pytest.approx([0.8, 0.3])
    assert [item.prediction for item in found.items] == [True, False]
    assert found.usage == Usage(2, 20, 2)


async def test_the_example_comes_last_and_the_shared_part_first() -> None:
    judge = ScriptedJudge(["Yes"])
    await classify(QUESTIONS[:2], "an explanation", PROMPT, SINGLE, judge, 0)
    first, second = (request.messages for request in judge.requests)
    assert first[0] == second[0]
    assert first[1].content == "Description: an explanation\nText: window 0.\nAnswer:"
    assert {request.shared_prefix for request in judge.requests} == {len("Description: an explanation\n")}
    assert judge.requests[0].max_tokens == 1
    assert judge.requests[0].choices == ("Yes", "No")


async def test_without_log_probabilities_there_is_a_prediction_and_no_grade() -> None:
    judge = ScriptedJudge(["Yes", "no."])
    found = await classify(QUESTIONS[:2], "an explanation", PROMPT, SINGLE, judge, 0)
    assert [(item.prediction, item.value) for item in found.items] == [(True, None), (False, None)]
    assert judge.requests[0].top_logprobs == 0


async def test_an_unreadable_answer_is_asked_for_once_more_and_its_cost_kept() -> None:
    judge = ScriptedJudge(["Well", "Yes"])
    found = await classify(QUESTIONS[:1], "an explanation", PROMPT, SINGLE, judge, 0)
    assert found.items[0].prediction is True
    assert found.usage.calls == 2
    assert [message.role for message in judge.requests[1].messages] == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize("re_asks", [0, 1, 2])
async def test_re_asks_are_bounded_and_then_the_answer_is_unparsed(re_asks: int) -> None:
    judge = ScriptedJudge(["Well"])
    found = await classify(QUESTIONS[:1], "e", PROMPT, ClassifierConfig(re_asks=re_asks), judge, 0)
    item = found.items[0]
    assert (item.outcome, item.prediction, item.value, item.reply) == (Outcome.UNPARSED, None, None, "Well")
    assert found.usage.calls == re_asks + 1


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.TRUNCATED, Outcome.ERROR])
@pytest.mark.parametrize("config", [SINGLE, LIST])
async def test_a_failed_call_keeps_its_outcome(outcome: Outcome, config: ClassifierConfig) -> None:
    judge = ScriptedJudge([Completion("[1, 1, 1]", outcome, Usage(1), error="why")])
    found = await classify(QUESTIONS[:3], "an explanation", PROMPT, config, judge, 0)
    assert {(item.outcome, item.prediction, item.value) for item in found.items} == {(outcome, None, None)}
    assert {item.error for item in found.items} == {"why"}


async def test_lists_are_read_batch_by_batch_and_the_short_last_one_too() -> None:
    def rule(request: object) -> list[bool]:
        shown = [line for line in last_message(request).splitlines() if "window" in line]  # type: ignore[arg-type]
        return [int(line.split("window ")[1].rstrip(".")) % 2 == 0 for line in shown]

    judge = OracleJudge(rule)
    found = await classify(QUESTIONS, "an explanation", PROMPT, LIST, judge, 7)
    assert [item.key for item in found.items] == [one.key for one in QUESTIONS]
    assert all(item.prediction is item.truth for item in found.items)
    assert found.usage.calls == 3
    assert sorted(last_message(request).count("window") for request in judge.requests) == [2, 5, 5]


async def test_a_list_of_just_so_many_flags_is_asked_for_and_read_in_both_forms() -> None:
    judge = ScriptedJudge(["Well", '{"answer": [1, 0, 1]}'])
    found = await classify(QUESTIONS[:3], "an explanation", PROMPT, LIST, judge, 7)
    assert all(item.outcome is Outcome.OK for item in found.items)
    flag = {"type": "integer", "enum": [0, 1]}
    first, again = judge.requests
    assert first.response_schema == {"type": "array", "items": flag, "minItems": 3, "maxItems": 3}
    assert again.response_schema == first.response_schema
    # The last message of a repeated question is the reminder, which shares nothing.
    assert (first.shared_prefix, again.shared_prefix) == (len("Description: an explanation\n"), 0)


async def test_batches_are_drawn_by_the_seed_alone() -> None:
    async def shown(seed: int) -> list[str]:
        judge = ScriptedJudge(["[]"])
        await classify(QUESTIONS, "an explanation", PROMPT, ClassifierConfig(mode="list", re_asks=0), judge, seed)
        return [last_message(request) for request in judge.requests]

    assert await shown(1) == await shown(1)
    assert await shown(1) != await shown(2)


async def test_one_bad_batch_spoils_no_other() -> None:
    judge = ScriptedJudge(["[1, 1, 1, 1, 1]", "[1, 1]", "[0, 0]"])
    config = ClassifierConfig(mode="list", re_asks=0)
    found = await classify(QUESTIONS, "an explanation", PROMPT, config, judge, 0)
    outcomes = [item.outcome for item in found.items]
    assert outcomes.count(Outcome.UNPARSED) == 5
    assert outcomes.count(Outcome.OK) == 7
    assert {item.error for item in found.items if item.error} == {"wrong_length: 2 answers to 5 questions"}


async def test_an_endpoint_that_cannot_be_asked_at_all_ends_the_unit() -> None:
    class Gone(ScriptedJudge):
        def _answer(self, request: object) -> Completion:  # noqa: ARG002  -- the fake's signature
            raise LLMError("unknown model")

    with pytest.raises(LLMError):
        await classify(QUESTIONS, "an explanation", PROMPT, SINGLE, Gone(["Yes"]), 0)


@pytest.mark.parametrize("config", [SINGLE, LIST])
async def test_the_estimate_is_near_what_a_unit_takes(config: ClassifierConfig) -> None:
    judge = ScriptedJudge(["Yes"]) if config.mode == "single" else OracleJudge(_all_yes)
    found = await classify(QUESTIONS, "e" * 40, PROMPT, config, judge, 0)
    expected = estimate_calls(len(QUESTIONS), len("Text: window 1.") // 4, 10, PROMPT, config)
    assert expected.calls == found.usage.calls
    assert expected.output_tokens >= found.usage.output_tokens
    assert found.usage.input_tokens <= expected.input_tokens <= found.usage.input_tokens + 20 * expected.calls


def _all_yes(request: object) -> list[bool]:
    return [True] * last_message(request).count("window")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "params", [{"mode": "pairs"}, {"examples_per_call": 0}, {"top_logprobs": 1}, {"top_logprobs": 50}, {"re_asks": -1}]
)
def test_impossible_parameters_are_refused(params: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        ClassifierConfig(**params)  # type: ignore[arg-type]
