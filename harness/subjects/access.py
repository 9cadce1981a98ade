"""What a scorer may do with the subject itself: run texts through it, and go on from texts with a feature changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from harness.subjects.interventions import Intervention

__all__ = ["Continuation", "SubjectAccess", "TextActivations"]


@dataclass(frozen=True, slots=True)
class TextActivations:
    """A feature's values on a text; BOS is read by the model and is no part of it.

    Attributes:
        tokens: The text of each token; joined they are the text (see ``Example.tokens``).
        token_ids: Their ids.
        values: The feature's value at each token, 0 where the source does not keep it.
    """

    tokens: tuple[str, ...]
    token_ids: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def max(self) -> float:
        """Return the largest value, 0 for an empty text."""
        return max(self.values, default=0.0)


@dataclass(frozen=True, slots=True)
class Continuation:
    """What the subject model wrote after a prompt."""

    text: str
    token_ids: tuple[int, ...]


class SubjectAccess(Protocol):
    """The subject of a unit. Safe to call from many tasks at once; what is computed does not depend on company.

    Prompts are token ids (``Example.token_ids``) without BOS, which is put before them where the model has one. An
    intervention changes features at a prompt's last token, which predicts the first new one, and at all tokens after
    it; what stands before is read as it is. A text's very first token is never changed (``harness.subjects.steering``):
    where there is no BOS, that is the one token of a prompt of one token.
    """

    @property
    def identity(self) -> Mapping[str, Any]:
        """Return plain data that determines every answer: the model and the feature source."""

    @property
    def n_features(self) -> int:
        """Return how many features the source has."""

    @property
    def n_tokens(self) -> int:
        """Return how many tokens the vocabulary has."""

    @property
    def steers(self) -> bool:
        """Return whether features can be changed: a source without write directions only reads."""

    async def activations(self, texts: Sequence[str], feature: int) -> tuple[TextActivations, ...]:
        """Return the feature's values on each text. Texts longer than the model reads are cut at the end.

        Raises:
            FeatureSourceError: If there is no such feature.
            SubjectError: If hidden states are not finite.
        """

    async def continued(
        self,
        prompts: Sequence[tuple[int, ...]],
        intervention: Intervention | None,
        *,
        max_new_tokens: int,
        temperature: float,
        seeds: Sequence[int],
    ) -> tuple[Continuation, ...]:
        """Return what the model writes after each prompt.

        Args:
            prompts: Token ids, none empty.
            intervention: What is done to features; None for the model as it is.
            max_new_tokens: Tokens written at most; writing ends early at the end of text.
            temperature: 0 for greedy.
            seeds: Seed of each prompt's draws.

        Raises:
            FeatureSourceError: If the source cannot be steered, or steering leaves nothing to choose from.
            SubjectError: If a prompt is empty or longer than the model reads.
        """

    async def next_token_logprobs(
        self, prompts: Sequence[tuple[int, ...]], intervention: Intervention | None
    ) -> np.ndarray:
        """Return the log-probabilities (natural) of every next token after each prompt: float32 [prompts, n_tokens].

        Raises:
            FeatureSourceError: If the source cannot be steered.
            SubjectError: If a prompt is empty or longer than the model reads.
        """

    async def divergences(self, prompts: Sequence[tuple[int, ...]], intervention: Intervention) -> tuple[float, ...]:
        """Return how far an intervention moves the next token after each prompt: KL(as it is, changed) in nats.

        Infinity where the changed model's outputs are no longer finite.

        Raises:
            FeatureSourceError: If the source cannot be steered.
            SubjectError: If a prompt is empty or longer than the model reads.
        """

    async def continuation_logprobs(
        self, prompts: Sequence[tuple[int, ...]], continuations: Sequence[tuple[int, ...]]
    ) -> tuple[tuple[float, ...], ...]:
        """Return the log-probability (natural) of every token of each continuation, by the model as it is.

        Raises:
            SubjectError: If a prompt is empty, or is with its continuation longer than the model reads.
        """

    async def promoted_tokens(self, feature: int, count: int) -> tuple[tuple[int, str, float], ...] | None:
        """Return the tokens that the feature promotes most by the direct path from its write direction to the logits.

        Ids, texts and logits, largest first; None if the feature has no write direction.
        """

    def token_texts(self, ids: Sequence[int]) -> tuple[str, ...]:
        """Return the text of each token by itself."""
