"""The ``max_activation_logits`` explainer: a label from the strongest tokens, what follows them, and what is promoted.

The method of Neuronpedia's ``np_max-act-logits``: for the strongest windows the token of the maximum, the token after
it and the text around it, beside the tokens the feature promotes; the answer is a label of a few words. What is no
label (blank, "unclear") stays an outcome and is never replaced by a token, which would make failures look like labels.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.explainers.asking import draft_of, llm_of, nothing_active, request
from harness.explainers.highlight import characters
from harness.explainers.parse import MARKER, ParsedReply, parse_reply
from harness.explainers.protocol import ExplainerEstimate
from harness.llm.counting import APPROXIMATE
from harness.llm.protocol import Message
from harness.outcome import Outcome
from harness.text import for_prompt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.examples.record import Example, ExplainRecord
    from harness.explainers.config import MaxActivationLogitsConfig
    from harness.explainers.protocol import Draft, ExplainerResources
    from harness.llm.counting import TokenCounter

__all__ = ["MaxActivationLogits", "label_messages", "read_label"]

_INSTRUCTIONS = (
    "You name one feature of a language model. You are shown the tokens on which it is strongest, the tokens that "
    "come right after them, the texts around them and, where known, the tokens that the feature makes likelier to "
    "come next. If the strongest tokens share a meaning or form, name that; else look at what comes after them, at "
    f"the likelier tokens, and at the texts. Answer with one line: {MARKER} and a label of 1 to 6 words."
)
_SUPPRESSED = (
    " The tokens that the feature makes less likely may be listed too: they tell what it works against, and give the "
    "label only where nothing else does."
)
_NO_LABEL = re.compile(
    r"(?:it is |it's )?(?:unclear|unknown|none|n/?a|no (?:clear )?(?:pattern|label|answer))\W*", re.IGNORECASE
)
_MAX_LISTED = 10
_TOKENS_BESIDE_WINDOW = 12
_LIST_TOKENS = 50
_OUTPUT_TOKENS = 10
_EXPLANATION_TOKENS = 5


class MaxActivationLogits:
    """Asks a language model; one call per feature."""

    def __init__(self, config: MaxActivationLogitsConfig) -> None:
        self._config = config

    async def explain(self, record: ExplainRecord, resources: ExplainerResources) -> Draft:
        """Return the model's label, or the outcome that says why there is none.

        Raises:
            LLMError: If there is no language model, or its endpoint cannot be used at all.
        """
        llm = llm_of(resources, "max_activation_logits")
        if (impossible := nothing_active(record)) is not None:
            return impossible
        messages = label_messages(record, self._config)
        completion = await llm.complete(request(messages, self._config, self._config.max_tokens, resources.seed))
        return draft_of(completion, messages, read_label)

    def estimate(self, n_examples: int, window_tokens: int, counter: TokenCounter = APPROXIMATE) -> ExplainerEstimate:
        """Return one call: the instructions counted as they are, windows and answer by what is usual."""
        config = self._config
        shown = min(window_tokens, 2 * config.side_tokens + 1) + _TOKENS_BESIDE_WINDOW
        fixed = counter.chat((Message("system", _instructions(config)), Message("user", "")))
        fixed += _LIST_TOKENS * (config.logit_weights + config.suppressed_tokens)
        return ExplainerEstimate(
            calls=1,
            input_tokens=fixed + min(n_examples, config.max_windows) * shown,
            output_tokens=min(_OUTPUT_TOKENS, config.max_tokens),
            explanation_tokens=_EXPLANATION_TOKENS,
        )


@dataclass(frozen=True)
class _Peak:
    token: str
    after: str | None
    text: str


def label_messages(record: ExplainRecord, config: MaxActivationLogitsConfig) -> tuple[Message, ...]:
    """Return the prompt for one feature: instructions, strongest tokens, next, promoted and suppressed ones, texts."""
    peaks = _peaks(record.examples.activating, config)
    lines = [
        f"Strongest tokens: {_listed(peak.token for peak in peaks)}",
        f"Tokens after them: {_listed(peak.after for peak in peaks if peak.after is not None)}",
    ]
    promoted = record.statistics.top_logit_tokens[:_MAX_LISTED]
    if config.logit_weights and promoted:
        lines.append(f"Made likelier: {_listed(for_prompt(token) for token in promoted)}")
    suppressed = record.statistics.bottom_logit_tokens[:_MAX_LISTED]
    if config.suppressed_tokens and suppressed:
        lines.append(f"Made less likely: {_listed(for_prompt(token) for token in suppressed)}")
    lines += [f"Text {number}: {peak.text}" for number, peak in enumerate(peaks, start=1)]
    return Message("system", _instructions(config)), Message("user", "\n".join(lines))


def _instructions(config: MaxActivationLogitsConfig) -> str:
    return _INSTRUCTIONS + (_SUPPRESSED if config.suppressed_tokens else "")


def read_label(reply: str, truncated: bool) -> ParsedReply:
    """Return the label in ``reply``; one that says there is none is not read as a label.

    Args:
        reply: What the model wrote.
        truncated: Whether the reply stopped at its token limit.
    """
    parsed = parse_reply(reply, truncated=truncated)
    if parsed.text is not None and _NO_LABEL.fullmatch(parsed.text):
        return ParsedReply(None, Outcome.UNPARSED, "the model found no label")
    return parsed


def _peaks(examples: Sequence[Example], config: MaxActivationLogitsConfig) -> list[_Peak]:
    """Return the strongest windows around their maximum; of several with the same text, the strongest."""
    peaks: dict[str, _Peak] = {}
    for example in examples:
        if len(peaks) == config.max_windows:
            break
        pieces = [(text, value) for text, value in characters(example)]
        if not pieces or max(value for _, value in pieces) <= 0:
            continue
        place = max(range(len(pieces)), key=lambda index: pieces[index][1])
        around = pieces[max(0, place - config.side_tokens) : place + config.side_tokens + 1]
        text = for_prompt("".join(piece for piece, _ in around))
        after = for_prompt(pieces[place + 1][0]) if place + 1 < len(pieces) else None
        peaks.setdefault(text, _Peak(for_prompt(pieces[place][0]), after, text))
    return list(peaks.values())


def _listed(tokens: Iterable[str]) -> str:
    return ", ".join(f'"{token}"' for token in tokens) or "(none)"
