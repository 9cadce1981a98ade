"""The oracle judge as a language model in the role of judge: nothing is fetched, asked, cached or paid."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

from harness.errors import ConfigError, LLMError, closest
from harness.llm.facts import EndpointFacts
from harness.llm.oracle.answers import ANSWERS, Oracle
from harness.llm.price import FREE
from harness.llm.protocol import Completion, PromptLogprobs, Spending, TokenAlternatives
from harness.llm.readings import read_off
from harness.llm.task import TaskKind
from harness.llm.wire import ChoiceMode, StructuredMode
from harness.outcome import Outcome, Usage
from harness.planted.catalogue import rules_digest
from harness.planted.texts import TEXTS_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.config.schema import LLMConfig
    from harness.llm.diagnosis import Place
    from harness.llm.facts import StatedFacts
    from harness.llm.oracle.answers import Answer
    from harness.llm.protocol import Capabilities, CompletionRequest, PromptLogprobsRequest
    from harness.llm.task import Task

__all__ = ["ORACLE_FACTS", "OracleJudge", "check_oracle", "oracle_identity"]

ORACLE_FACTS = EndpointFacts(
    StructuredMode.JSON_SCHEMA, ChoiceMode.GRAMMAR, logprobs=True, prompt_logprobs=True, seeds=True
)

_READ_OFF = frozenset({TaskKind.LIKELIHOOD, TaskKind.SIMULATE, TaskKind.DESCRIBES})
_ERROR_RATE = "error_rate"
_CHARACTERS_PER_TOKEN = 4
_OTHER_RATINGS = 0.1  # probability of each choice that is not the answer, where there are more than two


def check_oracle(config: LLMConfig, place: Place) -> None:
    """Check what the configuration of an oracle holds.

    Raises:
        ConfigError: If it is to explain, its error rate is no share, or something is set that it does not take.
    """
    if place.role != "judge":
        what = "an oracle judges planted explanations and writes none"
        raise ConfigError(what, where=place.key("backend"), hint="explainer=planted writes the true ones")
    for name in config.engine:
        if name != _ERROR_RATE:
            near = f"did you mean {_ERROR_RATE}?" if closest(name, [_ERROR_RATE]) else None
            hint = near or f"an oracle takes {_ERROR_RATE} only"
            raise ConfigError(f"unknown argument '{name}'", where=place.key("engine"), hint=hint)
    rate = config.engine.get(_ERROR_RATE, 0.0)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
        raise ConfigError(f"is {rate!r}, and a share is from 0 to 1", where=place.key(f"engine.{_ERROR_RATE}"))
    for name in ("api_base", "api_key_env", "path", "extra_body"):
        if getattr(config, name):
            raise ConfigError("an oracle is no endpoint and loads nothing", where=place.key(name), hint="leave it out")


def oracle_identity(config: LLMConfig) -> dict[str, Any]:
    """Return what determines an oracle's answers beside its seed.

    The rules it knows, how often it errs, the version of how it answers and that of the texts it quotes; a version is
    named from the second on, as the first was in use before any was.
    """
    versions = {"answers": ANSWERS, "texts": TEXTS_VERSION}
    later = {name: version for name, version in versions.items() if version > 1}
    return {"rules": rules_digest(), _ERROR_RATE: _rate(config), **later}


class OracleJudge:
    """Answers the task that a request states, whatever its prompt says; see ``harness.llm.protocol.LLM``.

    Args:
        config: Its error rate and seed.
        identity: What names it in records.
        stated: What the configuration says it can do; what it cannot do unless told otherwise, it can.
        place: Where it stands in the configuration.
    """

    def __init__(self, config: LLMConfig, identity: Mapping[str, Any], stated: StatedFacts, place: Place) -> None:
        self._oracle = Oracle(_rate(config), config.seed or 0)
        self._identity = identity
        self._facts = stated.over(ORACLE_FACTS)
        self._place = place
        self._billed = Usage()

    @property
    def role(self) -> str:
        """Return ``judge``."""
        return self._place.role

    @property
    def identity(self) -> Mapping[str, Any]:
        """Return plain data naming the rules it knows, its error rate and its seed."""
        return self._identity

    @property
    def capabilities(self) -> Capabilities:
        """Return what it can do."""
        return self._facts.capabilities

    @property
    def modes(self) -> Mapping[str, Any]:
        """Return how it is asked."""
        return self._facts.modes

    @property
    def spending(self) -> Spending:
        """Return how much was asked; nothing is paid."""
        return Spending(billed=self._billed)

    @property
    def price_facts(self) -> Mapping[str, Any]:
        """Return that it is free."""
        return FREE.facts()

    async def start(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""

    async def complete(self, request: CompletionRequest) -> Completion:
        """Return the answer to the task of ``request``.

        Raises:
            LLMError: If it has none.
        """
        task = self._task(request.task)
        await asyncio.sleep(0)  # lets what waits beside it go on
        answers = self._oracle.answers(task, request.repeat + (request.seed or 0))
        text, logprobs = _chosen(request.choices, answers) if request.choices else _replied(task, answers)
        usage = self._bill(sum(len(message.content) for message in request.messages), text)
        return Completion(text, Outcome.OK, usage, logprobs=logprobs if request.top_logprobs else None)

    async def prompt_logprobs(self, request: PromptLogprobsRequest) -> PromptLogprobs:
        """Return what is read off a prompt: see ``harness.llm.task``.

        Where the task does not say where its answers stand, they are of the last tokens, and what stands before those
        is one token without any.

        Raises:
            LLMError: If there is no task, one that asks for something else, or one whose answers have no place.
        """
        task = self._task(request.task)
        if task.kind not in _READ_OFF:
            raise LLMError(f"a task '{task.kind}' is not answered by a prompt's log-probabilities")
        tokens = [token for text in task.tokens for token in text]
        if not task.spans and not (task.tokens and request.prompt.endswith("".join(tokens))):
            raise LLMError(
                f"a task '{task.kind}' does not say where in the prompt its answers stand (Task.spans), and the prompt"
                " does not end with its tokens",
                where=self._place.key("backend"),
                hint="the scorer must say it, or use a language model as its judge",
            )
        await asyncio.sleep(0)
        answers = self._oracle.answers(task)
        bill = self._bill(len(request.prompt), "")
        if task.spans:
            return PromptLogprobs(read_off(request, [answer.value for answer in answers]), Outcome.OK, bill)
        values = [value for answer in answers for value in answer.value]
        lead = request.prompt[: max(0, len(request.prompt) - sum(map(len, tokens)))]
        found = [TokenAlternatives(lead, None)] if lead else []
        found += [TokenAlternatives(token, value) for token, value in zip(tokens, values, strict=True)]
        return PromptLogprobs(tuple(found), Outcome.OK, bill)

    def _task(self, task: Task | None) -> Task:
        if task is not None:
            return task
        raise LLMError(
            "the oracle reads no prompts, and a scorer asked it without saying what (Task)",
            where=self._place.key("backend"),
            hint="use a language model as the judge of this scorer",
        )

    def _bill(self, characters: int, text: str) -> Usage:
        usage = Usage(1, characters // _CHARACTERS_PER_TOKEN, math.ceil(len(text) / _CHARACTERS_PER_TOKEN), 0.0)
        self._billed += usage
        return usage


def _rate(config: LLMConfig) -> float:
    return float(config.engine.get(_ERROR_RATE, 0.0))


def _replied(task: Task, answers: Sequence[Answer]) -> tuple[str, tuple[TokenAlternatives, ...]]:
    if task.reply is None:
        raise LLMError(f"a task '{task.kind}' states neither choices nor how to reply")
    text = task.reply([answer.value for answer in answers])
    return text, (TokenAlternatives(text, 0.0, {text: 0.0}),)


def _chosen(choices: Sequence[str], answers: Sequence[Answer]) -> tuple[str, tuple[TokenAlternatives, ...]]:
    """Return the choice that is the answer, and the probabilities of all: yes comes first, or they are numbered."""
    answer = answers[0]
    if answer.p_yes is not None:
        shares = [answer.p_yes, 1 - answer.p_yes]
    else:
        shares = [_OTHER_RATINGS] * len(choices)
        shares[int(answer.value)] = 1 - _OTHER_RATINGS * (len(choices) - 1)
    graded = {choice: math.log(share) for choice, share in zip(choices, shares, strict=True)}
    text = max(graded, key=lambda choice: graded[choice])
    return text, (TokenAlternatives(text, graded[text], graded),)
