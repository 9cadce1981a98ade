"""The ``contrastive`` explainer: shows a language model active windows beside silent ones and asks for the difference.

After the contrastive explainer of EleutherAI's Delphi, which shows the first 15 of the windows sorted by strength, and
so only the strongest deciles; here they are spread over all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.explainers.asking import draft_of, llm_of, nothing_active, nothing_silent, request
from harness.explainers.highlight import DELIMITERS, choose_delimiters, marked_runs, render
from harness.explainers.parse import MARKER, parse_reply
from harness.explainers.prompt import choose_windows
from harness.explainers.protocol import ExplainerEstimate
from harness.llm.counting import APPROXIMATE
from harness.llm.protocol import Message

if TYPE_CHECKING:
    from harness.examples.record import ExplainRecord
    from harness.explainers.config import ContrastiveConfig
    from harness.explainers.parse import ParsedReply
    from harness.explainers.protocol import Draft, ExplainerResources
    from harness.llm.counting import TokenCounter

__all__ = ["Contrastive", "contrastive_messages"]

_INSTRUCTIONS = (
    "You study one feature of a language model. First come texts in which the feature is active; the words it "
    f"responds to stand between {DELIMITERS[0].opening} and {DELIMITERS[0].closing}. Then come texts in which it is "
    "silent. Find out what the marked words have in common that is missing from the silent texts, and name it as "
    "specifically as the texts allow. A description that also fits a silent text is wrong. Do not list the marked "
    f"words. Answer with one line: {MARKER} and a specific phrase of at most 20 words."
)
_TOKENS_BESIDE_WINDOW = 8
_HEADINGS_TOKENS = 12
_OUTPUT_TOKENS = 14
_EXPLANATION_TOKENS = 8


class Contrastive:
    """Asks a language model; one call per feature."""

    def __init__(self, config: ContrastiveConfig) -> None:
        self._config = config

    async def explain(self, record: ExplainRecord, resources: ExplainerResources) -> Draft:
        """Return the model's explanation, or the outcome that says why there is none.

        Raises:
            LLMError: If there is no language model, or its endpoint cannot be used at all.
        """
        llm = llm_of(resources, "contrastive")
        impossible = nothing_active(record) or nothing_silent(record)
        if impossible is not None:
            return impossible
        messages = contrastive_messages(record, self._config)
        completion = await llm.complete(request(messages, self._config, self._config.max_tokens, resources.seed))
        return draft_of(completion, messages, _read)

    def estimate(self, n_examples: int, window_tokens: int, counter: TokenCounter = APPROXIMATE) -> ExplainerEstimate:
        """Return one call: the instructions counted as they are, windows and answer by what is usual."""
        windows = min(n_examples, self._config.max_windows + self._config.max_silent)
        fixed = counter.chat((Message("system", _INSTRUCTIONS), Message("user", ""))) + _HEADINGS_TOKENS
        return ExplainerEstimate(
            calls=1,
            input_tokens=fixed + windows * (window_tokens + _TOKENS_BESIDE_WINDOW),
            output_tokens=min(_OUTPUT_TOKENS, self._config.max_tokens),
            explanation_tokens=_EXPLANATION_TOKENS,
        )


def contrastive_messages(record: ExplainRecord, config: ContrastiveConfig) -> tuple[Message, ...]:
    """Return the prompt for one feature: the instructions, the active texts, the silent texts."""
    active = [
        marked_runs(example, config.threshold)
        for example in choose_windows(record.examples.activating, config.max_windows)
    ]
    silent = [marked_runs(example, config.threshold) for example in record.examples.non_activating[: config.max_silent]]
    # Marks that stood in a silent text would make it look active.
    marks = choose_delimiters([*active, *silent])
    lines = []
    if marks != DELIMITERS[0]:
        lines.append(f"(In these texts the marks are {marks.opening} and {marks.closing}.)")
    for heading, windows in (("Active", active), ("Silent", silent)):
        lines += [f"{heading} text {number}: {render(runs, marks)}" for number, runs in enumerate(windows, start=1)]
    return Message("system", _INSTRUCTIONS), Message("user", "\n".join(lines))


def _read(reply: str, truncated: bool) -> ParsedReply:
    return parse_reply(reply, truncated=truncated)
