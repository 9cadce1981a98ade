"""A subject and a judge without a model: the feature fires on one word, and the judge knows it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from harness.api import Continuation, InterventionMode, TaskKind, TextActivations, generator
from harness.testing import FakeSubject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.api import CompletionRequest, Intervention

__all__ = ["FILLER", "WordSubject", "word_rule"]

FILLER = ("river", "stone", "walls", "people", "weather", "bridges", "evening", "market", "road", "window")
_TOKEN = re.compile(r"\s*\S+")


class WordSubject(FakeSubject):
    """Fires on tokens that hold ``word``, with the value that ``strength`` gives for the number of the token.

    Turned up (set or scaled to more than 0) it writes the word, otherwise it does not.
    """

    def __init__(
        self,
        word: str = "harbour",
        *,
        strength: Callable[[int], float] = lambda place: 5.0 + place % 3,
        steers: bool = True,
        deaf: bool = False,
    ) -> None:
        super().__init__(word=f" {word}", n_features=1, steers=steers)
        self.word = word
        self.strength = strength
        self.steering = steers
        self.deaf = deaf
        self.read: list[tuple[str, ...]] = []
        self.interventions: list[Intervention | None] = []

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"model": "words", "word": self.word}

    @property
    def n_features(self) -> int:
        return 1

    @property
    def steers(self) -> bool:
        return self.steering

    async def activations(self, texts: Sequence[str], feature: int) -> tuple[TextActivations, ...]:  # noqa: ARG002
        self.read.append(tuple(texts))
        return tuple(map(self._one, texts))

    async def continued(
        self,
        prompts: Sequence[tuple[int, ...]],
        intervention: Intervention | None,
        *,
        max_new_tokens: int,
        temperature: float,  # noqa: ARG002  -- the protocol's signature
        seeds: Sequence[int],
    ) -> tuple[Continuation, ...]:
        assert len(prompts) == len(seeds)
        self.interventions.append(intervention)
        up = intervention is not None and intervention.strength > 0 and not self.deaf
        assert intervention is None or intervention.mode in {InterventionMode.SET, InterventionMode.SCALE}
        strength = 0 if intervention is None else int(intervention.strength)
        return tuple(
            self._continued(prompt, seed, strength, max_new_tokens, up=up)
            for prompt, seed in zip(prompts, seeds, strict=True)
        )

    def token_texts(self, ids: Sequence[int]) -> tuple[str, ...]:
        return tuple(map(str, ids))

    def _one(self, text: str) -> TextActivations:
        tokens = tuple(_TOKEN.findall(text))
        values = tuple(self.strength(place) if self.word in token else 0.0 for place, token in enumerate(tokens))
        return TextActivations(tokens, tuple(range(len(tokens))), values)

    def _continued(self, prompt: tuple[int, ...], seed: int, strength: int, n: int, *, up: bool) -> Continuation:
        rng = generator(seed, "continued", strength, len(prompt))
        words = [FILLER[place] for place in rng.integers(len(FILLER), size=n).tolist()]
        if up:
            words[n // 2] = self.word
        return Continuation(" ".join(words), tuple(range(n)))


def word_rule(
    word: str = "harbour", *, near_misses: bool = True, error_rate: float = 0.0
) -> Callable[[CompletionRequest], str]:
    """Return how a judge answers that knows which texts hold ``word``, if the explanation names it.

    At ``error_rate`` a text is rated, or written, as the opposite.
    """

    def right(*purpose: str | int) -> bool:
        return float(generator(0, "right", *purpose).random()) >= error_rate

    def rule(request: CompletionRequest) -> str:
        task = request.task
        assert task is not None
        assert task.reply is not None
        told = word in task.explanation
        if task.kind is TaskKind.RATING:
            return task.reply([2 if (told and word in text) == right(text) else 0 for text in task.texts])
        holds = told and (task.kind is TaskKind.WRITE or not near_misses)
        rng = generator(request.repeat, "written", task.kind.value)
        texts = []
        for place in range(task.count):
            words = [FILLER[number] for number in rng.integers(len(FILLER), size=8).tolist()]
            shows = holds == right(task.kind.value, request.repeat, place)
            texts.append(" ".join([*words, word, "there"] if shows else words))
        return task.reply([texts])

    return rule
