from __future__ import annotations

import pytest

from harness.api import Completion, CompletionRequest, Message, Outcome, Reading, Usage, ask
from harness.testing import ScriptedJudge

REQUEST = CompletionRequest((Message("system", "s"), Message("user", "u")), 5, shared_prefix=1)


def number(reply: str) -> Reading[int]:
    return Reading(int(reply)) if reply.isdecimal() else Reading(None, "no_number: none")


async def test_a_reply_that_can_be_read_is_asked_for_once() -> None:
    judge = ScriptedJudge(["7"])
    answer = await ask(judge, REQUEST, number, "a number", 2)
    assert (answer.value, answer.outcome, answer.reply, answer.error) == (7, Outcome.OK, "7", None)
    assert answer.usage.calls == len(judge.requests) == 1


async def test_a_value_that_is_false_is_a_value() -> None:
    answer = await ask(ScriptedJudge(["0", "1"]), REQUEST, number, "a number", 2)
    assert answer.value == 0


async def test_a_reply_that_cannot_be_read_is_asked_for_again_with_a_reminder() -> None:
    judge = ScriptedJudge(["what?" * 100, "7"])
    answer = await ask(judge, REQUEST, number, "a number, please", 1)
    assert answer.value == 7
    assert answer.usage.calls == 2
    again = judge.requests[1]
    assert [message.role for message in again.messages] == ["system", "user", "assistant", "user"]
    assert len(again.messages[2].content) == 200
    assert again.messages[3].content == "a number, please"
    assert again.shared_prefix == 0


@pytest.mark.parametrize("re_asks", [0, 1, 3])
async def test_re_asks_are_bounded(re_asks: int) -> None:
    judge = ScriptedJudge(["what?"])
    answer = await ask(judge, REQUEST, number, "a number", re_asks)
    assert (answer.value, answer.outcome, answer.error) == (None, Outcome.UNPARSED, "no_number: none")
    assert answer.usage.calls == len(judge.requests) == re_asks + 1


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.TRUNCATED, Outcome.ERROR])
async def test_what_is_no_answer_is_not_asked_for_again(outcome: Outcome) -> None:
    judge = ScriptedJudge([Completion("7", outcome, Usage(1, 1, 1, 0.0), error=None)])
    answer = await ask(judge, REQUEST, number, "a number", 3)
    assert (answer.value, answer.outcome, answer.error) == (None, outcome, outcome.value)
    assert len(judge.requests) == 1
