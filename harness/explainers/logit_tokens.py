"""The ``logit_tokens`` explainer: an explanation of what a feature says, from the tokens it promotes and nothing else.

For output features: those that are told by what they make likelier, not by what they fire on. The tokens are those of
the direct path (logit lens); the ones the feature suppresses are listed apart, if asked for. Scorers that show texts
cannot do such explanations justice; scorers that steer the subject can.
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
    from collections.abc import Sequence

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
_BOTH_INSTRUCTIONS = (
    "You name what one feature of a language model does to what the model says. You are shown two lists: the tokens "
    "that the feature makes likelier to come next, the most promoted first, and the tokens that it makes less likely, "
    "the most suppressed first. Name what most of the likelier tokens have in common, by meaning, form or use, as "
    "specifically as they allow. Where most of the less likely tokens have something in common too, say as well what "
    "the feature suppresses; where only they have, say that alone, as something suppressed. Do not list the tokens. "
    f"Answer with one line: {MARKER} and a phrase of at most 20 words."
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
        messages = logit_messages(record, self._config)
        completion = await llm.complete(request(messages, self._config, self._config.max_tokens, resources.seed))
        return draft_of(completion, messages, read_label)

    def estimate(
        self,
        n_examples: int,  # noqa: ARG002 -- the seam
        window_tokens: int,  # noqa: ARG002 -- the seam
        counter: TokenCounter = APPROXIMATE,
    ) -> ExplainerEstimate:
        """Return one call: the instructions counted as they are, tokens and answer by what is usual."""
        lists = 2 if self._config.suppressed_tokens else 1
        fixed = counter.chat((Message("system", _instructions(self._config)), Message("user", "")))
        output = min(_OUTPUT_TOKENS, self._config.max_tokens)
        return ExplainerEstimate(1, fixed + lists * _LIST_TOKENS, output, _EXPLANATION_TOKENS)


def logit_messages(record: ExplainRecord, config: LogitTokensConfig) -> tuple[Message, ...]:
    """Return the prompt for one feature: instructions, promoted tokens and, if asked for, suppressed ones."""
    lines = [f"Made likelier: {_listed(record.statistics.top_logit_tokens)}"]
    if config.suppressed_tokens:
        lines.append(f"Made less likely: {_listed(record.statistics.bottom_logit_tokens)}")
    return Message("system", _instructions(config)), Message("user", "\n".join(lines))


def _instructions(config: LogitTokensConfig) -> str:
    return _BOTH_INSTRUCTIONS if config.suppressed_tokens else _INSTRUCTIONS


def _listed(tokens: Sequence[str]) -> str:
    return ", ".join(f'"{for_prompt(token)}"' for token in tokens) or "(none)"
