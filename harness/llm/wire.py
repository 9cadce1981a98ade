"""From a request to the parameters of a call. Pure; the names are those of the OpenAI API, which litellm translates."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from harness.identity import plain
from harness.llm.grammar import choice_grammar, schema_grammar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.llm.protocol import CompletionRequest, PromptLogprobsRequest

__all__ = ["ANSWER", "ChoiceMode", "StructuredMode", "WireFormat", "chat_params", "prompt_params"]

ANSWER = "answer"
"""The property that holds the answer where a schema has to be wrapped into an object."""

_MARK = {"type": "ephemeral"}


class ChoiceMode(StrEnum):
    """How an endpoint is told that only certain answers are allowed."""

    NONE = "none"
    GRAMMAR = "grammar"
    GUIDED_CHOICE = "guided_choice"
    STRUCTURED_OUTPUTS = "structured_outputs"


class StructuredMode(StrEnum):
    """How an endpoint is told that an answer must follow a JSON Schema, strongest first."""

    JSON_SCHEMA = "json_schema"
    STRUCTURED_OUTPUTS = "structured_outputs"
    GRAMMAR = "grammar"
    JSON_OBJECT = "json_object"
    NONE = "none"


_OWN_WAYS = {
    ChoiceMode.GRAMMAR: StructuredMode.GRAMMAR,
    ChoiceMode.STRUCTURED_OUTPUTS: StructuredMode.STRUCTURED_OUTPUTS,
}


@dataclass(frozen=True, slots=True)
class WireFormat:
    """What an endpoint understands beyond the common parameters.

    Attributes:
        choices: How fixed choices are enforced (llama.cpp: grammar; vLLM: structured_outputs, before 0.12
            guided_choice).
        structured: How an answer is made to follow a JSON Schema.
        extra_body: Further fields of every request body.
        prompt_cache: Whether the ends of what prompts share are marked for the provider's prompt cache.
    """

    choices: ChoiceMode = ChoiceMode.NONE
    structured: StructuredMode = StructuredMode.JSON_SCHEMA
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    prompt_cache: bool = False


def chat_params(request: CompletionRequest, wire: WireFormat, seed: int | None) -> dict[str, Any]:
    """Return the keyword parameters of a chat completion. What equals the API's own default is left out."""
    params: dict[str, Any] = {
        "messages": _messages(request, mark=wire.prompt_cache),
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
    }
    if request.top_p != 1.0:
        params["top_p"] = request.top_p
    if request.stop:
        params["stop"] = list(request.stop)
    if seed is not None:
        params["seed"] = seed
    if request.top_logprobs:
        params |= {"logprobs": True, "top_logprobs": request.top_logprobs}
    extra = plain(dict(wire.extra_body))
    # An endpoint takes one constraint; the list of allowed answers is the narrower one.
    if constrained := _choice_fields(request.choices, wire.choices):
        extra |= constrained
    elif request.response_schema is not None:
        standard, further = _schema_fields(plain(dict(request.response_schema)), wire)
        params |= standard
        extra |= further
    if extra:
        params["extra_body"] = extra
    return params


def prompt_params(request: PromptLogprobsRequest, wire: WireFormat) -> dict[str, Any]:
    """Return the keyword parameters of a text completion that echoes its prompt with log-probabilities."""
    params: dict[str, Any] = {
        "prompt": request.prompt,
        "echo": True,
        # Asking for no alternatives still asks for the tokens' own log-probabilities; several servers refuse to
        # generate nothing, so one token is generated and cut off again.
        "logprobs": request.top_logprobs,
        "max_tokens": 1,
        "temperature": 0.0,
    }
    if wire.extra_body:
        params["extra_body"] = plain(dict(wire.extra_body))
    return params


def _choice_fields(choices: Sequence[str], mode: ChoiceMode) -> dict[str, Any]:
    if not choices or mode is ChoiceMode.NONE:
        return {}
    if mode is ChoiceMode.GRAMMAR:
        return {"grammar": choice_grammar(choices)}
    if mode is ChoiceMode.GUIDED_CHOICE:
        return {"guided_choice": list(choices)}
    return {"structured_outputs": {"choice": list(choices)}}


def _schema_fields(schema: dict[str, Any], wire: WireFormat) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the API's own parameters and the further body fields that ask for an answer after ``schema``.

    What a mode cannot say is left to the next weaker one, and at last to the prompt and the reader of the answer.
    """
    mode, is_object = wire.structured, schema.get("type") == "object"
    # The API wants an object at the root; a server that keeps to choices in a way of its own takes a list as it is.
    if mode is StructuredMode.JSON_SCHEMA and not is_object and wire.choices in _OWN_WAYS:
        mode = _OWN_WAYS[wire.choices]
        if mode is StructuredMode.GRAMMAR and schema_grammar(schema) is None:
            mode = StructuredMode.JSON_SCHEMA
    if mode is StructuredMode.JSON_SCHEMA:
        rooted = schema if is_object else _wrapped(schema)
        strict = {"name": "answer", "schema": rooted, "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": strict}}, {}
    if mode is StructuredMode.STRUCTURED_OUTPUTS:
        return {}, {"structured_outputs": {"json": schema}}
    if mode is StructuredMode.GRAMMAR and (grammar := schema_grammar(schema)) is not None:
        return {}, {"grammar": grammar}
    # JSON mode writes objects only: it would forbid an answer that is a list.
    if mode is not StructuredMode.NONE and is_object:
        return {"response_format": {"type": "json_object"}}, {}
    return {}, {}


def _wrapped(schema: dict[str, Any]) -> dict[str, Any]:
    properties = {ANSWER: schema}
    return {"type": "object", "properties": properties, "required": [ANSWER], "additionalProperties": False}


def _messages(request: CompletionRequest, *, mark: bool) -> list[dict[str, Any]]:
    """Return the messages; with ``mark``, the ends of what other requests share carry the provider's cache marker.

    Two places: the end of what comes before the last message (instructions, worked examples), and the end of the
    shared part of the last user message. The texts themselves are the same with and without.
    """
    messages: list[dict[str, Any]] = [{"role": one.role, "content": one.content} for one in request.messages]
    if not mark:
        return messages
    asked = max((place for place, one in enumerate(request.messages) if one.role == "user"), default=0)
    if asked and (before := request.messages[asked - 1].content):
        messages[asked - 1]["content"] = [_block(before, mark=True)]
    question = request.messages[asked].content
    if shared := question[: request.shared_prefix]:
        own = question[len(shared) :]
        messages[asked]["content"] = [_block(shared, mark=True), *([_block(own, mark=False)] if own else [])]
    return messages


def _block(text: str, *, mark: bool) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "text", "text": text}
    return block | {"cache_control": dict(_MARK)} if mark else block
