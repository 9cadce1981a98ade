"""Going on from prompts, as the model is or with features changed from the last token of each prompt on.

All but a prompt's last token is read once, by the model as it is, and kept as keys and values; every way of going on
starts from there. So an intervention touches nothing before the last token, and trying many strengths on the same
prompts costs one token each. Prompts of different lengths are read together, padded on the left.
"""

from __future__ import annotations

import copy
import math
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

    from harness.subjects.interventions import Intervention
    from harness.subjects.model import SubjectModel
    from harness.subjects.protocol import FeatureSource

__all__ = [
    "LOGPROBS_AT_ONCE",
    "Read",
    "continued",
    "divergences",
    "logprobs_of",
    "next_logprobs",
    "read_prompts",
    "reading_limit",
]

LOGPROBS_AT_ONCE = 1 << 25
"""Log-probabilities of continuations that are in memory at once: 128 MiB in float32, and their logits beside them."""


@dataclass(frozen=True, eq=False)
class Read:
    """Prompts that were read together up to their last tokens.

    Attributes:
        rows: Their places among all prompts.
        last: Their last tokens, [n, 1].
        mask: 1 for tokens and 0 for padding before them, the last tokens included, [n, T].
        cache: Keys and values of what stands before. It is copied before anything is read after it.
        clean: Log-probabilities of the next token by the model as it is, float32 [n, n_tokens].
    """

    rows: tuple[int, ...]
    last: torch.Tensor
    mask: torch.Tensor
    cache: Any
    clean: torch.Tensor

    @property
    def nbytes(self) -> int:
        """Return the bytes of what is kept: keys, values, and log-probabilities."""
        states = [
            part for layer in self.cache.layers for part in vars(layer).values() if isinstance(part, torch.Tensor)
        ]
        return sum(part.nbytes for part in (self.clean, *states))


def reading_limit(model: SubjectModel) -> int | None:
    """Return how many tokens the model reads, BOS included, or None if it does not say."""
    limit = getattr(text_config(model.model), "max_position_embeddings", None)
    return limit if isinstance(limit, int) else None


def read_prompts(
    model: SubjectModel, prompts: Sequence[tuple[int, ...]], bos: int | None, batch_tokens: int
) -> list[Read]:
    """Return the prompts, read up to the last token of each, in batches of at most ``batch_tokens`` tokens.

    Raises:
        SubjectError: If a prompt is empty or longer than the model reads.
    """
    begin = () if bos is None else (bos,)
    _check_lengths(model, [len(prompt) for prompt in prompts], len(begin))
    # By length, so that a batch has little padding.
    order = sorted(range(len(prompts)), key=lambda place: (len(prompts[place]), place))
    found = []
    while order:
        longest = len(prompts[order[-1]]) + len(begin)
        at_once = max(1, batch_tokens // longest)
        rows, order = tuple(order[-at_once:]), order[:-at_once]
        found.append(_read(model, rows, [[*begin, *prompts[row]] for row in rows]))
    return found


def next_logprobs(
    model: SubjectModel, source: FeatureSource, reads: Sequence[Read], intervention: Intervention | None
) -> np.ndarray:
    """Return the log-probabilities of the next token after every prompt, float32 [prompts, n_tokens].

    Raises:
        FeatureSourceError: If the source cannot be steered.
    """
    return _in_order(reads, [_after_last(model, source, read, intervention) for read in reads])


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
        changed = _after_last(model, source, read, intervention).double()
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
        cache = copy.deepcopy(read.cache)
        ids, mask = read.last, read.mask
        while open_rows and max_new_tokens > 0:
            tokens = chooser.choose(_step(model, source, ids, cache, mask, intervention)[:, -1], sorted(open_rows))
            for place in sorted(open_rows):
                if tokens[place] in ends:
                    open_rows.discard(place)
                    continue
                written[place].append(tokens[place])
                if len(written[place]) == max_new_tokens:
                    open_rows.discard(place)
            ids = torch.tensor(tokens, device=model.device)[:, None]
            mask = _longer(mask, 1)
        found |= {row: tuple(tokens) for row, tokens in zip(read.rows, written, strict=True)}
    return [found[row] for row in range(len(found))]


def logprobs_of(
    model: SubjectModel, reads: Sequence[Read], continuations: Sequence[tuple[int, ...]]
) -> list[tuple[float, ...]]:
    """Return the log-probability of every token of each prompt's continuation, by the model as it is.

    Continuations are read some tokens at a time: at once at most ``LOGPROBS_AT_ONCE`` log-probabilities are in memory,
    or those of one token after each prompt of a batch, if these are more.
    """
    found: dict[int, tuple[float, ...]] = {}
    for read in reads:
        own = [continuations[row] for row in read.rows]
        found |= dict(zip(read.rows, _logprobs_after(model, read, own), strict=True))
    return [found[row] for row in range(len(found))]


def _logprobs_after(
    model: SubjectModel, read: Read, continuations: Sequence[tuple[int, ...]]
) -> list[tuple[float, ...]]:
    """Return the log-probability of every token of the continuations of prompts that were read together."""
    longest = max(map(len, continuations))
    # Padding stands behind what is read, which cannot see it.
    wanted = torch.zeros((len(continuations), longest), dtype=torch.long, device=model.device)
    for place, tokens in enumerate(continuations):
        wanted[place, : len(tokens)] = torch.tensor(tokens, dtype=torch.long, device=model.device)
    fed = torch.cat([read.last, wanted], dim=1)
    at_once = max(1, LOGPROBS_AT_ONCE // (len(continuations) * len(model.tokenizer)))
    cache, picked = copy.deepcopy(read.cache), torch.zeros(wanted.shape)
    for start in range(0, longest, at_once):
        stop = min(longest, start + at_once)
        logprobs = _forward(model, fed[:, start:stop], cache, _longer(read.mask, stop - 1))
        picked[:, start:stop] = logprobs.gather(-1, wanted[:, start:stop, None])[..., 0].cpu()
    return [tuple(row[: len(tokens)]) for row, tokens in zip(picked.tolist(), continuations, strict=True)]


class _Chooser:
    """Chooses the next token of each row."""

    def __init__(self, seeds: Sequence[int], temperature: float) -> None:
        self._draws = [generator(seed, "continuation") for seed in seeds]
        self._temperature = temperature

    def choose(self, logprobs: torch.Tensor, wanted: Sequence[int]) -> list[int]:
        """Return a token for each row of log-probabilities [n, n_tokens]: 0 for those that are not wanted.

        Raises:
            FeatureSourceError: If those of a wanted row are not finite.
        """
        logprobs = logprobs[list(wanted)]
        found = [0] * len(self._draws)
        for place, token in zip(wanted, self._chosen(logprobs, [self._draws[place] for place in wanted]), strict=True):
            found[place] = token
        return found

    def _chosen(self, logprobs: torch.Tensor, draws: Sequence[np.random.Generator]) -> list[int]:
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
        for draw, row in zip(draws, weights, strict=True):
            place = int(np.searchsorted(row, draw.random() * row[-1], side="right"))
            found.append(min(place, row.size - 1))
        return found


def _read(model: SubjectModel, rows: tuple[int, ...], prompts: Sequence[Sequence[int]]) -> Read:
    longest = max(map(len, prompts))
    ids = torch.zeros((len(prompts), longest), dtype=torch.long, device=model.device)
    mask = torch.zeros_like(ids)
    for place, prompt in enumerate(prompts):
        ids[place, longest - len(prompt) :] = torch.tensor(list(prompt), device=model.device)
        mask[place, longest - len(prompt) :] = 1
    hf: Any = model.model
    cache: Any = DynamicCache(config=text_config(hf))
    if longest > 1:
        with torch.inference_mode():
            # The base model alone: nobody asks for the logits of what stands before.
            hf.base_model(**_inputs(hf.base_model, ids[:, :-1], cache, mask[:, :-1]))
    clean = _forward(model, ids[:, -1:], copy.deepcopy(cache), mask)[:, -1]
    if not bool(clean.isfinite().all()):
        raise SubjectError("the subject model's outputs are not finite", hint="load it in float32 or bfloat16")
    return Read(rows, ids[:, -1:], mask, cache, clean)


def _after_last(
    model: SubjectModel, source: FeatureSource, read: Read, intervention: Intervention | None
) -> torch.Tensor:
    """Return the log-probabilities [n, n_tokens] after the last tokens."""
    if intervention is None:
        return read.clean
    return _step(model, source, read.last, copy.deepcopy(read.cache), read.mask, intervention)[:, -1]


def _step(
    model: SubjectModel,
    source: FeatureSource,
    ids: torch.Tensor,
    cache: Any,
    mask: torch.Tensor,
    intervention: Intervention | None,
) -> torch.Tensor:
    """Return what ``_forward`` does, with the features changed."""
    if intervention is None:
        return _forward(model, ids, cache, mask)
    with intervene_rows(source, model.model, [intervention]):
        return _forward(model, ids, cache, mask)


@torch.inference_mode()
def _forward(model: SubjectModel, ids: torch.Tensor, cache: Any, mask: torch.Tensor) -> torch.Tensor:
    """Return the log-probabilities [n, T, n_tokens] after each of ``ids`` [n, T]; ``cache`` grows by them.

    ``mask`` is of all that was read, ``ids`` included.
    """
    hf: Any = model.model
    logits: torch.Tensor = hf(**_inputs(hf, ids, cache, mask)).logits
    # Some vocabularies are padded beyond the tokenizer's.
    return logits[..., : len(model.tokenizer)].float().log_softmax(dim=-1)


def _inputs(module: Any, ids: torch.Tensor, cache: Any, mask: torch.Tensor) -> dict[str, Any]:
    known = signature(module.forward).parameters
    # transformers renamed it in 5.24.
    inputs = {"input_ids": ids, "use_cache": True, "cache" if "cache" in known else "past_key_values": cache}
    if not bool(mask.all()):
        inputs["attention_mask"] = mask
        # Counted without the padding; models that know no positions have none to be told.
        if "position_ids" in known:
            inputs["position_ids"] = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -ids.shape[1] :]
    return inputs


def _longer(mask: torch.Tensor, more: int) -> torch.Tensor:
    return torch.cat([mask, mask.new_ones((len(mask), more))], dim=1)


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


def _check_lengths(model: SubjectModel, lengths: Sequence[int], extra: int) -> None:
    if 0 in lengths:
        raise SubjectError("a prompt without tokens cannot be gone on from")
    limit = reading_limit(model)
    longest = max(lengths, default=0) + extra
    if limit is not None and longest > limit:
        raise SubjectError(f"a prompt is {longest} tokens long with BOS, and the subject model reads {limit}")
