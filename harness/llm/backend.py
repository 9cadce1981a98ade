"""The seam between the client and whatever answers: one attempt at one question, no retries, no cache, no money."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from harness.outcome import Outcome

if TYPE_CHECKING:
    from harness.llm.facts import EndpointFacts, StatedFacts
    from harness.llm.price import Price
    from harness.llm.protocol import CompletionRequest, PromptLogprobsRequest, TokenAlternatives

__all__ = ["Backend", "Reply"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What an endpoint answered, before it is priced.

    Attributes:
        outcome: OK, REFUSED, TRUNCATED or ERROR.
        text: The answer's text; None for prompt log-probabilities and where there is none.
        logprobs: Tokens of the answer, or of the prompt where those were asked for.
        finish_reason: As the endpoint gave it.
        error: Why there is no answer.
        answered: Whether the endpoint answered at all; False after attempts that all failed.
        input_tokens: Prompt tokens, None if the endpoint did not say.
        output_tokens: Generated tokens, None if the endpoint did not say.
        cached_input_tokens: Prompt tokens the endpoint had in its own prefix cache.
    """

    outcome: Outcome
    text: str | None = None
    logprobs: tuple[TokenAlternatives, ...] | None = None
    finish_reason: str | None = None
    error: str | None = None
    answered: bool = True
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int = 0

    @property
    def cacheable(self) -> bool:
        """Return whether asking again would be a waste: only a real answer is kept."""
        return self.outcome is Outcome.OK


class Backend(Protocol):
    """Asks an endpoint. Every method but ``close`` may raise AttemptError."""

    @property
    def price(self) -> Price:
        """Return what tokens cost there; final after ``start``."""

    @property
    def marks_prefixes(self) -> bool:
        """Return whether prompts go to a cache that holds a prefix only once it was answered; final after ``adopt``."""

    @property
    def enters_late(self) -> bool:
        """Return whether it goes through the current door (``harness.llm.door``) itself, when a request is sent."""

    async def start(self) -> None:
        """Get ready to be asked, without asking."""

    async def check(self) -> None:
        """Ask whatever shows that the endpoint, the key and the model are right."""

    async def learn(self, stated: StatedFacts) -> EndpointFacts:
        """Return what the endpoint can do, asking it for what is not stated; what is stated is never doubted."""

    def adopt(self, facts: EndpointFacts) -> None:
        """Ask from now on in the way ``facts`` allow."""

    async def complete(self, request: CompletionRequest, seed: int | None) -> Reply:
        """Return the answer to ``request``, sampled with ``seed`` where the endpoint takes one."""

    async def prompt_logprobs(self, request: PromptLogprobsRequest) -> Reply:
        """Return the log-probabilities of the prompt's tokens as ``Reply.logprobs``."""

    async def close(self) -> None:
        """Release everything; idempotent."""
