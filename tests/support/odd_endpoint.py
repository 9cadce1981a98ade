"""What an OpenAI-compatible server that can do certain things, and ignores or refuses the rest, would answer."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.gbnf import grammar_regex
from tests.support.openai_server import Answer, chat_body

if TYPE_CHECKING:
    from tests.support.openai_server import Received

__all__ = ["OddEndpoint"]

_FIELDS = ("logprobs", "response_format", "grammar", "structured_outputs", "guided_choice")


@dataclass
class OddEndpoint:
    """A plan for ``OpenAIServer``.

    Attributes:
        can: What it obeys: ``json_schema``, ``json_object``, ``grammar``, ``structured_outputs``, ``guided_choice``,
            ``logprobs``, ``echo``, ``seeds``.
        refuses: Status of the answer to a field it does not know; None to ignore the field.
        echo: How it echoes prompts if it does not do it right: ``ignored``, ``constant``, ``shifted`` or ``null``.
        asked: The bodies it was sent.
    """

    can: frozenset[str] = frozenset()
    refuses: int | None = None
    echo: str = "ignored"
    asked: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, _number: int, request: Received) -> Answer:
        """Return the answer to ``request``."""
        body = request.body
        self.asked.append(body)
        if not request.path.endswith("/chat/completions"):
            return self._echoed(body)
        known = self.can | ({"response_format"} if self.can & {"json_schema", "json_object"} else set())
        unknown = [name for name in _FIELDS if name in body and name not in known]
        if unknown and self.refuses is not None:
            return Answer(self.refuses, {"error": {"message": f"unknown field {unknown[0]}"}})
        text = self._text(body)
        usage = {"prompt_tokens": len(str(body["messages"])) // 4, "completion_tokens": max(1, len(text) // 4)}
        changes: dict[str, Any] = {"usage": usage}
        if body.get("logprobs") and "logprobs" in self.can:
            top = [{"token": "Paris", "logprob": -0.1}, {"token": "No", "logprob": -2.5}]
            changes["logprobs"] = {"content": [{"token": "Paris", "logprob": -0.1, "top_logprobs": top}]}
        return Answer(body=chat_body(text, **changes))

    def _text(self, body: dict[str, Any]) -> str:
        form = body.get("response_format") or {}
        outputs = body.get("structured_outputs") or {}
        if form.get("type") == "json_schema" and "json_schema" in self.can:
            return _instance(form["json_schema"]["schema"])
        if form.get("type") == "json_object" and "json_object" in self.can:
            return '{"greeting": "hello"}'
        if "grammar" in body and "grammar" in self.can:
            return _sentence(body["grammar"])
        if outputs and "structured_outputs" in self.can:
            return str(outputs["choice"][0]) if "choice" in outputs else _instance(outputs["json"])
        if "guided_choice" in body and "guided_choice" in self.can:
            return str(body["guided_choice"][0])
        return f"Paris {body.get('seed')}" if "seeds" in self.can else f"Paris {len(self.asked)}"

    def _echoed(self, body: dict[str, Any]) -> Answer:
        tokens = re.findall(r"\S+ ?", body["prompt"])
        if "echo" not in self.can and self.refuses is not None:
            return Answer(self.refuses, {"error": {"message": "no echo"}})
        values: list[float | None] = [None, *(-8 / math.sqrt(place) for place in range(1, len(tokens)))]
        wrong: dict[str, list[float | None]] = {
            "constant": [-1.0] * len(tokens),
            "shifted": [-float(place) for place in range(len(tokens))],
            "null": [None] * len(tokens),
        }
        if "echo" not in self.can:
            tokens = tokens if self.echo in wrong else ["Paris"]
            values = wrong.get(self.echo, [-0.5])
        logprobs = {"tokens": tokens, "token_logprobs": values, "top_logprobs": None, "text_offset": []}
        choice = {"index": 0, "text": "".join(tokens), "finish_reason": "length", "logprobs": logprobs}
        usage = {"prompt_tokens": len(tokens), "completion_tokens": 0, "total_tokens": len(tokens)}
        body = {"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]}
        return Answer(body={**body, "usage": usage})


def _instance(schema: dict[str, Any]) -> str:
    return json.dumps(_value(schema))


def _value(schema: dict[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    if schema["type"] == "array":
        return [_value(schema["items"])] * schema["minItems"]
    return {name: _value(value) for name, value in schema["properties"].items()}


def _sentence(grammar: str) -> str:
    """Return a sentence of a grammar of literals: its first alternatives, without what is optional."""
    text = re.sub(r'"([^"\\]|\\.)*"', lambda found: found.group().replace("|", "\0"), grammar.removeprefix("root ::= "))
    literals = re.findall(r'"((?:[^"\\]|\\.)*)"(\?)?', re.sub(r'( \| "(?:[^"\\]|\\.)*")+', "", text))
    sentence = "".join("" if optional else literal for literal, optional in literals)
    sentence = sentence.replace("\0", "|").replace('\\"', '"')
    assert re.fullmatch(grammar_regex(grammar), sentence)
    return sentence
