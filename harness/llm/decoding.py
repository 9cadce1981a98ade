"""How the next token is chosen from its log-probabilities, and when an answer is at its end. Knows no model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.llm.choice_trie import ChoiceTrie
from harness.llm.generated import Generated
from harness.llm.protocol import TokenAlternatives
from harness.seeding import generator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.llm.protocol import CompletionRequest

__all__ = ["Decoding", "alternatives_at", "pick"]


def pick(logprobs: np.ndarray, temperature: float, top_p: float, draws: np.random.Generator) -> int:
    """Return the token drawn.

    By the Gumbel-max trick: each token's score gets a draw of its own, and the highest is taken. A draw then depends on
    the last digit of a logit only where two scores are as good as equal. Drawn by a cumulative sum, the thousands of
    unlikely tokens are so narrow that it often did, and an answer depended on what a batch was made of.

    Args:
        logprobs: Log-probabilities [V]; minus infinity for what may not come.
        temperature: 0 for the likeliest (of equals the first).
        top_p: Only the likeliest tokens that together reach this mass are drawn from.
        draws: Used for V draws, unless the temperature is 0.
    """
    if temperature <= 0:
        return int(np.argmax(logprobs))
    scaled = logprobs.astype(np.float64) / temperature
    if top_p < 1:
        mass = np.exp(scaled - scaled.max())
        order = np.argsort(-mass, kind="stable")
        kept = int(np.searchsorted(np.cumsum(mass[order]), top_p * mass.sum())) + 1
        scaled[order[kept:]] = -np.inf
    return int(np.argmax(scaled + draws.gumbel(size=scaled.size)))


def alternatives_at(
    logprobs: np.ndarray, top: int, token_text: Callable[[int], str], also: Sequence[int] = ()
) -> dict[str, float]:
    """Return text -> log-probability of the ``top`` likeliest tokens and of those in ``also``, likeliest first.

    Of distinct tokens with equal text (pieces of a character) the likeliest is kept.
    """
    if not top:
        return {}
    top = min(top, len(logprobs))
    found = np.argpartition(-logprobs, top - 1)[:top]
    tokens = np.union1d(found, np.asarray(also, dtype=found.dtype))
    ordered = tokens[np.lexsort((tokens, -logprobs[tokens]))]
    alternatives: dict[str, float] = {}
    for token in ordered.tolist():
        alternatives.setdefault(token_text(token), float(logprobs[token]))
    return alternatives


class Decoding:
    """One answer as it grows.

    Log-probabilities reported are the model's own, before temperature, top_p and choices; the first tokens of the
    choices are always among the alternatives.

    Args:
        request: What was asked.
        prompt: The prompt's tokens.
        limit: Most tokens the answer may have, the context counted in.
        ends: Tokens that end an answer.
        choices: Token sequences of the only answers allowed, if not empty.
        seed: Root of the draws.
        texts: Text of a token alone, and of a sequence.
    """

    def __init__(
        self,
        request: CompletionRequest,
        prompt: Sequence[int],
        *,
        limit: int,
        ends: Sequence[int],
        choices: Sequence[Sequence[int]],
        seed: int | None,
        texts: tuple[Callable[[int], str], Callable[[Sequence[int]], str]],
    ) -> None:
        self._request = request
        self._limit = limit
        self._ends = frozenset(ends)
        self._trie = ChoiceTrie.of(choices) if choices else None
        self._token_text, self._text_of = texts
        # The prompt is part of the purpose, so that two questions with one seed do not share their luck.
        repeat = 0 if seed is not None else request.repeat
        self._draws = generator(seed or 0, "llm", "sampling", repeat, *prompt)
        self._prompt_tokens = len(prompt)
        self._tokens: list[int] = []
        self._n_ends = 0
        self._scored: list[TokenAlternatives] = []
        self._text = ""
        self.finish: str | None = None

    @property
    def last(self) -> int:
        """Return the newest token."""
        return self._tokens[-1]

    @property
    def length(self) -> int:
        """Return how many tokens there are, prompt and answer."""
        return self._prompt_tokens + len(self._tokens)

    def step(self, logprobs: np.ndarray) -> None:
        """Choose the next token by its log-probabilities [V] in float32; ``finish`` is set if it was the last."""
        request = self._request
        allowed = None if self._trie is None else self._trie.allowed(sorted(self._ends))
        token = pick(self._masked(logprobs, allowed), request.temperature, request.top_p, self._draws)
        if token in self._ends:
            self._n_ends = 1
            self.finish = "stop"
            return
        if request.top_logprobs:
            also = [token, *(allowed or ())] if not self._tokens else [token]
            others = alternatives_at(logprobs, request.top_logprobs, self._token_text, also)
            self._scored.append(TokenAlternatives(self._token_text(token), float(logprobs[token]), others))
        self._tokens.append(token)
        self._trie = None if self._trie is None else self._trie.children[token]
        self._text = self._text_of(self._tokens)
        self._end()

    def generated(self, cached_tokens: int) -> Generated:
        """Return what was generated; ``cached_tokens`` of the prompt were not computed for it."""
        return Generated(
            text=self._text,
            finish=self.finish or "length",
            tokens=tuple(self._scored),
            input_tokens=self._prompt_tokens,
            output_tokens=len(self._tokens) + self._n_ends,
            cached_input_tokens=cached_tokens,
        )

    def _masked(self, logprobs: np.ndarray, allowed: Sequence[int] | None) -> np.ndarray:
        if allowed is None:
            return logprobs
        masked = np.full_like(logprobs, -np.inf)
        masked[allowed] = logprobs[allowed]
        return masked

    def _end(self) -> None:
        found = [place for stop in self._request.stop if stop and (place := self._text.find(stop)) >= 0]
        if found:
            self._text = self._text[: min(found)]
            self.finish = "stop"
        elif self._trie is not None and self._trie.closed:
            self.finish = "stop"
        elif len(self._tokens) >= self._limit:
            self.finish = "length"
