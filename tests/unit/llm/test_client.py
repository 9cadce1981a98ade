from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import BudgetError, LLMError
from harness.llm.backend import Reply
from harness.llm.budget import Budget
from harness.llm.cache import AnswerCache
from harness.llm.client import Client, ClientSettings
from harness.llm.diagnosis import Place
from harness.llm.facts import EndpointFacts, StatedFacts
from harness.llm.failures import AttemptError, Failure, FailureKind
from harness.llm.gate import GateSettings
from harness.llm.price import UNKNOWN, Price
from harness.llm.protocol import CompletionRequest, Message, PromptLogprobsRequest
from harness.llm.retry import RetryPolicy
from harness.llm.traffic import Traffic
from harness.outcome import Outcome

if TYPE_CHECKING:
    from pathlib import Path

YES = Reply(Outcome.OK, text="Yes", input_tokens=10, output_tokens=1)


class Scripted:
    """A backend whose answers are set: replies, failures, and how long they take."""

    price: Price = Price(1e-6, 1e-6)
    marks_prefixes = False
    enters_late = False

    def __init__(self, *script: Reply | Failure, delay_s: float = 0.0, check: Failure | None = None) -> None:
        self.script = list(script)
        self.delay_s = delay_s
        self.checking = check
        self.seeds: list[int | None] = []
        self.starts = self.checks = self.closes = self.now = self.most = 0

    async def start(self) -> None:
        self.starts += 1

    async def check(self) -> None:
        self.checks += 1
        if self.checking is not None:
            raise AttemptError(self.checking)

    async def learn(self, stated: StatedFacts) -> EndpointFacts:
        return stated.over(EndpointFacts())

    def adopt(self, facts: EndpointFacts) -> None:
        self.adopted = facts

    async def complete(self, _request: CompletionRequest, seed: int | None) -> Reply:
        self.seeds.append(seed)
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(self.delay_s)
        self.now -= 1
        answer = self.script.pop(0) if self.script else YES
        if isinstance(answer, Failure):
            raise AttemptError(answer)
        return answer

    async def prompt_logprobs(self, _request: PromptLogprobsRequest) -> Reply:
        return Reply(Outcome.OK, logprobs=(), input_tokens=3, output_tokens=1)

    async def close(self) -> None:
        self.closes += 1


async def no_wait(_seconds: float) -> None:
    return None


def client(backend: Scripted, folder: Path, **changes: Any) -> Client:
    fields: dict[str, Any] = {
        "place": Place("judge", "openai/m", "http://a/v1", None),
        "identity": {"model": "m"},
        "key_fields": {"model": "m"},
        "stated": StatedFacts(logprobs=True, prompt_logprobs=True),
        "gate": GateSettings(ceiling=4),
        "policy": RetryPolicy(max_retries=2),
        "sleep": no_wait,
    }
    traffic = changes.pop("traffic", None)
    return Client(ClientSettings(**{**fields, **changes}), backend, AnswerCache(folder / "a.sqlite"), traffic)


def ask(text: str = "q", **changes: Any) -> CompletionRequest:
    return CompletionRequest(**{"messages": (Message("user", text),), "max_tokens": 3, **changes})


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.TRUNCATED, Outcome.ERROR])
async def test_what_is_no_answer_is_asked_again(outcome: Outcome, tmp_path: Path) -> None:
    backend = Scripted(Reply(outcome, error="x"), YES)
    llm = client(backend, tmp_path)
    first, second, third = [await llm.complete(ask()) for _ in range(3)]
    assert [first.outcome, second.outcome, third.outcome] == [outcome, Outcome.OK, Outcome.OK]
    assert [first.cached, second.cached, third.cached] == [False, False, True]
    await llm.close()


async def test_failures_are_retried_counted_and_end_as_an_outcome(tmp_path: Path) -> None:
    busy = Failure(FailureKind.OVERLOADED, "busy", 503)
    llm = client(Scripted(busy, YES, busy, busy, busy), tmp_path)
    assert (await llm.complete(ask("a"))).outcome is Outcome.OK
    failed = await llm.complete(ask("b"))
    assert (failed.outcome, failed.error) == (Outcome.ERROR, "overloaded (HTTP 503): busy")
    assert failed.usage.calls == 0
    assert llm.spending.failed_attempts == 4
    assert llm.spending.billed.calls == 1
    await llm.close()


async def test_a_policy_error_is_a_refusal(tmp_path: Path) -> None:
    llm = client(Scripted(Failure(FailureKind.REFUSED, "policy", 400)), tmp_path)
    assert (await llm.complete(ask())).outcome is Outcome.REFUSED
    await llm.close()


@pytest.mark.parametrize("kind", [FailureKind.KEY, FailureKind.MODEL, FailureKind.QUOTA, FailureKind.UNREACHABLE])
async def test_what_nothing_can_mend_is_raised_to_every_caller(kind: FailureKind, tmp_path: Path) -> None:
    backend = Scripted(*[Failure(kind, "no")] * 9, delay_s=0.01)
    llm = client(backend, tmp_path)
    results = await asyncio.gather(*(llm.complete(ask()) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [LLMError] * 3
    await llm.close()


async def test_concurrency_is_bounded_and_used(tmp_path: Path) -> None:
    backend = Scripted(delay_s=0.02)
    llm = client(backend, tmp_path)
    await asyncio.gather(*(llm.complete(ask(str(number))) for number in range(12)))
    assert backend.most == 4
    await llm.close()


async def test_repeats_are_distinct_and_have_their_own_seed(tmp_path: Path) -> None:
    backend = Scripted()
    llm = client(backend, tmp_path, seed=5)
    for repeat in (0, 1, 0):
        await llm.complete(ask(repeat=repeat))
    assert backend.seeds == [5, 6]
    await llm.close()


async def test_start_checks_once_and_close_is_idempotent(tmp_path: Path) -> None:
    backend = Scripted()
    llm = client(backend, tmp_path)
    await asyncio.gather(llm.start(), llm.start(), llm.complete(ask()))
    assert backend.starts == 1
    await llm.close()
    await llm.close()


async def test_a_failed_check_is_explained(tmp_path: Path) -> None:
    llm = client(Scripted(check=Failure(FailureKind.KEY, "nope", 401)), tmp_path)
    with pytest.raises(LLMError) as caught:
        await llm.start()
    assert caught.value.where == "judge.api_key_env"
    await llm.close()


async def test_a_caller_that_leaves_alone_stops_the_work(tmp_path: Path) -> None:
    backend = Scripted(delay_s=30)
    llm = client(backend, tmp_path)
    task = asyncio.create_task(llm.complete(ask()))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    backend.delay_s = 0.0
    assert (await llm.complete(ask())).outcome is Outcome.OK
    await llm.close()


async def test_usage_is_the_same_from_endpoint_and_cache(tmp_path: Path) -> None:
    llm = client(Scripted(), tmp_path)
    first, second = await llm.complete(ask()), await llm.complete(ask())
    assert first.usage == second.usage
    assert first.usage.usd == pytest.approx(11e-6)
    prompts = [await llm.prompt_logprobs(PromptLogprobsRequest("p")) for _ in range(2)]
    assert [each.cached for each in prompts] == [False, True]
    assert prompts[0].usage == prompts[1].usage
    await llm.close()


async def test_a_read_only_cache_is_a_user_error_not_a_lost_answer(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite").mkdir()
    llm = client(Scripted(), tmp_path)
    with pytest.raises(LLMError, match="cache"):
        await llm.complete(ask())
    await llm.close()


async def test_a_text_that_a_moderator_forbids_is_refused_and_ends_nothing(tmp_path: Path) -> None:
    flagged = Failure(FailureKind.KEY, "requires moderation and your input was flagged", 403)
    llm = client(Scripted(YES, flagged, YES), tmp_path)
    answers = [await llm.complete(ask(text)) for text in "abc"]
    assert [answer.outcome for answer in answers] == [Outcome.OK, Outcome.REFUSED, Outcome.OK]
    await llm.close()
    fresh = client(Scripted(flagged), tmp_path)
    with pytest.raises(LLMError):
        await fresh.complete(ask("d"))
    await fresh.close()


async def test_a_budget_in_dollars_needs_a_price_before_anything_is_asked(tmp_path: Path) -> None:
    backend = Scripted()
    backend.price = UNKNOWN
    llm = client(backend, tmp_path, traffic=Traffic(Budget(usd=1.0)))
    with pytest.raises(BudgetError, match="price"):
        await llm.start()
    assert backend.checks == 0
    await llm.close()
