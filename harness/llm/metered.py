"""A language model that notes what its answers took, for one piece of work that may fail before it can say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.outcome import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.llm.protocol import (
        LLM,
        Capabilities,
        Completion,
        CompletionRequest,
        PromptLogprobs,
        PromptLogprobsRequest,
        Spending,
    )

__all__ = ["MeteredLLM", "usage_of"]


class MeteredLLM:
    """Asks ``model`` and adds up the usage of the answers that went through here.

    Args:
        model: The model, which others use as well.
    """

    def __init__(self, model: LLM) -> None:
        self._model = model
        self._usage = Usage()

    @property
    def usage(self) -> Usage:
        """Return the usage of all answers so far, whether from the endpoint or the cache."""
        return self._usage

    @property
    def role(self) -> str:
        """Return the model's."""
        return self._model.role

    @property
    def identity(self) -> Mapping[str, Any]:
        """Return the model's."""
        return self._model.identity

    @property
    def capabilities(self) -> Capabilities:
        """Return the model's."""
        return self._model.capabilities

    @property
    def modes(self) -> Mapping[str, Any]:
        """Return the model's."""
        return self._model.modes

    @property
    def spending(self) -> Spending:
        """Return the model's: of all who use it."""
        return self._model.spending

    @property
    def price_facts(self) -> Mapping[str, Any]:
        """Return the model's."""
        return self._model.price_facts

    async def complete(self, request: CompletionRequest) -> Completion:
        """Return the model's answer.

        Raises:
            LLMError: As the model.
        """
        answer = await self._model.complete(request)
        self._usage += answer.usage
        return answer

    async def prompt_logprobs(self, request: PromptLogprobsRequest) -> PromptLogprobs:
        """Return the model's answer.

        Raises:
            LLMError: As the model.
        """
        answer = await self._model.prompt_logprobs(request)
        self._usage += answer.usage
        return answer

    async def start(self) -> None:
        """Start the model.

        Raises:
            LLMError: As the model.
        """
        await self._model.start()

    async def close(self) -> None:
        """Close nothing: the model is others' as well."""


def usage_of(meter: MeteredLLM | None) -> Usage:
    """Return what the answers so far took: nothing where no model was asked."""
    return Usage() if meter is None else meter.usage
