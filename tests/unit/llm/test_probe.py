from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from harness.llm.facts import EndpointFacts, StatedFacts
from harness.llm.failures import AttemptError, Failure, FailureKind, kind_of_status
from harness.llm.probe import Questions, learn_facts, learn_seeds
from harness.llm.reply import parse_chat, parse_prompt_logprobs
from harness.llm.wire import ChoiceMode, StructuredMode, WireFormat, chat_params, prompt_params
from tests.support.odd_endpoint import OddEndpoint
from tests.support.openai_server import Answer, Received, chat_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.llm.backend import Reply
    from harness.llm.protocol import CompletionRequest, PromptLogprobsRequest

EVERYTHING = frozenset({"json_schema", "grammar", "logprobs", "echo", "seeds"})


async def at_once(_seconds: float) -> None:
    return None


@dataclass
class Direct:
    """The probe's questions put to a plan of the loopback server, without the server."""

    plan: Callable[[int, Received], Answer]
    sent: list[dict[str, Any]] = field(default_factory=list)

    def questions(self) -> Questions:
        return Questions(self.ask, self.echo, {"top_k": 1}, at_once)

    async def ask(self, request: CompletionRequest, wire: WireFormat, seed: int | None) -> Reply:
        return parse_chat(self.answer("/v1/chat/completions", chat_params(request, wire, seed)), short_answer=True)

    async def ask_plainly(self, request: CompletionRequest, seed: int | None) -> Reply:
        return await self.ask(request, WireFormat(), seed)

    async def echo(self, request: PromptLogprobsRequest, wire: WireFormat) -> Reply:
        return parse_prompt_logprobs(self.answer("/v1/completions", prompt_params(request, wire)))

    def answer(self, path: str, params: dict[str, Any]) -> Any:
        body = {**params, **params.pop("extra_body", {})}
        self.sent.append(body)
        answer = self.plan(len(self.sent) - 1, Received("POST", path, {}, body))
        if answer.status != 200:
            message = str(answer.body)
            raise AttemptError(Failure(kind_of_status(answer.status, message), message, answer.status))
        return answer.body


async def learnt(endpoint: OddEndpoint, stated: StatedFacts | None = None) -> EndpointFacts:
    return await learn_facts(Direct(endpoint).questions(), stated or StatedFacts())


LLAMA_CPP = frozenset({"json_schema", "json_object", "grammar", "logprobs"})
VLLM = frozenset({"json_schema", "json_object", "structured_outputs", "logprobs", "echo"})
OLD_VLLM = frozenset({"json_object", "guided_choice", "logprobs", "echo"})
SERVERS = {
    "llama.cpp": (LLAMA_CPP, EndpointFacts(StructuredMode.JSON_SCHEMA, ChoiceMode.GRAMMAR, logprobs=True)),
    "vllm": (
        VLLM,
        EndpointFacts(StructuredMode.JSON_SCHEMA, ChoiceMode.STRUCTURED_OUTPUTS, logprobs=True, prompt_logprobs=True),
    ),
    "old vllm": (
        OLD_VLLM,
        EndpointFacts(StructuredMode.JSON_OBJECT, ChoiceMode.GUIDED_CHOICE, logprobs=True, prompt_logprobs=True),
    ),
    "grammar only": (frozenset({"grammar"}), EndpointFacts(StructuredMode.GRAMMAR, ChoiceMode.GRAMMAR)),
    "structured outputs only": (
        frozenset({"structured_outputs"}),
        EndpointFacts(StructuredMode.STRUCTURED_OUTPUTS, ChoiceMode.STRUCTURED_OUTPUTS),
    ),
    "nothing": (frozenset[str](), EndpointFacts()),
}


@pytest.mark.parametrize("refuses", [None, 400, 422, 500])
@pytest.mark.parametrize("name", SERVERS)
async def test_what_is_obeyed_is_found_and_nothing_else(name: str, refuses: int | None) -> None:
    can, facts = SERVERS[name]
    endpoint = OddEndpoint(can, refuses)
    assert await learnt(endpoint) == facts
    # A server that breaks over a field is asked once more, and a plain question.
    assert len(endpoint.asked) <= (7 if refuses != 500 else 21)
    assert all(body["max_tokens"] <= 20 for body in endpoint.asked)
    assert all(body["top_k"] == 1 for body in endpoint.asked)


@pytest.mark.parametrize("echo", ["ignored", "constant", "shifted", "null"])
async def test_a_wrong_echo_is_no_echo(echo: str) -> None:
    assert not (await learnt(OddEndpoint(LLAMA_CPP, echo=echo))).prompt_logprobs


async def test_what_is_stated_is_not_asked() -> None:
    endpoint = OddEndpoint()
    stated = StatedFacts(StructuredMode.JSON_SCHEMA, ChoiceMode.GRAMMAR, logprobs=False, prompt_logprobs=True)
    assert await learnt(endpoint, stated) == stated.over(EndpointFacts())
    assert endpoint.asked == []
    none = StatedFacts(StructuredMode.NONE, ChoiceMode.NONE, prompt_logprobs=False)
    assert await learnt(endpoint, none) == EndpointFacts()
    assert len(endpoint.asked) == 1


@pytest.mark.parametrize(
    "kind", [FailureKind.UNREACHABLE, FailureKind.KEY, FailureKind.RATE_LIMIT, FailureKind.TIMEOUT, FailureKind.QUOTA]
)
async def test_an_endpoint_that_cannot_be_asked_is_an_error_and_not_a_no(kind: FailureKind) -> None:
    async def fail(*_: object) -> Reply:
        raise AttemptError(Failure(kind, "so"))

    with pytest.raises(AttemptError):
        await learn_facts(Questions(fail, fail, sleep=at_once), StatedFacts())


async def test_a_server_that_only_breaks_is_an_error() -> None:
    direct = Direct(lambda _number, _request: Answer(500, "broken"))
    with pytest.raises(AttemptError):
        await learn_facts(direct.questions(), StatedFacts())


async def test_one_transient_failure_changes_nothing() -> None:
    endpoint, number = OddEndpoint(LLAMA_CPP), iter(range(100))

    def plan(_number: int, request: Received) -> Answer:
        return endpoint(0, request) if next(number) % 2 else Answer(429, "busy")

    assert await learn_facts(Direct(plan).questions(), StatedFacts()) == SERVERS["llama.cpp"][1]


@pytest.mark.parametrize(("can", "seeds"), [(frozenset({"seeds"}), True), (frozenset[str](), False)])
async def test_seeds(can: frozenset[str], seeds: bool) -> None:
    direct = Direct(OddEndpoint(can))
    assert await learn_seeds(direct.ask_plainly) is seeds
    assert [body["seed"] for body in direct.sent] == [1, 1, 2]
    assert {body["temperature"] for body in direct.sent} == {1.0}


async def test_an_endpoint_that_always_says_the_same_shows_nothing_of_seeds() -> None:
    direct = Direct(lambda _number, _request: Answer(body=chat_body("always")))
    assert await learn_seeds(direct.ask_plainly) is None


async def test_a_refused_seed_is_a_no() -> None:
    direct = Direct(lambda _number, _request: Answer(400, "no seeds"))
    assert await learn_seeds(direct.ask_plainly) is False
