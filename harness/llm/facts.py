"""What an endpoint can do: as configured, as found out by asking it, and the two put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.llm.protocol import Capabilities
from harness.llm.wire import ChoiceMode, StructuredMode

if TYPE_CHECKING:
    from harness.config.schema import LLMConfig

__all__ = ["AUTO", "EndpointFacts", "StatedFacts", "stated_facts"]

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """What an endpoint can do.

    Attributes:
        structured: The strongest way it makes an answer follow a JSON Schema.
        choices: How it is told that only certain answers are allowed.
        logprobs: Whether it reports log-probabilities of generated tokens.
        prompt_logprobs: Whether it reports log-probabilities of prompt tokens.
        seeds: Whether the same seed gives the same sampled answer; None where that was not found out.
        context_tokens: Prompt and answer together, None where unknown.
    """

    structured: StructuredMode = StructuredMode.NONE
    choices: ChoiceMode = ChoiceMode.NONE
    logprobs: bool = False
    prompt_logprobs: bool = False
    seeds: bool | None = None
    context_tokens: int | None = None

    @property
    def wire_fields(self) -> dict[str, str]:
        """Return plain data of what changes how a question is put, and with that its answer: part of cache keys."""
        return {"choices": self.choices.value, "structured": self.structured.value}

    @property
    def modes(self) -> dict[str, Any]:
        """Return plain data of how questions are put and what comes with answers: part of a model's identity."""
        return {**self.wire_fields, "logprobs": self.logprobs}

    @property
    def capabilities(self) -> Capabilities:
        """Return what scorers and explainers are told of it."""
        return Capabilities(
            json_schema=self.structured not in {StructuredMode.JSON_OBJECT, StructuredMode.NONE},
            choices=self.choices is not ChoiceMode.NONE,
            logprobs=self.logprobs,
            prompt_logprobs=self.prompt_logprobs,
            seeds=self.seeds,
            context_tokens=self.context_tokens,
        )


@dataclass(frozen=True, slots=True)
class StatedFacts:
    """What the configuration says of an endpoint; None is for the endpoint to be asked."""

    structured: StructuredMode | None = None
    choices: ChoiceMode | None = None
    logprobs: bool | None = None
    prompt_logprobs: bool | None = None

    @property
    def complete(self) -> bool:
        """Return whether nothing is left to be asked."""
        return None not in {self.structured, self.choices, self.logprobs, self.prompt_logprobs}

    def over(self, found: EndpointFacts) -> EndpointFacts:
        """Return ``found`` with everything stated in its place."""
        return EndpointFacts(
            structured=found.structured if self.structured is None else self.structured,
            choices=found.choices if self.choices is None else self.choices,
            logprobs=found.logprobs if self.logprobs is None else self.logprobs,
            prompt_logprobs=found.prompt_logprobs if self.prompt_logprobs is None else self.prompt_logprobs,
            seeds=found.seeds,
            context_tokens=found.context_tokens,
        )


def stated_facts(config: LLMConfig) -> StatedFacts:
    """Return what ``config``, already validated, states."""
    return StatedFacts(
        structured=None if config.structured == AUTO else StructuredMode(config.structured),
        choices=None if config.choices == AUTO else ChoiceMode(config.choices),
        logprobs=config.logprobs,
        prompt_logprobs=config.prompt_logprobs,
    )
