"""The ``default`` explainer: shows a language model windows with the active tokens marked and asks what they share.

The method is that of Bills et al. 2023 in the form of Paulo et al. 2024 ("Automatically Interpreting Millions of
Features in Large Language Models", section 3.1), with its options: activation values, chain of thought, logit weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.explainers.asking import draft_of, llm_of, nothing_active, request
from harness.explainers.parse import parse_reply
from harness.explainers.prompt import build_messages, shared_prefix
from harness.explainers.protocol import ExplainerEstimate
from harness.llm.counting import APPROXIMATE
from harness.llm.protocol import Message

if TYPE_CHECKING:
    from harness.examples.record import ExplainRecord
    from harness.explainers.config import DefaultConfig
    from harness.explainers.parse import ParsedReply
    from harness.explainers.protocol import Draft, ExplainerResources
    from harness.llm.counting import TokenCounter

__all__ = ["DefaultExplainer"]

_MAX_TOKENS = 80
_MAX_TOKENS_REASONING = 320
# For estimates, as measured on the demo, whose windows have 16 tokens: what a window has beside its text ("Text 1:",
# the marks, the end of the line), the list of marked words, one line of strengths, a list of promoted or suppressed
# tokens, and how long answers are.
_TOKENS_BESIDE_WINDOW = 7
_MARKED_LIST_TOKENS = 35
_STRENGTHS_TOKENS = 15
_LIST_TOKENS = 50
_MARKER_TOKENS = 6
_EXPLANATION_TOKENS = 8
_REASONING_TOKENS = 90


class DefaultExplainer:
    """Asks a language model; one call per feature."""

    def __init__(self, config: DefaultConfig) -> None:
        self._config = config

    async def explain(self, record: ExplainRecord, resources: ExplainerResources) -> Draft:
        """Return the model's explanation, or the outcome that says why there is none.

        Raises:
            LLMError: If there is no language model, or its endpoint cannot be used at all.
        """
        llm = llm_of(resources, "default")
        if (impossible := nothing_active(record)) is not None:
            return impossible
        messages = build_messages(record, self._config)
        completion = await llm.complete(request(messages, self._config, self._max_tokens, resources.seed))
        return draft_of(completion, messages, self._read)

    def estimate(self, n_examples: int, window_tokens: int, counter: TokenCounter = APPROXIMATE) -> ExplainerEstimate:
        """Return one call: its shared part counted as it is, windows and answer by what is usual."""
        config = self._config
        windows = min(n_examples, config.max_windows)
        per_window = window_tokens + _TOKENS_BESIDE_WINDOW + (_STRENGTHS_TOKENS if config.show_activations else 0)
        shared = counter.chat((*shared_prefix(config), Message("user", "")))
        listed = _LIST_TOKENS if config.suppressed_tokens else 0
        output = _MARKER_TOKENS + _EXPLANATION_TOKENS
        output += _REASONING_TOKENS if config.chain_of_thought else 0
        return ExplainerEstimate(
            calls=1,
            input_tokens=shared + windows * per_window + _MARKED_LIST_TOKENS + listed,
            output_tokens=min(output, self._max_tokens),
            explanation_tokens=_EXPLANATION_TOKENS,
        )

    @property
    def _max_tokens(self) -> int:
        if self._config.max_tokens is not None:
            return self._config.max_tokens
        return _MAX_TOKENS_REASONING if self._config.chain_of_thought else _MAX_TOKENS

    def _read(self, reply: str, truncated: bool) -> ParsedReply:
        return parse_reply(reply, truncated=truncated, marker_required=self._config.chain_of_thought)
