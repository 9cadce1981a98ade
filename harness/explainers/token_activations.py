"""The ``token_activations`` explainer: every token of a window with its activation, and a sentence to be completed.

The method of Bills et al. 2023 ("Language models can explain neurons in language models", section "Step 1"): records of
one token and its strength a line, given again without the zeros where few strengths are above 0, and an answer that
goes on from a fixed stem. Strengths are ``min(10, floor(10 max(a, 0) / largest))``, the largest of the windows shown,
and all 0 where it is not positive.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.explainers.asking import draft_of, llm_of, nothing_active, request
from harness.explainers.fewshots import FEW_SHOTS
from harness.explainers.highlight import characters
from harness.explainers.parse import parse_reply
from harness.explainers.prompt import choose_windows
from harness.explainers.protocol import ExplainerEstimate
from harness.llm.counting import APPROXIMATE
from harness.llm.protocol import Message
from harness.outcome import Outcome
from harness.text import for_prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.examples.record import Example, ExplainRecord
    from harness.explainers.config import TokenActivationsConfig
    from harness.explainers.fewshots import FewShot
    from harness.explainers.parse import ParsedReply
    from harness.explainers.protocol import Draft, ExplainerResources
    from harness.llm.counting import TokenCounter

__all__ = ["STEM", "TokenActivations", "integer_levels", "token_activation_messages"]

STEM = "The feature responds to"
"""How the sentence begins that the model completes."""

LEVELS = 10
SPARSE = 0.2
"""Below this share of strengths above 0, the records are given again without the zeros."""

_INSTRUCTIONS = (
    "You study one feature of a language model. Each record below is a text, one token a line, and after a tab the "
    "strength of the feature on that token, from 0 to 10. Find out what the tokens with a high strength have in "
    "common, and say it in one short phrase. Do not list tokens."
)
_REQUEST = f"Complete this sentence and write nothing else: {STEM}"
_STEM_AGAIN = re.compile(
    r"[\s\"'*_`]*(?:the|this)\s+(?:feature|neuron|latent)\s+(?:responds\s+to|fires\s+on|activates\s+(?:on|for))\b[\s:*_]*",
    re.IGNORECASE,
)
_MARKED_OR_NOT = re.compile(r"<<(.*?)>>|((?:(?!<<).)+)", re.DOTALL)
_PIECE = re.compile(r"\s?[^\s]+|\s")
_TOKENS_PER_LINE = 4
_MARKS_TOKENS = 8
_OUTPUT_TOKENS = 12
_EXPLANATION_TOKENS = 10
_Records = list[list[tuple[str, int]]]


class TokenActivations:
    """Asks a language model; one call per feature."""

    def __init__(self, config: TokenActivationsConfig) -> None:
        self._config = config

    async def explain(self, record: ExplainRecord, resources: ExplainerResources) -> Draft:
        """Return the model's explanation, or the outcome that says why there is none.

        Raises:
            LLMError: If there is no language model, or its endpoint cannot be used at all.
        """
        llm = llm_of(resources, "token_activations")
        if (impossible := nothing_active(record)) is not None:
            return impossible
        messages = token_activation_messages(record, self._config)
        completion = await llm.complete(request(messages, self._config, self._config.max_tokens, resources.seed))
        return draft_of(completion, messages, _read)

    def estimate(self, n_examples: int, window_tokens: int, counter: TokenCounter = APPROXIMATE) -> ExplainerEstimate:
        """Return one call: its shared part counted as it is, records and answer by what is usual."""
        windows = min(n_examples, self._config.max_windows)
        fixed = counter.chat((*_shared(self._config), Message("user", _REQUEST)))
        return ExplainerEstimate(
            calls=1,
            input_tokens=fixed + windows * (window_tokens * _TOKENS_PER_LINE + 2 * _MARKS_TOKENS),
            output_tokens=min(_OUTPUT_TOKENS, self._config.max_tokens),
            explanation_tokens=_EXPLANATION_TOKENS,
        )


def token_activation_messages(record: ExplainRecord, config: TokenActivationsConfig) -> tuple[Message, ...]:
    """Return the prompt for one feature: instructions and worked examples, then its records and the stem."""
    windows = choose_windows(record.examples.activating, config.max_windows)
    return (*_shared(config), Message("user", _question(integer_levels(windows))))


def integer_levels(windows: Sequence[Example]) -> _Records:
    """Return each window's tokens with their strength from 0 to 10; the largest activation of all windows is 10."""
    largest = max((example.max_activation for example in windows), default=0.0)
    return [[(for_prompt(text), _level(value, largest)) for text, value in characters(example)] for example in windows]


def _level(value: float, largest: float) -> int:
    return min(LEVELS, math.floor(LEVELS * max(value, 0.0) / largest)) if largest > 0 else 0


def _question(records: _Records) -> str:
    levels = [level for record in records for _, level in record]
    parts = [_layout(records)]
    if levels and sum(level > 0 for level in levels) / len(levels) < SPARSE:
        parts += ["The same without the zeros:", _layout([[pair for pair in one if pair[1] > 0] for one in records])]
    return "\n".join([*parts, "", _REQUEST])


def _layout(records: _Records) -> str:
    lines = (["<start>", *(f"{token}\t{level}" for token, level in record), "<end>"] for record in records)
    return "\n".join(line for record in lines for line in record)


def _shared(config: TokenActivationsConfig) -> tuple[Message, ...]:
    messages = [Message("system", _INSTRUCTIONS)]
    for shot in FEW_SHOTS[: config.few_shots]:
        messages += [Message("user", _question(_shot_records(shot))), Message("assistant", f" {shot.explanation}")]
    return tuple(messages)


def _shot_records(shot: FewShot) -> _Records:
    """Return a worked example's windows, cut at spaces; its marked runs have the strengths it states."""
    records: _Records = []
    for window, strengths in zip(shot.windows, shot.strengths, strict=True):
        levels = iter(level for _, level in strengths)
        record: list[tuple[str, int]] = []
        for marked, plain in _MARKED_OR_NOT.findall(window.replace(" <<", "<< ")):
            record += [(marked, next(levels))] if marked else [(piece, 0) for piece in _PIECE.findall(plain)]
        records.append(record)
    return records


def _read(reply: str, truncated: bool) -> ParsedReply:
    again = _STEM_AGAIN.match(reply)
    parsed = parse_reply(reply[again.end() :] if again else reply, truncated=truncated)
    if parsed.text is None or (again := _STEM_AGAIN.match(parsed.text)) is None:
        return parsed
    rest = parsed.text[again.end() :].strip()
    return replace(parsed, text=rest) if rest else replace(parsed, text=None, outcome=Outcome.UNPARSED, error=_BLANK)


_BLANK = "the explanation is blank"
