"""A real client put under load against the loopback endpoint: the questions, and what became of them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.config.schema import LLMConfig
from harness.llm.protocol import CompletionRequest, Message
from harness.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.llm.protocol import LLM, Completion

__all__ = ["Ended", "ask_all", "judge_config", "question"]

_INSTRUCTIONS = """A feature of a language model responds to certain words or patterns in a text. Given a description \
of the feature and a short excerpt, say whether the excerpt contains at least one such word or pattern. Answer with \
one word: Yes or No.

Description: Names of fruit
Excerpt: she bought two ripe mangoes and a bag of rice before the
Answer: Yes"""


def judge_config(url: str, **changes: Any) -> LLMConfig:
    """Return the configuration of a judge at the loopback endpoint, what it can do stated so that nothing is probed."""
    stated = {"structured": "none", "choices": "none", "logprobs": True, "prompt_logprobs": False}
    return LLMConfig(**{"model": "openai/m", "api_base": url, **stated, **changes})


def question(number: int, *, purpose: str = "load") -> CompletionRequest:
    """Return question ``number``, of the size and kind that a scorer asks: one word with its alternatives."""
    told = Message("system", _INSTRUCTIONS)
    asked = Message(
        "user", f"Description: words about the sea\nExcerpt: {purpose} number {number} of the ship\nAnswer:"
    )
    return CompletionRequest((told, asked), max_tokens=1, choices=("Yes", "No"), top_logprobs=20)


@dataclass
class Ended:
    """What became of the questions of one load.

    Attributes:
        seconds: Wall time.
        outcomes: Questions by outcome.
        silent: Questions that ended neither answered nor with a reason.
        errors: Questions by reason, for those without an answer.
    """

    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    silent: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def ok(self) -> int:
        """Return how many questions were answered."""
        return self.outcomes[Outcome.OK.value]

    def add(self, completion: Completion) -> None:
        """Count one question that has ended."""
        self.outcomes[completion.outcome.value] += 1
        if completion.outcome is not Outcome.OK:
            self.errors[completion.error or ""] += 1
            self.silent += not completion.error
        else:
            self.silent += not completion.text


async def ask_all(llm: LLM, requests: Iterable[CompletionRequest], workers: int) -> Ended:
    """Ask everything, ``workers`` callers at once, and return what became of it."""
    queue = iter(requests)
    ended = Ended()

    async def work() -> None:
        for request in queue:
            ended.add(await llm.complete(request))

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(workers)))
    ended.seconds = time.perf_counter() - began
    return ended
