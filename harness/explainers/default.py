"""The ``default`` explainer: shows a language model windows with the active tokens marked and asks what they share.

The method is that of Bills et al. 2023 in the form of Paulo et al. 2024 ("Automatically Interpreting Millions of
Features in Large Language Models", section 3.1), with its options: activation values, chain of thought, logit weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import LLMError
from harness.explainers.parse import parse_reply
from harness.explainers.prompt import build_messages, shared_prefix
from harness.explainers.protocol import Draft, ExplainerEstimate
from harness.identity import canonical_json, text_sha256
from harness.llm.counting import APPROXIMATE
from harness.llm.protocol import CompletionRequest, Message
from harness.outcome import Outcome

if TYPE_CHECKING:
    from harness.examples.record import ExplainRecord
    from harness.explainers.config import DefaultConfig
    from harness.explainers.protocol import ExplainerResources
    from harness.llm.counting import TokenCounter
    from harness.llm.protocol import Completion

__all__ = ["DefaultExplainer"]

_MAX_TOKENS = 80
_MAX_TOKENS_REASONING = 320
_SEEDS = 2**31
# For estimates, as measured on the demo, whose windows have 16 tokens: what a window has beside its text ("Text 1:",
# the marks, the end of the line), the list of marked words, one line of strengths, and how long answers are.
_TOKENS_BESIDE_WINDOW = 7
_MARKED_LIST_TOKENS = 35
_STRENGTHS_TOKENS = 15
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
        if resources.llm is None:
            raise LLMError(
                "the default explainer needs a language model", where="explainer.llm", hint="llm@explainer.llm=local"
            )
        if not any(example.max_activation > 0 for example in record.examples.activating):
            return Draft(None, Outcome.ERROR, error=f"feature {record.feature} has no activating example to explain")
        messages = build_messages(record, self._config)
        completion = await resources.llm.complete(self._request(messages, resources.seed))
        return self._draft(completion, _digest(messages))

    def estimate(self, n_examples: int, window_tokens: int, counter: TokenCounter = APPROXIMATE) -> ExplainerEstimate:
        """Return one call: its shared part counted as it is, windows and answer by what is usual."""
        config = self._config
        windows = min(n_examples, config.max_windows)
        per_window = window_tokens + _TOKENS_BESIDE_WINDOW + (_STRENGTHS_TOKENS if config.show_activations else 0)
        shared = counter.chat((*shared_prefix(config), Message("user", "")))
        output = _MARKER_TOKENS + _EXPLANATION_TOKENS
        output += _REASONING_TOKENS if config.chain_of_thought else 0
        return ExplainerEstimate(
            calls=1,
            input_tokens=shared + windows * per_window + _MARKED_LIST_TOKENS,
            output_tokens=min(output, self._max_tokens),
            explanation_tokens=_EXPLANATION_TOKENS,
        )

    @property
    def _max_tokens(self) -> int:
        if self._config.max_tokens is not None:
            return self._config.max_tokens
        return _MAX_TOKENS_REASONING if self._config.chain_of_thought else _MAX_TOKENS

    def _request(self, messages: tuple[Message, ...], seed: int) -> CompletionRequest:
        # A greedy answer has no use for a seed, and without one the answer cache serves it to any run.
        sampled = self._config.temperature > 0
        return CompletionRequest(
            messages=messages,
            max_tokens=self._max_tokens,
            temperature=self._config.temperature,
            seed=seed % _SEEDS if sampled else None,
            repeat=self._config.repeat,
        )

    def _draft(self, completion: Completion, prompt_sha256: str) -> Draft:
        reply, usage = completion.text, completion.usage
        if completion.outcome not in {Outcome.OK, Outcome.TRUNCATED} or reply is None:
            # An endpoint that says OK and gives no text has not answered.
            outcome = Outcome.ERROR if completion.outcome is Outcome.OK else completion.outcome
            error = completion.error or f"the language model gave no text ({completion.outcome.value})"
            return Draft(None, outcome, usage, reply, prompt_sha256, error=error)
        parsed = parse_reply(
            reply,
            truncated=completion.outcome is Outcome.TRUNCATED,
            marker_required=self._config.chain_of_thought,
        )
        return Draft(parsed.text, parsed.outcome, usage, reply, prompt_sha256, error=parsed.error)


def _digest(messages: tuple[Message, ...]) -> str:
    return text_sha256(canonical_json(messages))
