from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.api import CompletionRequest, Message, Outcome, PromptLogprobsRequest, Task, TaskKind, choice_probability
from harness.testing import (
    FailingJudge,
    FakeEmbedder,
    OracleJudge,
    ScriptedJudge,
    digit_alternatives,
    last_message,
    make_record,
)


def request(text: str) -> CompletionRequest:
    return CompletionRequest((Message("system", "s"), Message("user", text)), max_tokens=1, choices=("Yes", "No"))


@given(st.integers(0, 1000), st.integers(1, 12), st.integers(0, 12), st.integers(4, 20), st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_records_fire_on_the_planted_word_only(seed: int, active: int, silent: int, window: int, most: int) -> None:
    record = make_record(
        seed=seed, n_activating=active, n_non_activating=silent, window_tokens=window, most_active=most
    )
    assert record == make_record(
        seed=seed, n_activating=active, n_non_activating=silent, window_tokens=window, most_active=most
    )
    for half in (record.explain, record.score):
        assert (len(half.activating), len(half.non_activating)) == (active, silent)
        maxima = [example.max_activation for example in half.activating]
        assert maxima == sorted(maxima, reverse=True)
        for example in (*half.activating, *half.non_activating):
            assert [value > 0 for value in example.activations] == [word == " harbour" for word in example.tokens]
            assert example.activating == any(example.activations)
    assert not record.explain.documents & record.score.documents


async def test_the_oracle_errs_at_its_rate_and_the_same_in_any_order() -> None:
    asked = [request(f"question {number}") for number in range(1000)]
    judge = OracleJudge(lambda _: True, error_rate=0.3)
    answers = {last_message(one): (await judge.complete(one)).text for one in asked}
    assert list(answers.values()).count("No") / 1000 == pytest.approx(0.3, abs=0.06)
    backwards = OracleJudge(lambda _: True, error_rate=0.3)
    again = {last_message(one): (await backwards.complete(one)).text for one in reversed(asked)}
    assert again == answers


async def test_the_oracle_grades_as_it_answers() -> None:
    answer = await OracleJudge(lambda _: False).complete(request("q"))
    p_yes = choice_probability(answer, "Yes", "No")
    assert answer.text == "No"
    assert p_yes is not None
    assert p_yes < 0.2
    assert answer.logprobs is not None
    assert sum(map(math.exp, answer.logprobs[0].alternatives.values())) == pytest.approx(1.0)


async def test_the_oracle_writes_lists() -> None:
    assert (await OracleJudge(lambda _: [True, False]).complete(request("q"))).text == "[1, 0]"


async def test_the_script_runs_over_and_over_and_keeps_what_it_was_asked() -> None:
    judge = ScriptedJudge(["a", "b"])
    assert [(await judge.complete(request(str(place)))).text for place in range(3)] == ["a", "b", "a"]
    assert [last_message(one) for one in judge.requests] == ["0", "1", "2"]


@pytest.mark.parametrize("outcome", [Outcome.ERROR, Outcome.REFUSED, Outcome.TRUNCATED])
async def test_a_failing_judge_fails_as_told(outcome: Outcome) -> None:
    answer = await FailingJudge(OracleJudge(lambda _: True), outcome=outcome).complete(request("q"))
    assert (answer.outcome, answer.text, answer.logprobs) == (outcome, None, None)


async def test_a_judge_that_fails_now_and_then_passes_the_others_on() -> None:
    judge = FailingJudge(OracleJudge(lambda _: True), outcome=Outcome.UNPARSED, share=0.25)
    replies = [(await judge.complete(request(f"question {number}"))).text for number in range(400)]
    assert set(replies) == {"Yes", "lorem ipsum"}
    assert replies.count("lorem ipsum") / 400 == pytest.approx(0.25, abs=0.1)


async def test_the_fake_embedder_gives_unit_vectors_whatever_the_company() -> None:
    embedder = FakeEmbedder()
    together = await embedder.embed(("the old harbour", "a harbour", "weather"))
    alone = await embedder.embed(("a harbour",))
    assert together.dtype == np.float32
    assert np.array_equal(together[1], alone[0])
    assert np.linalg.norm(together, axis=1) == pytest.approx(1.0, abs=1e-6)
    assert together[0] @ together[1] > together[0] @ together[2]


PROMPT = PromptLogprobsRequest("ab\t?", 20, Task(TaskKind.SIMULATE, "z", texts=("ab",), spans=((3, 4),)))


async def test_the_oracle_reads_prompts_by_its_rule_and_no_other_fake_does() -> None:
    oracle = OracleJudge(lambda _: True, prompt_rule=lambda _: [[4.0]])
    assert (oracle.capabilities.prompt_logprobs, OracleJudge(lambda _: True).capabilities.prompt_logprobs) == (
        True,
        False,
    )
    reply = await oracle.prompt_logprobs(PROMPT)
    assert reply.tokens is not None
    assert "".join(token.token for token in reply.tokens) == PROMPT.prompt
    assert dict(reply.tokens[-1].alternatives) == digit_alternatives(4.0)
    assert oracle.prompts == [PROMPT]
    none = await ScriptedJudge(["x"]).prompt_logprobs(PROMPT)
    assert (none.outcome, none.tokens) == (Outcome.ERROR, None)


@pytest.mark.parametrize("outcome", [Outcome.ERROR, Outcome.REFUSED, Outcome.TRUNCATED, Outcome.UNPARSED])
async def test_prompts_fail_as_told(outcome: Outcome) -> None:
    inner = OracleJudge(lambda _: True, prompt_rule=lambda _: [[4.0]])
    reply = await FailingJudge(inner, outcome=outcome).prompt_logprobs(PROMPT)
    if outcome is Outcome.UNPARSED:
        assert reply.outcome is Outcome.OK
        assert "".join(token.token for token in reply.tokens or ()) != PROMPT.prompt
    else:
        assert (reply.outcome, reply.tokens) == (outcome, None)
    passed = await FailingJudge(inner, outcome=outcome, share=0.0).prompt_logprobs(PROMPT)
    assert passed == await inner.prompt_logprobs(PROMPT)


async def test_the_oracle_gives_a_whole_reply_as_it_is() -> None:
    judge = OracleJudge(lambda _: "as it is", error_rate=1.0)
    assert (await judge.complete(request("q"))).text == "as it is"
