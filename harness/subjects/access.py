"""What a scorer may do with the subject itself: run texts through it, and go on from texts with a feature changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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

    Prompts are token ids (``Example.token_ids``) without BOS, which is put before them where the model has one.
    """

    @property
    def identity(self) -> Mapping[str, Any]:
        """Return plain data that determines every answer: the model and the feature source."""

    @property
    def n_features(self) -> int:
        """Return how many features the source has."""

    @property
    def steers(self) -> bool:
        """Return whether features can be changed: a source without write directions only reads."""

    async def activations(self, texts: Sequence[str], feature: int) -> tuple[TextActivations, ...]:
        """Return the feature's values on each text. Texts longer than the model reads are cut at the end.

        Raises:
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

        With an intervention features are changed at the prompt's last token, which predicts the first new one, and at
        all new tokens; what stands before is read as it is.

        Args:
            prompts: Token ids, none empty.
            intervention: What is done to features; None for the model as it is.
            max_new_tokens: Tokens written at most; writing ends early at the end of text.
            temperature: 0 for greedy.
            seeds: Seed of each prompt's draws.

        Raises:
            FeatureSourceError: If the source cannot be steered.
        """

    async def next_token_logprobs(
        self, prompts: Sequence[tuple[int, ...]], intervention: Intervention | None
    ) -> tuple[tuple[float, ...], ...]:
        """Return the log-probabilities (natural) of every next token after each prompt, steered as ``continued`` does.

        Raises:
            FeatureSourceError: If the source cannot be steered.
        """

    async def promoted_tokens(self, feature: int, count: int) -> tuple[tuple[int, str, float], ...] | None:
        """Return the tokens that the feature promotes most by the direct path from its write direction to the logits.

        Ids, texts and logits, largest first; None if the feature has no write direction.
        """

    def token_texts(self, ids: Sequence[int]) -> tuple[str, ...]:
        """Return the text of each token by itself."""
