"""From a request to the parameters of a call. Pure; the names are those of the OpenAI API, which litellm translates."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from harness.identity import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.llm.protocol import CompletionRequest, PromptLogprobsRequest

__all__ = ["ChoiceMode", "StructuredMode", "WireFormat", "chat_params", "choice_grammar", "prompt_params"]


class ChoiceMode(StrEnum):
    """How an endpoint is told that only certain answers are allowed."""

    NONE = "none"
    GRAMMAR = "grammar"
    GUIDED_CHOICE = "guided_choice"
    STRUCTURED_OUTPUTS = "structured_outputs"


class StructuredMode(StrEnum):
    """How an endpoint is told that an answer must follow a JSON Schema, strongest first."""

    JSON_SCHEMA = "json_schema"
    GRAMMAR = "grammar"
    JSON_OBJECT = "json_object"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class WireFormat:
    """What an endpoint understands beyond the common parameters.

    Attributes:
        choices: How fixed choices are enforced (llama.cpp: grammar; vLLM: structured_outputs, before 0.12
            guided_choice).
        structured: How an answer is made to follow a JSON Schema.
        extra_body: Further fields of every request body.
    """

    choices: ChoiceMode = ChoiceMode.NONE
    structured: StructuredMode = StructuredMode.JSON_SCHEMA
    extra_body: Mapping[str, Any] = field(default_factory=dict)


def chat_params(request: CompletionRequest, wire: WireFormat, seed: int | None) -> dict[str, Any]:
    """Return the keyword parameters of a chat completion. What equals the API's own default is left out."""
    params: dict[str, Any] = {
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
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
    constrained = _choice_fields(request.choices, wire.choices)
    # An endpoint takes one constraint; the list of allowed answers is the narrower one.
    if request.response_schema is not None and wire.structured is StructuredMode.JSON_SCHEMA and not constrained:
        schema = {"name": "answer", "schema": plain(dict(request.response_schema)), "strict": True}
        params["response_format"] = {"type": "json_schema", "json_schema": schema}
    if extra := {**plain(dict(wire.extra_body)), **constrained}:
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


def choice_grammar(choices: Sequence[str]) -> str:
    """Return the llama.cpp grammar (GBNF) whose only sentences are ``choices``."""
    return "root ::= " + " | ".join(f'"{"".join(map(_grammar_char, choice))}"' for choice in choices)


def _grammar_char(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    code = ord(char)
    if 0x20 <= code < 0x7F:  # noqa: PLR2004 -- printable ASCII
        return char
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"  # noqa: PLR2004 -- end of the basic plane
