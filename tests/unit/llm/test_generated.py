from __future__ import annotations

import pytest

from harness.llm.failures import AttemptError, FailureKind
from harness.llm.generated import Generated, prompt_reply, room_for_answer
from harness.llm.protocol import TokenAlternatives
from harness.outcome import Outcome

TOKEN = TokenAlternatives("Yes", -0.25, {"Yes": -0.25, "No": -1.5})


def generated(text: str, finish: str) -> Generated:
    return Generated(text, finish, (TOKEN,), input_tokens=9, output_tokens=1, cached_input_tokens=4)


@pytest.mark.parametrize(
    ("text", "finish", "short", "outcome"),
    [
        ("Yes", "stop", False, Outcome.OK),
        ("Yes", "length", False, Outcome.TRUNCATED),
        ("Yes", "length", True, Outcome.OK),
        ("", "stop", False, Outcome.ERROR),
        ("", "length", True, Outcome.TRUNCATED),
    ],
)
def test_an_engine_is_judged_like_a_server(text: str, finish: str, *, short: bool, outcome: Outcome) -> None:
    reply = generated(text, finish).reply(short_answer=short)
    assert reply.outcome is outcome
    assert (reply.input_tokens, reply.output_tokens, reply.cached_input_tokens) == (9, 1, 4)


def test_log_probabilities_pass_unchanged() -> None:
    assert generated("Yes", "stop").reply(short_answer=True).logprobs == (TOKEN,)
    reply = prompt_reply([TOKEN, TOKEN], 1)
    assert (reply.logprobs, reply.input_tokens, reply.cached_input_tokens) == ((TOKEN, TOKEN), 2, 1)


def test_an_answer_has_what_the_prompt_leaves() -> None:
    assert room_for_answer(10, 5, 100) == 5
    assert room_for_answer(10, 500, 100) == 90
    assert room_for_answer(100, 0, 100) == 0
    with pytest.raises(AttemptError, match="100 tokens and the model's context holds 100") as caught:
        room_for_answer(100, 1, 100)
    assert caught.value.failure.kind is FailureKind.CONTEXT
    with pytest.raises(AttemptError, match="no tokens"):
        room_for_answer(0, 1, 100)
