"""The subject in the hands of scorers: a loaded model and a feature source, asked by many tasks at once.

What a model computes it computes on one thread, one request after the other: interventions are hooks on the model's
modules, and a forward pass of somebody else must not meet them. Small answers about prompts are remembered, since a
feature's explanation sets are compared on the same prompts.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import torch

from harness.errors import FeatureSourceError, SubjectError
from harness.subjects.access import Continuation, TextActivations
from harness.subjects.continuing import (
    continued,
    divergences,
    logprobs_of,
    next_logprobs,
    read_prompts,
    reading_limit,
)
from harness.subjects.dictionary import check_features
from harness.subjects.interventions import Intervention, Steerable, intervene_rows
from harness.subjects.logit_weights import logit_weights
from harness.subjects.protocol import InterventionMode
from harness.subjects.tokenizing import encode_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence
    from concurrent.futures import Executor

    from harness.subjects.continuing import Read
    from harness.subjects.model import SubjectModel
    from harness.subjects.protocol import FeatureSource

__all__ = ["BATCH_TOKENS", "ModelAccess", "model_thread"]

T = TypeVar("T")

BATCH_TOKENS = 4096
"""Positions of one forward pass."""

_ENCODED_AT_ONCE = 1 << 23  # feature values; see harness.activations.collect
# Bytes of keys and values of prompts that are kept, on the model's device. Units in flight take turns, each with its
# own prompts; the search for a strength asks about the same ones many times.
_KEPT_READS = 1 << 30
_KEPT_ANSWERS = 2048


def model_thread() -> ThreadPoolExecutor:
    """Return the one thread on which everything of a model is computed; accesses to one model share it."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="subject")


class ModelAccess:
    """The ``SubjectAccess`` to a loaded model.

    Args:
        model: The subject model.
        source: Its feature source.
        bos: The token put before every text and prompt, as before the corpus's contexts; None for none.
        texts: Cuts the decoded text of ids into that of each token, as those of examples are cut.
        identity: Plain data that determines the model and the feature source; by default what the two say.
        thread: Where the model runs; accesses to one model must share it. A thread of its own by default.
    """

    def __init__(
        self,
        model: SubjectModel,
        source: FeatureSource,
        *,
        bos: int | None,
        texts: Callable[[Sequence[int]], tuple[str, ...]],
        identity: Mapping[str, Any] | None = None,
        thread: Executor | None = None,
    ) -> None:
        self._model = model
        self._source = source.to(torch.device(model.device))
        self._bos = bos
        self._texts = texts
        self._identity = identity
        self._thread = thread or model_thread()
        self._reads: _Recent[list[Read]] = _Recent(_KEPT_READS, lambda reads: sum(read.nbytes for read in reads))
        self._answers: _Recent[Any] = _Recent(_KEPT_ANSWERS)
        self._steers: bool | None = None

    @property
    def identity(self) -> Mapping[str, Any]:
        """Return plain data that determines every answer: the model and the feature source."""
        if self._identity is not None:
            return self._identity
        return {"model": self._model.identity, "kind": self._source.kind, "source": self._source.identity}

    @property
    def n_features(self) -> int:
        """Return how many features the source has."""
        return self._source.n_features

    @property
    def n_tokens(self) -> int:
        """Return how many tokens the tokenizer has."""
        return len(self._model.tokenizer)

    @property
    def steers(self) -> bool:
        """Return whether features can be changed."""
        if self._steers is None:
            # On the model's thread: a source that is not Steerable may put hooks on it.
            self._steers = self._thread.submit(self._can_steer).result()
        return self._steers

    async def activations(self, texts: Sequence[str], feature: int) -> tuple[TextActivations, ...]:
        """Return the feature's values on each text, read as collection reads a context of the corpus.

        Raises:
            FeatureSourceError: If there is no such feature.
            SubjectError: If hidden states are not finite.
        """
        wanted = tuple(texts)
        return await self._run(lambda: self._activations(wanted, feature))

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

        Raises:
            FeatureSourceError: If the source cannot be steered, or steering leaves nothing to choose from.
            SubjectError: If a prompt is empty, or is with what is written longer than the model reads.
        """
        asked, drawn = tuple(prompts), tuple(seeds)
        if len(asked) != len(drawn):
            raise SubjectError(f"{len(asked)} prompts have {len(drawn)} seeds")

        def compute() -> tuple[Continuation, ...]:
            self._check_room(asked, max_new_tokens)
            written = continued(
                self._model,
                self._source,
                self._read(asked),
                intervention,
                max_new_tokens=max_new_tokens,
                temperature=temperature,
                seeds=drawn,
            )
            return tuple(self._continuation(prompt, tokens) for prompt, tokens in zip(asked, written, strict=True))

        return await self._remembered(("continued", asked, intervention, max_new_tokens, temperature, drawn), compute)

    async def next_token_logprobs(
        self, prompts: Sequence[tuple[int, ...]], intervention: Intervention | None
    ) -> np.ndarray:
        """Return the log-probabilities of every next token after each prompt: float32 [prompts, n_tokens].

        Raises:
            FeatureSourceError: If the source cannot be steered.
            SubjectError: If a prompt is empty or longer than the model reads.
        """
        asked = tuple(prompts)
        if not asked:
            return np.zeros((0, self.n_tokens), dtype=np.float32)
        return await self._run(lambda: next_logprobs(self._model, self._source, self._read(asked), intervention))

    async def divergences(self, prompts: Sequence[tuple[int, ...]], intervention: Intervention) -> tuple[float, ...]:
        """Return KL(as it is, changed) of the next token after each prompt, in nats.

        Raises:
            FeatureSourceError: If the source cannot be steered.
            SubjectError: If a prompt is empty or longer than the model reads.
        """
        asked = tuple(prompts)
        return await self._remembered(
            ("divergences", asked, intervention),
            lambda: tuple(divergences(self._model, self._source, self._read(asked), intervention)),
        )

    async def continuation_logprobs(
        self, prompts: Sequence[tuple[int, ...]], continuations: Sequence[tuple[int, ...]]
    ) -> tuple[tuple[float, ...], ...]:
        """Return the log-probability of every token of each continuation, by the model as it is.

        Raises:
            SubjectError: If a prompt is empty, or is with its continuation longer than the model reads.
        """
        asked, written = tuple(prompts), tuple(continuations)
        if len(asked) != len(written):
            raise SubjectError(f"{len(asked)} prompts have {len(written)} continuations")

        def compute() -> tuple[tuple[float, ...], ...]:
            for prompt, tokens in zip(asked, written, strict=True):
                self._check_room((prompt,), len(tokens))
            return tuple(logprobs_of(self._model, self._read(asked), written))

        return await self._remembered(("logprobs", asked, written), compute)

    async def promoted_tokens(self, feature: int, count: int) -> tuple[tuple[int, str, float], ...] | None:
        """Return the tokens the feature promotes most by the direct path: ids, texts, logits; None if it writes none.

        Raises:
            FeatureSourceError: If there is no such feature.
        """
        return await self._remembered(("promoted", feature, count), lambda: self._promoted(feature, count))

    def token_texts(self, ids: Sequence[int]) -> tuple[str, ...]:
        """Return the text of each token by itself."""
        return tuple("".join(self._texts([token])) for token in ids)

    def _can_steer(self) -> bool:
        nothing = Intervention((0,), InterventionMode.ADD, 0.0)
        try:
            if isinstance(self._source, Steerable):
                self._source.change(self._model.model, nothing)
            else:
                with intervene_rows(self._source, self._model.model, [nothing]):
                    pass
        except FeatureSourceError:
            return False
        return True

    def _activations(self, texts: tuple[str, ...], feature: int) -> tuple[TextActivations, ...]:
        check_features([feature], self.n_features, where="features")
        limit = reading_limit(self._model)
        most = None if limit is None else max(1, limit - self._extra)
        ids = [found[:most].tolist() for found in encode_texts(self._model.tokenizer, texts)] if texts else []
        values: dict[int, tuple[float, ...]] = {place: () for place, row in enumerate(ids) if not row}
        # Longest first, as collection does, so that a batch has little padding.
        order = sorted((place for place, row in enumerate(ids) if row), key=lambda place: -len(ids[place]))
        while order:
            rows = max(1, BATCH_TOKENS // (len(ids[order[0]]) + self._extra))
            batch, order = order[:rows], order[rows:]
            values |= zip(batch, self._values([ids[place] for place in batch], feature), strict=True)
        return tuple(
            TextActivations(self._texts(row) if row else (), tuple(row), values[place]) for place, row in enumerate(ids)
        )

    @torch.inference_mode()
    def _values(self, rows: list[list[int]], feature: int) -> list[tuple[float, ...]]:
        """Return the feature's values on each row of ids, none empty."""
        lengths = [len(row) for row in rows]
        width = max(lengths) + self._extra
        ids = torch.zeros((len(rows), width), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for place, row in enumerate(rows):
            ids[place, : len(row) + self._extra] = torch.tensor([*self._begin, *row])
            mask[place, : len(row) + self._extra] = 1
        kept = mask.bool()
        kept[:, : self._extra] = False
        hookpoint = self._source.hookpoint
        hidden = self._model.hidden_states(ids, mask, [hookpoint])[hookpoint]
        states = hidden[kept.to(hidden.device)]
        if not bool(states.isfinite().all()):
            raise SubjectError(
                "the subject model's hidden states are not finite",
                where=str(hookpoint),
                hint="load it in float32 or bfloat16",
            )
        values = torch.zeros(len(states))
        at_once = max(1, _ENCODED_AT_ONCE // self.n_features)
        for start in range(0, len(states), at_once):
            found = self._source.encode_sparse(states[start : start + at_once])
            own = found.feature == feature
            values[start + found.row[own].cpu()] = found.value[own].float().cpu()
        return [tuple(part.tolist()) for part in torch.split(values, lengths)]

    def _promoted(self, feature: int, count: int) -> tuple[tuple[int, str, float], ...] | None:
        if self._source.write_directions([feature]) is None:
            return None
        (logits,) = logit_weights(self._model, self._source, [feature])
        top = logits.topk(min(count, len(logits)))
        ids = top.indices.tolist()
        return tuple(zip(ids, self.token_texts(ids), top.values.tolist(), strict=True))

    def _continuation(self, prompt: tuple[int, ...], tokens: tuple[int, ...]) -> Continuation:
        # Cut from the text of both together: some tokenizers write a first token otherwise than a later one.
        pieces = self._texts([*prompt, *tokens])
        return Continuation("".join(pieces[len(prompt) :]), tokens)

    def _read(self, prompts: tuple[tuple[int, ...], ...]) -> list[Read]:
        return self._reads.get(
            prompts, lambda: read_prompts(self._model, prompts, self._bos, BATCH_TOKENS) if prompts else []
        )

    def _check_room(self, prompts: tuple[tuple[int, ...], ...], more: int) -> None:
        limit = reading_limit(self._model)
        longest = max(map(len, prompts), default=0) + self._extra
        if limit is not None and longest + more > limit:
            raise SubjectError(
                f"a prompt of {longest} tokens and {more} after it are more than the {limit} the subject model reads",
                hint="shorter windows, or fewer new tokens",
            )

    @property
    def _begin(self) -> tuple[int, ...]:
        return () if self._bos is None else (self._bos,)

    @property
    def _extra(self) -> int:
        return len(self._begin)

    async def _run(self, compute: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, compute)

    async def _remembered(self, key: Hashable, compute: Callable[[], T]) -> T:
        found: T = await self._run(lambda: self._answers.get(key, compute))
        return found


class _Recent(Generic[T]):
    """What was computed last, by size at most ``most`` of it, but always the newest. Used on one thread only."""

    def __init__(self, most: int, size: Callable[[T], int] = lambda _: 1) -> None:
        self._most = most
        self._size = size
        self._kept: OrderedDict[Hashable, T] = OrderedDict()
        self._total = 0

    def get(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return what was computed for ``key``, now if it is not kept."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        made = self._kept[key] = compute()
        self._total += self._size(made)
        while self._total > self._most and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._total -= self._size(oldest)
        return made
