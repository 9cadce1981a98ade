"""The ``logit_tokens`` explainer: an explanation of what a feature says, from the tokens it promotes and nothing else.

For output features: those that are told by what they make likelier, not by what they fire on. The tokens are those of
the direct path (logit lens). Scorers that show texts cannot do such explanations justice; scorers that steer the
subject can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.explainers.asking import draft_of, llm_of, request
from harness.explainers.max_activation_logits import read_label
from harness.explainers.parse import MARKER
from harness.explainers.protocol import Draft, ExplainerEstimate
from harness.llm.counting import APPROXIMATE
from harness.llm.protocol import Message
from harness.outcome import Outcome
from harness.text import for_prompt

if TYPE_CHECKING:
    from harness.examples.record import ExplainRecord
    from harness.explainers.config import LogitTokensConfig
    from harness.explainers.protocol import ExplainerResources
    from harness.llm.counting import TokenCounter

__all__ = ["LogitTokens", "logit_messages"]

_INSTRUCTIONS = (
    "You name what one feature of a language model makes the model say. You are shown the tokens that the feature "
    "makes likelier to come next, the most promoted first. Name what most of them have in common, by meaning, form "
    f"or use, as specifically as they allow. Do not list the tokens. Answer with one line: {MARKER} and a phrase of "
    "at most 20 words."
)
_LIST_TOKENS = 50
_OUTPUT_TOKENS = 14
_EXPLANATION_TOKENS = 8


class LogitTokens:
    """Asks a language model; one call per feature."""

    def __init__(self, config: LogitTokensConfig) -> None:
        self._config = config

    async def explain(self, record: ExplainRecord, resources: ExplainerResources) -> Draft:
        """Return the model's explanation, or the outcome that says why there is none.

        Raises:
            LLMError: If there is no language model, or its endpoint cannot be used at all.
        """
        llm = llm_of(resources, "logit_tokens")
        if not record.statistics.top_logit_tokens:
            error = f"nothing is known of the tokens that feature {record.feature} promotes"
            return Draft(None, Outcome.ERROR, error=error)
        messages = logit_messages(record)
        completion = await llm.complete(request(messages, self._config, self._config.max_tokens, resources.seed))
        return draft_of(completion, messages, read_label)

    def estimate(
        self,
        n_examples: int,  # noqa: ARG002 -- the seam
        window_tokens: int,  # noqa: ARG002 -- the seam
        counter: TokenCounter = APPROXIMATE,
    ) -> ExplainerEstimate:
        """Return one call: the instructions counted as they are, tokens and answer by what is usual."""
        fixed = counter.chat((Message("system", _INSTRUCTIONS), Message("user", "")))
        output = min(_OUTPUT_TOKENS, self._config.max_tokens)
        return ExplainerEstimate(1, fixed + _LIST_TOKENS, output, _EXPLANATION_TOKENS)


def logit_messages(record: ExplainRecord) -> tuple[Message, ...]:
    """Return the prompt for one feature: the instructions and its promoted tokens."""
    promoted = ", ".join(f'"{for_prompt(token)}"' for token in record.statistics.top_logit_tokens)
    return Message("system", _INSTRUCTIONS), Message("user", f"Made likelier: {promoted}")
