from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.llm.protocol import CompletionRequest, Message, PromptLogprobsRequest
from harness.llm.wire import ChoiceMode, StructuredMode, WireFormat, chat_params, prompt_params

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


OBJECT = {"type": "object", "properties": {"match": {"type": "boolean"}}, "required": ["match"]}
LIST = {"type": "array", "items": {"enum": [0, 1]}, "minItems": 2, "maxItems": 2}
ODD = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}}
JSON_MODE = {"response_format": {"type": "json_object"}}


def constraint(schema: dict[str, Any], mode: StructuredMode) -> dict[str, Any]:
    request = CompletionRequest(QUESTION, max_tokens=1, response_schema=schema)
    params = chat_params(request, WireFormat(structured=mode), None)
    plain = chat_params(replace(request, response_schema=None), WireFormat(structured=mode), None)
    return {key: value for key, value in params.items() if key not in plain}


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    named = {"name": "answer", "schema": schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def test_each_rung_asks_for_the_schema_in_its_own_way() -> None:
    assert constraint(OBJECT, StructuredMode.JSON_SCHEMA) == strict(OBJECT)
    vllm = {"extra_body": {"structured_outputs": {"json": LIST}}}
    assert constraint(LIST, StructuredMode.STRUCTURED_OUTPUTS) == vllm
    grammar = {"extra_body": {"grammar": 'root ::= "[" ("0" | "1") "," " "? ("0" | "1") "]"'}}
    assert constraint(LIST, StructuredMode.GRAMMAR) == grammar
    assert constraint(OBJECT, StructuredMode.JSON_OBJECT) == JSON_MODE
    assert constraint(OBJECT, StructuredMode.NONE) == {}


def test_what_a_rung_cannot_say_falls_to_the_next() -> None:
    assert constraint(ODD, StructuredMode.GRAMMAR) == JSON_MODE
    assert constraint(LIST, StructuredMode.JSON_OBJECT) == {}
    assert constraint({**LIST, "uniqueItems": True}, StructuredMode.GRAMMAR) == {}


@pytest.mark.parametrize("mode", [ChoiceMode.GRAMMAR, ChoiceMode.STRUCTURED_OUTPUTS])
def test_a_list_goes_as_it_is_where_the_server_has_a_way_of_its_own(mode: ChoiceMode) -> None:
    def sent(schema: dict[str, Any], structured: StructuredMode) -> dict[str, Any]:
        request = CompletionRequest(QUESTION, max_tokens=1, response_schema=schema)
        return chat_params(request, WireFormat(mode, structured), None)

    assert sent(LIST, StructuredMode.JSON_SCHEMA) == sent(LIST, StructuredMode(mode.value))
    assert sent(OBJECT, StructuredMode.JSON_SCHEMA)["response_format"] == strict(OBJECT)["response_format"]
    if mode is ChoiceMode.GRAMMAR:
        odd = {**LIST, "uniqueItems": True}
        assert sent(odd, StructuredMode.JSON_SCHEMA)["response_format"]["type"] == "json_schema"


def test_a_list_is_wrapped_where_the_api_wants_an_object() -> None:
    wrapped = {
        "type": "object",
        "properties": {"answer": LIST},
        "required": ["answer"],
        "additionalProperties": False,
    }
    assert constraint(LIST, StructuredMode.JSON_SCHEMA) == strict(wrapped)


def test_extra_fields_are_kept_beside_the_constraint() -> None:
    request = CompletionRequest(QUESTION, max_tokens=1, choices=("Yes",))
    wire = WireFormat(ChoiceMode.GRAMMAR, extra_body={"top_k": 1})
    assert chat_params(request, wire, 3)["extra_body"] == {"top_k": 1, "grammar": 'root ::= "Yes"'}
    assert wire.extra_body == {"top_k": 1}


def test_prompt_request_echoes() -> None:
    params = prompt_params(PromptLogprobsRequest("p", 5), WireFormat(extra_body={"a": 1}))
    assert params == {
        "prompt": "p", "echo": True, "logprobs": 5, "max_tokens": 1, "temperature": 0.0, "extra_body": {"a": 1}
    }  # fmt: skip


MARK = {"cache_control": {"type": "ephemeral"}}


def texts(messages: list[dict[str, Any]]) -> list[str]:
    def joined(content: Any) -> str:
        return content if isinstance(content, str) else "".join(block["text"] for block in content)

    return [joined(message["content"]) for message in messages]


def test_the_ends_of_what_is_shared_are_marked() -> None:
    request = CompletionRequest((Message("system", "rules"), Message("user", "shared own")), 1, shared_prefix=7)
    marked = chat_params(request, WireFormat(prompt_cache=True), None)["messages"]
    assert marked == [
        {"role": "system", "content": [{"type": "text", "text": "rules", **MARK}]},
        {"role": "user", "content": [{"type": "text", "text": "shared ", **MARK}, {"type": "text", "text": "own"}]},
    ]
    plain = chat_params(request, WireFormat(), None)["messages"]
    assert plain == [{"role": "system", "content": "rules"}, {"role": "user", "content": "shared own"}]


@given(
    st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), st.text(max_size=9)), min_size=1, max_size=6),
    st.integers(0, 12),
)
def test_marks_never_change_a_text(chat: list[tuple[Any, str]], shared: int) -> None:
    messages = tuple(Message(role, text) for role, text in chat)
    request = CompletionRequest(messages, 1, shared_prefix=shared)
    sent = chat_params(request, WireFormat(prompt_cache=True), None)["messages"]
    assert texts(sent) == [message.content for message in messages]
    assert [one["role"] for one in sent] == [message.role for message in messages]
    assert str(sent).count("cache_control") <= 2
