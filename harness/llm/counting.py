"""Counting the tokens of a prompt before anybody is asked. Pure; exact counters are in ``harness.llm.tokenizers``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.llm.protocol import Message

__all__ = ["APPROXIMATE", "TokenCounter"]

_CHARACTERS_PER_TOKEN = 4
_TOKENS_PER_MESSAGE = 5  # what a chat template adds to each


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """Counts as one model's tokenizer does.

    Attributes:
        source: Which tokenizer, for whoever reads the estimate.
        text: Tokens of a text.
        chat: Tokens of a chat, with its template, up to where the answer begins.
    """

    source: str
    text: Callable[[str], int]
    chat: Callable[[Sequence[Message]], int]


def _text(text: str) -> int:
    return math.ceil(len(text) / _CHARACTERS_PER_TOKEN)


def _chat(messages: Sequence[Message]) -> int:
    return sum(_text(message.content) + _TOKENS_PER_MESSAGE for message in messages)


APPROXIMATE = TokenCounter(f"{_CHARACTERS_PER_TOKEN} characters a token", _text, _chat)
"""For models whose tokenizer is not here."""
