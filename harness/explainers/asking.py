"""What every explainer with a language model shares: the request, its digest, and from the answer to a draft."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import LLMError
from harness.explainers.protocol import Draft
from harness.identity import canonical_json, text_sha256
from harness.llm.protocol import CompletionRequest
from harness.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.examples.record import ExplainRecord
    from harness.explainers.config import AskingConfig
    from harness.explainers.parse import ParsedReply
    from harness.explainers.protocol import ExplainerResources
    from harness.llm.protocol import LLM, Completion, Message

__all__ = ["digest", "draft_of", "llm_of", "nothing_active", "nothing_silent", "request"]

_SEEDS = 2**31


def llm_of(resources: ExplainerResources, explainer: str) -> LLM:
    """Return the explainer's language model.

    Raises:
        LLMError: If there is none.
    """
    if resources.llm is None:
        message = f"the {explainer} explainer needs a language model"
        raise LLMError(message, where="explainer.llm", hint="llm@explainer.llm=local")
    return resources.llm


def nothing_active(record: ExplainRecord) -> Draft | None:
    """Return why ``record`` cannot be explained if no window of it is active."""
    if any(example.max_activation > 0 for example in record.examples.activating):
        return None
    return Draft(None, Outcome.ERROR, error=f"feature {record.feature} has no activating example to explain")


def nothing_silent(record: ExplainRecord) -> Draft | None:
    """Return why ``record`` cannot be explained by comparison if it has no silent window."""
    if record.examples.non_activating:
        return None
    error = f"feature {record.feature} has no silent example to compare with; see examples.explain_non_activating"
    return Draft(None, Outcome.ERROR, error=error)


def request(messages: tuple[Message, ...], config: AskingConfig, max_tokens: int, seed: int) -> CompletionRequest:
    """Return the question. A greedy one has no seed: the answer cache then serves it to any run."""
    return CompletionRequest(
        messages=messages,
        max_tokens=max_tokens,
        temperature=config.temperature,
        seed=seed % _SEEDS if config.temperature > 0 else None,
        repeat=config.repeat,
    )


def draft_of(completion: Completion, messages: tuple[Message, ...], read: Callable[[str, bool], ParsedReply]) -> Draft:
    """Return the explanation in an answer, or the outcome that says why there is none.

    Args:
        completion: The answer.
        messages: What was asked.
        read: From the reply, and whether it was cut off, to the explanation.
    """
    reply, usage, prompt = completion.text, completion.usage, digest(messages)
    if completion.outcome not in {Outcome.OK, Outcome.TRUNCATED} or reply is None:
        # An endpoint that says OK and gives no text has not answered.
        outcome = Outcome.ERROR if completion.outcome is Outcome.OK else completion.outcome
        error = completion.error or f"the language model gave no text ({completion.outcome.value})"
        return Draft(None, outcome, usage, reply, prompt, error=error)
    parsed = read(reply, completion.outcome is Outcome.TRUNCATED)
    return Draft(parsed.text, parsed.outcome, usage, reply, prompt, error=parsed.error)


def digest(messages: tuple[Message, ...]) -> str:
    """Return the digest of a prompt."""
    return text_sha256(canonical_json(messages))
