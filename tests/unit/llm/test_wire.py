from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.llm.protocol import CompletionRequest, Message, PromptLogprobsRequest
from harness.llm.wire import ChoiceMode, WireFormat, chat_params, choice_grammar, prompt_params

QUESTION = (Message("system", "be brief"), Message("user", "q"))


def test_a_plain_request_sends_only_what_matters() -> None:
    params = chat_params(CompletionRequest(QUESTION, max_tokens=5), WireFormat(), None)
    assert params == {
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "q"}],
        "max_tokens": 5,
        "temperature": 0.0,
    }


@pytest.mark.parametrize(
    ("mode", "extra"),
    [
        (ChoiceMode.NONE, None),
        (ChoiceMode.GRAMMAR, {"grammar": 'root ::= "Yes" | "No"'}),
        (ChoiceMode.GUIDED_CHOICE, {"guided_choice": ["Yes", "No"]}),
        (ChoiceMode.STRUCTURED_OUTPUTS, {"structured_outputs": {"choice": ["Yes", "No"]}}),
    ],
)
def test_choices_go_out_the_way_the_endpoint_knows(mode: ChoiceMode, extra: dict[str, object] | None) -> None:
    request = CompletionRequest(QUESTION, max_tokens=1, choices=("Yes", "No"))
    assert chat_params(request, WireFormat(mode), None).get("extra_body") == extra


def test_choices_win_over_a_schema() -> None:
    request = CompletionRequest(QUESTION, max_tokens=1, choices=("Yes",), response_schema={"type": "object"})
    assert "response_format" not in chat_params(request, WireFormat(ChoiceMode.GRAMMAR), None)
    assert "response_format" in chat_params(request, WireFormat(ChoiceMode.NONE), None)
    assert "response_format" not in chat_params(request, WireFormat(ChoiceMode.NONE, json_schema=False), None)


def test_extra_fields_are_kept_beside_the_constraint() -> None:
    request = CompletionRequest(QUESTION, max_tokens=1, choices=("Yes",))
    wire = WireFormat(ChoiceMode.GRAMMAR, extra_body={"top_k": 1})
    assert chat_params(request, wire, 3)["extra_body"] == {"top_k": 1, "grammar": 'root ::= "Yes"'}
    assert wire.extra_body == {"top_k": 1}


def unescape(literal: str) -> str:
    def char(match: re.Match[str]) -> str:
        token = match.group(0)
        return chr(int(f"0x{token[2:]}", 0)) if token[1] in "uU" else token[1]

    return re.sub(r"\\(U[0-9A-F]{8}|u[0-9A-F]{4}|.)", char, literal)


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_a_grammar_says_exactly_the_choices(choices: list[str]) -> None:
    grammar = choice_grammar(choices)
    assert grammar.isascii()
    assert "\n" not in grammar
    literals = re.findall(r'"((?:[^"\\]|\\.)*)"', grammar.removeprefix("root ::= "))
    assert [unescape(literal) for literal in literals] == choices


def test_prompt_request_echoes() -> None:
    params = prompt_params(PromptLogprobsRequest("p", 5), WireFormat(extra_body={"a": 1}))
    assert params == {
        "prompt": "p", "echo": True, "logprobs": 5, "max_tokens": 1, "temperature": 0.0, "extra_body": {"a": 1}
    }  # fmt: skip
