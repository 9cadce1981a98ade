from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.llm.backend import Reply
from harness.llm.protocol import TokenAlternatives
from harness.llm.stored import decode_reply, encode_reply
from harness.outcome import Outcome

ANY_TEXT = st.text(st.characters())  # lone surrogates included: models do produce them
LOGPROBS = st.floats(allow_nan=False, allow_infinity=False)
TOKENS = st.builds(TokenAlternatives, ANY_TEXT, st.none() | LOGPROBS, st.dictionaries(ANY_TEXT, LOGPROBS, max_size=3))
FIELDS = {
    "logprobs": st.none() | st.lists(TOKENS, min_size=1, max_size=3).map(tuple),
    "finish_reason": st.none() | st.just("stop"),
    "input_tokens": st.none() | st.integers(0),
    "output_tokens": st.none() | st.integers(0),
}
ANSWERS = st.builds(Reply, outcome=st.just(Outcome.OK), text=ANY_TEXT, **FIELDS)
OTHERS = st.builds(
    Reply,
    outcome=st.sampled_from([Outcome.REFUSED, Outcome.TRUNCATED, Outcome.ERROR]),
    text=st.none() | ANY_TEXT,
    error=st.none() | ANY_TEXT,
    answered=st.booleans(),
    **FIELDS,
)


@given(ANSWERS | OTHERS)
def test_replies_survive_the_disk_form(reply: Reply) -> None:
    assert decode_reply(encode_reply(reply)) == reply


@given(ANSWERS | OTHERS)
def test_only_what_is_no_answer_says_so(reply: Reply) -> None:
    assert ("outcome" in json.loads(encode_reply(reply))) == (reply.outcome is not Outcome.OK)


def test_answers_of_the_first_layout_are_read() -> None:
    tail = '"input_tokens":3,"output_tokens":1,"logprobs":[["Yes",-0.1,{"No":-2}]]}'
    text = '{"text":"Yes","finish_reason":"stop",' + tail
    tokens = (TokenAlternatives("Yes", -0.1, {"No": -2}),)
    assert decode_reply(text) == Reply(
        Outcome.OK, text="Yes", logprobs=tokens, finish_reason="stop", input_tokens=3, output_tokens=1
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"logprobs":null,"text":"a","outcome":"great"}', '{"logprobs":3}'])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        decode_reply(text)
