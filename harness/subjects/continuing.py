"""Going on from prompts, as the model is or with features changed from the last token of each prompt on.

All but a prompt's last token is read once, by the model as it is, and kept as keys and values; every way of going on
starts from there. So an intervention touches nothing before the last token, and trying many strengths on the same
prompts costs one token each. Prompts that are read together have the same length: nothing is padded before them.
"""

from __future__ import annotations

import copy
import math
from contextlib import nullcontext
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import DynamicCache

from harness.errors import FeatureSourceError, SubjectError
from harness.seeding import generator
from harness.subjects.architecture import text_config
from harness.subjects.interventions import intervene_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from harness.subjects.interventions import Intervention
    from harness.subjects.model import SubjectModel
    from harness.subjects.protocol import FeatureSource

__all__ = ["Read", "continued", "divergences", "logprobs_of", "next_logprobs", "read_prompts", "reading_limit"]


@dataclass(frozen=True, eq=False)
class Read:
    """Prompts of one length, read up to their last token.

    Attributes:
        rows: Their places among all prompts.
        last: Their last tokens, [n, 1].
        cache: Keys and values of what stands before. It is copied before anything is read after it.
        clean: Log-probabilities of the next token by the model as it is, float32 [n, n_tokens].
    """

    rows: tuple[int, ...]
    last: torch.Tensor
    cache: Any
    clean: torch.Tensor


def reading_limit(model: SubjectModel) -> int | None:
    """Return how many tokens the model reads, BOS included, or None if it does not say."""
    limit = getattr(text_config(model.model), "max_position_embeddings", None)
    return limit if isinstance(limit, int) else None


@torch.inference_mode()
def read_prompts(
    model: SubjectModel, prompts: Sequence[tuple[int, ...]], bos: int | None, batch_tokens: int
) -> list[Read]:
    """Return the prompts, read up to the last token of each, in batches of at most ``batch_tokens`` tokens.

    Raises:
        SubjectError: If a prompt is empty or longer than the model reads.
    """
    begin = () if bos is None else (bos,)
    by_length: dict[int, list[int]] = {}
    for place, prompt in enumerate(prompts):
        by_length.setdefault(len(prompt), []).append(place)
    _check_lengths(model, by_length, len(begin))
    found = []
    for length, places in sorted(by_length.items()):
        at_once = max(1, batch_tokens // (length + len(begin)))
        for start in range(0, len(places), at_once):
            rows = tuple(places[start : start + at_once])
            ids = torch.tensor([[*begin, *prompts[row]] for row in rows], device=model.device)
            found.append(_read(model, rows, ids))
    return found


def next_logprobs(
    model: SubjectModel, source: FeatureSource, reads: Sequence[Read], intervention: Intervention | None
) -> np.ndarray:
    """Return the log-probabilities of the next token after every prompt, float32 [prompts, n_tokens].

    Raises:
        FeatureSourceError: If the source cannot be steered.
    """
    return _in_order(reads, [_after_last(model, source, read, intervention)[0] for read in reads])


def divergences(
    model: SubjectModel, source: FeatureSource, reads: Sequence[Read], intervention: Intervention
) -> list[float]:
    """Return KL(as it is, changed) of the next token after every prompt, in nats.

    Infinity where what the changed model gives is not finite.

    Raises:
        FeatureSourceError: If the source cannot be steered.
    """
    found: dict[int, float] = {}
    for read in reads:
        changed = _after_last(model, source, read, intervention)[0].double()
        clean = read.clean.double()
        values = (clean.exp() * (clean - changed)).sum(dim=-1).tolist()
        found |= {
            row: max(0.0, value) if math.isfinite(value) else math.inf
            for row, value in zip(read.rows, values, strict=True)
        }
    return [found[row] for row in range(len(found))]


def continued(
    model: SubjectModel,
    source: FeatureSource,
    reads: Sequence[Read],
    intervention: Intervention | None,
    *,
    max_new_tokens: int,
    temperature: float,
    seeds: Sequence[int],
) -> list[tuple[int, ...]]:
    """Return the tokens written after every prompt; the token that ends a text is left out.

    Every row draws with a generator of its own, one number a token, by the inverse of the distribution function: what
    it writes does not depend on the rows beside it.

    Raises:
        FeatureSourceError: If the source cannot be steered, or the changed model's outputs are not finite.
    """
    found: dict[int, tuple[int, ...]] = {}
    ends = _ends(model)
    for read in reads:
        chooser = _Chooser([seeds[row] for row in read.rows], temperature)
        written: list[list[int]] = [[] for _ in read.rows]
        open_rows = set(range(len(read.rows)))
        logprobs, cache = (None, None) if max_new_tokens < 1 else _after_last(model, source, read, intervention)
        while logprobs is not None and open_rows:
            tokens = chooser.choose(logprobs)
            for place in sorted(open_rows):
                if tokens[place] in ends:
                    open_rows.discard(place)
                    continue
                written[place].append(tokens[place])
                if len(written[place]) == max_new_tokens:
                    open_rows.discard(place)
            if not open_rows:
                break
            ids = torch.tensor(tokens, device=model.device)[:, None]
            logprobs = _step(model, source, ids, cache, intervention)[:, -1]
        found |= {row: tuple(tokens) for row, tokens in zip(read.rows, written, strict=True)}
    return [found[row] for row in range(len(found))]


def logprobs_of(
    model: SubjectModel, source: FeatureSource, reads: Sequence[Read], continuations: Sequence[tuple[int, ...]]
) -> list[tuple[float, ...]]:
    """Return the log-probability of every token of each prompt's continuation, by the model as it is."""
    found: dict[int, tuple[float, ...]] = {}
    for read in reads:
        own = [continuations[row] for row in read.rows]
        longest = max(map(len, own))
        # Padding stands behind what is read, which cannot see it.
        fed = torch.zeros((len(own), max(1, longest)), dtype=torch.long, device=model.device)
        fed[:, 0] = read.last[:, 0]
        for place, tokens in enumerate(own):
            if len(tokens) > 1:
                fed[place, 1 : len(tokens)] = torch.tensor(tokens[:-1], device=model.device)
        logprobs = _step(model, source, fed, copy.deepcopy(read.cache), None) if longest else None
        for place, (row, tokens) in enumerate(zip(read.rows, own, strict=True)):
            picked = [] if logprobs is None else [float(logprobs[place, at, token]) for at, token in enumerate(tokens)]
            found[row] = tuple(picked)
    return [found[row] for row in range(len(found))]


class _Chooser:
    """Chooses the next token of each row."""

    def __init__(self, seeds: Sequence[int], temperature: float) -> None:
        self._draws = [generator(seed, "continuation") for seed in seeds]
        self._temperature = temperature

    def choose(self, logprobs: torch.Tensor) -> list[int]:
        """Return a token for each row of log-probabilities [n, n_tokens].

        Raises:
            FeatureSourceError: If they are not finite.
        """
        if not bool(logprobs.isfinite().all()):
            raise FeatureSourceError(
                "with the feature changed the subject model's outputs are not finite", hint="use a smaller strength"
            )
        if self._temperature == 0:
            return [int(token) for token in logprobs.argmax(dim=-1).tolist()]
        # In double precision on one device: a draw must not fall elsewhere for the sake of a sum's last digits.
        rows = logprobs.double().cpu().numpy() / self._temperature
        weights = np.cumsum(np.exp(rows - rows.max(axis=-1, keepdims=True)), axis=-1)
        found = []
        for draw, row in zip(self._draws, weights, strict=True):
            place = int(np.searchsorted(row, draw.random() * row[-1], side="right"))
            found.append(min(place, row.size - 1))
        return found


def _read(model: SubjectModel, rows: tuple[int, ...], ids: torch.Tensor) -> Read:
    hf: Any = model.model
    before, last = ids[:, :-1], ids[:, -1:]
    cache: Any = DynamicCache(config=text_config(hf))
    if before.shape[1]:
        # The base model alone: nobody asks for the logits of what stands before.
        hf.base_model(input_ids=before, use_cache=True, **{_cache_argument(hf.base_model): cache})
    clean = _forward(model, last, copy.deepcopy(cache))[:, -1]
    if not bool(clean.isfinite().all()):
        raise SubjectError("the subject model's outputs are not finite", hint="load it in float32 or bfloat16")
    return Read(rows, last, cache, clean)


def _after_last(
    model: SubjectModel, source: FeatureSource, read: Read, intervention: Intervention | None
) -> tuple[torch.Tensor, Any]:
    """Return the log-probabilities [n, n_tokens] after the last tokens, and the cache with these read."""
    cache = copy.deepcopy(read.cache)
    return _step(model, source, read.last, cache, intervention)[:, -1], cache


def _step(
    model: SubjectModel, source: FeatureSource, ids: torch.Tensor, cache: Any, intervention: Intervention | None
) -> torch.Tensor:
    """Return the log-probabilities [n, T, n_tokens] after each of ``ids`` [n, T]; ``cache`` grows by them."""
    with _changed(model, source, intervention):
        return _forward(model, ids, cache)


@torch.inference_mode()
def _forward(model: SubjectModel, ids: torch.Tensor, cache: Any) -> torch.Tensor:
    hf: Any = model.model
    logits: torch.Tensor = hf(input_ids=ids, use_cache=True, **{_cache_argument(hf): cache}).logits
    # Some vocabularies are padded beyond the tokenizer's.
    return logits[..., : len(model.tokenizer)].float().log_softmax(dim=-1)


def _cache_argument(module: Any) -> str:
    # transformers renamed it in 5.24.
    return "cache" if "cache" in signature(module.forward).parameters else "past_key_values"


def _changed(
    model: SubjectModel, source: FeatureSource, intervention: Intervention | None
) -> AbstractContextManager[None]:
    return nullcontext() if intervention is None else intervene_rows(source, model.model, [intervention])


def _in_order(reads: Sequence[Read], parts: Sequence[torch.Tensor]) -> np.ndarray:
    whole: dict[int, np.ndarray] = {}
    for read, part in zip(reads, parts, strict=True):
        whole |= dict(zip(read.rows, part.cpu().numpy(), strict=True))
    return np.stack([whole[row] for row in range(len(whole))])


def _ends(model: SubjectModel) -> frozenset[int]:
    """Return the tokens that end a text."""
    config = getattr(model.model, "generation_config", None)
    stated = getattr(config, "eos_token_id", None)
    several = stated if isinstance(stated, list) else [stated]
    return frozenset(token for token in (*several, model.tokenizer.eos_token_id) if isinstance(token, int))


def _check_lengths(model: SubjectModel, lengths: dict[int, list[int]], extra: int) -> None:
    if 0 in lengths:
        raise SubjectError("a prompt without tokens cannot be gone on from")
    limit = reading_limit(model)
    longest = max(lengths, default=0) + extra
    if limit is not None and longest > limit:
        raise SubjectError(f"a prompt is {longest} tokens long with BOS, and the subject model reads {limit}")
