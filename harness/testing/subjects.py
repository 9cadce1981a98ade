"""A subject without a model: it fires on words, and steering makes it write words."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from harness.errors import FeatureSourceError
from harness.seeding import generator
from harness.subjects.access import Continuation, TextActivations
from harness.subjects.protocol import InterventionMode
from harness.testing.records import FILLER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from harness.subjects.interventions import Intervention

__all__ = ["FakeSubject"]

_TOKEN = re.compile(r" ?\w+|\s|[^\w\s]")
_OTHERS = tuple(f" {first}{second}" for first in ("al", "be", "co", "de", "fi", "go") for second in
                ("bar", "den", "fer", "lin", "mor", "nis", "pol", "tan"))  # fmt: skip
_FIRES = 5.0
_FALL = 0.02  # by how much less each further token is promoted


class FakeSubject:
    """A ``SubjectAccess`` by rule, for tests of scorers and for the conformance kit.

    Feature 0 fires, with value 5, on ``word`` and promotes ``promoted``; every other feature has words of its own that
    mean nothing. The next token is drawn from a distribution that depends on the prompt, in which all words are about
    equally likely. ADD and SET with a strength s raise the log-odds of a feature's words by s, from a prompt's last
    token on; ABLATE and SCALE change nothing, as no feature is active by itself while text is written.

    Token ids are places in the vocabulary; a larger id stands for the token at its remainder, so that the ids of
    ``make_example`` are prompts as well.

    Args:
        word: What feature 0 fires on.
        promoted: What it promotes, most first; by default the word in several forms.
        n_features: How many features there are.
        steers: Whether features can be changed.
    """

    def __init__(
        self,
        *,
        word: str = " harbour",
        promoted: Sequence[str] | None = None,
        n_features: int = 8,
        steers: bool = True,
    ) -> None:
        forms = (word, f"{word}s", word.title(), f"{word}ed", f"{word}side", word.strip(), word.upper(), f"{word}ing")
        own = tuple(dict.fromkeys(promoted or forms))
        self.vocabulary = tuple(dict.fromkeys((*own, *FILLER, *_OTHERS, word)))
        self._steers = steers
        self._word = word
        places = {text: place for place, text in enumerate(self.vocabulary)}
        rest = [text for text in self.vocabulary if text not in own and text != word]
        self._promoted = [tuple(places[text] for text in own)]
        for feature in range(1, n_features):
            drawn = generator(0, "fake feature", feature).choice(len(rest), size=len(own), replace=False).tolist()
            self._promoted.append(tuple(places[rest[place]] for place in drawn))
        self.calls: list[str] = []

    @property
    def identity(self) -> Mapping[str, Any]:
        """Return plain data that determines every answer."""
        return {"model": "fake words", "word": self._word, "vocabulary": self.vocabulary}

    @property
    def n_features(self) -> int:
        """Return how many features there are."""
        return len(self._promoted)

    @property
    def n_tokens(self) -> int:
        """Return how many tokens the vocabulary has."""
        return len(self.vocabulary)

    @property
    def steers(self) -> bool:
        """Return whether features can be changed."""
        return self._steers

    async def activations(self, texts: Sequence[str], feature: int) -> tuple[TextActivations, ...]:
        """Return 5 at every word the feature fires on and 0 elsewhere; words are compared without case and blanks."""
        self.calls.append("activations")
        own = [self._word] if feature == 0 else [self.vocabulary[place] for place in self._own(feature)[:1]]
        wanted = {text.strip().lower() for text in own}
        found = []
        for text in texts:
            tokens = tuple(_TOKEN.findall(text))
            ids = tuple(sum(map(ord, token)) % self.n_tokens for token in tokens)
            values = tuple(_FIRES if token.strip().lower() in wanted else 0.0 for token in tokens)
            found.append(TextActivations(tokens, ids, values))
        return tuple(found)

    async def continued(
        self,
        prompts: Sequence[tuple[int, ...]],
        intervention: Intervention | None,
        *,
        max_new_tokens: int,
        temperature: float,
        seeds: Sequence[int],
    ) -> tuple[Continuation, ...]:
        """Return what is written after each prompt.

        Raises:
            FeatureSourceError: If the fake was told not to be steered.
        """
        self.calls.append("continued")
        written = []
        for prompt, seed in zip(prompts, seeds, strict=True):
            rng = generator(seed, "fake continuation")
            ids: list[int] = []
            for _ in range(max_new_tokens):
                logprobs = self._next((*prompt, *ids), intervention).astype("float64")
                if temperature == 0:
                    ids.append(int(logprobs.argmax()))
                    continue
                weights = self._exp(logprobs / temperature).cumsum()
                ids.append(min(int(weights.searchsorted(rng.random() * weights[-1])), self.n_tokens - 1))
            written.append(Continuation("".join(self.token_texts(ids)), tuple(ids)))
        return tuple(written)

    async def next_token_logprobs(
        self, prompts: Sequence[tuple[int, ...]], intervention: Intervention | None
    ) -> np.ndarray:
        """Return the log-probabilities of every next token after each prompt: float32 [prompts, n_tokens].

        Raises:
            FeatureSourceError: If the fake was told not to be steered.
        """
        import numpy as np  # noqa: PLC0415  -- keeps importing the kit light

        self.calls.append("next_token_logprobs")
        return np.array([self._next(prompt, intervention) for prompt in prompts], dtype=np.float32)

    async def divergences(self, prompts: Sequence[tuple[int, ...]], intervention: Intervention) -> tuple[float, ...]:
        """Return KL(as it is, changed) of the next token after each prompt, in nats.

        Raises:
            FeatureSourceError: If the fake was told not to be steered.
        """
        self.calls.append("divergences")
        found = []
        for prompt in prompts:
            clean, changed = self._next(prompt, None), self._next(prompt, intervention)
            found.append(max(0.0, float((self._exp(clean) * (clean - changed)).sum())))
        return tuple(found)

    async def continuation_logprobs(
        self, prompts: Sequence[tuple[int, ...]], continuations: Sequence[tuple[int, ...]]
    ) -> tuple[tuple[float, ...], ...]:
        """Return the log-probability of every token of each continuation, as the subject is."""
        self.calls.append("continuation_logprobs")
        return tuple(
            tuple(float(self._next((*prompt, *ids[:at]), None)[token]) for at, token in enumerate(ids))
            for prompt, ids in zip(prompts, continuations, strict=True)
        )

    async def promoted_tokens(self, feature: int, count: int) -> tuple[tuple[int, str, float], ...] | None:
        """Return the feature's words; None if the fake was told not to be steered."""
        self.calls.append("promoted_tokens")
        if not self._steers:
            return None
        own = self._own(feature)[:count]
        return tuple((token, self.vocabulary[token], 1 - _FALL * place) for place, token in enumerate(own))

    def token_texts(self, ids: Sequence[int]) -> tuple[str, ...]:
        """Return the text of each token."""
        return tuple(self.vocabulary[token % self.n_tokens] for token in ids)

    def _own(self, feature: int) -> tuple[int, ...]:
        if not 0 <= feature < self.n_features:
            raise FeatureSourceError(f"there is no feature {feature}", hint=f"0 to {self.n_features - 1}")
        return self._promoted[feature]

    def _next(self, prompt: Sequence[int], intervention: Intervention | None) -> np.ndarray:
        """Return the log-probabilities of the next token, float64 [n_tokens]."""
        rng = generator(0, "fake prompt", *(int(token) % self.n_tokens for token in prompt))
        logits = rng.normal(0.0, 0.5, size=self.n_tokens)
        if intervention is not None:
            if not self._steers:
                raise FeatureSourceError("this fake cannot be steered")
            for feature in intervention.features:
                own = self._own(feature)
                if intervention.mode in {InterventionMode.ADD, InterventionMode.SET}:
                    for place, token in enumerate(own):
                        logits[token] += intervention.strength * (1 - _FALL * place)
        logits -= logits.max()
        normalised: np.ndarray = logits - math.log(float(self._exp(logits).sum()))
        return normalised

    @staticmethod
    def _exp(values: np.ndarray) -> np.ndarray:
        import numpy as np  # noqa: PLC0415  -- as above

        powers: np.ndarray = np.exp(values)
        return powers
