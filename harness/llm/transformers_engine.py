"""A Hugging Face model that answers batches of questions. Imported late: it imports torch and transformers.

Rows are padded on the right, with positions given for every token, so that a row computes what it would compute alone;
beginnings that rows share are computed once. In float32 an answer is then the same in any company up to rounding
(see docs/reference/judges.md for what that is worth in bfloat16).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, DynamicCache

from harness.checkpoints.quiet import quiet_transformers
from harness.checkpoints.wide_linear import widen_slow_products
from harness.errors import LLMError
from harness.llm.decoding import Decoding, alternatives_at
from harness.llm.failures import brief
from harness.llm.generated import Generated, prompt_reply
from harness.llm.kv_store import KeyValues, KeyValueStore, joined
from harness.llm.prefixes import shared_prefixes
from harness.llm.protocol import CompletionRequest, TokenAlternatives

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from harness.llm.backend import Reply
    from harness.llm.batching import Job
    from harness.llm.chat_tokens import ChatTokens
    from harness.materials.checkpoint import Checkpoint

__all__ = ["Asked", "TransformersEngine", "context_of", "load_model"]

_LEAST_SAVED = 64
"""Tokens a shared beginning must save to be worth a pass of its own, which reads all weights once more."""

_LOGIT_ROWS = 512
"""Positions whose logits are held at once where those of a whole prompt are wanted."""

_REUSABLE = frozenset({"full_attention", "sliding_attention", "chunked_attention"})


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as the engine takes it.

    Attributes:
        request: A completion; None where the prompt itself is to be scored.
        top_logprobs: Alternatives at each prompt token, where the prompt is scored.
        limit: Most tokens of the answer, the context counted in.
        choices: Token sequences of the only answers allowed, if not empty.
        seed: Root of the draws.
    """

    request: CompletionRequest | None
    top_logprobs: int = 0
    limit: int = 0
    choices: tuple[tuple[int, ...], ...] = ()
    seed: int | None = None


def load_model(checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device, where: str) -> Any:
    """Return the causal language model, in evaluation mode.

    Raises:
        LLMError: If it cannot be loaded, or keeps a state that cannot be padded and cut as attention's can.
    """
    try:
        with quiet_transformers():
            model: Any = AutoModelForCausalLM.from_pretrained(
                checkpoint.name, revision=checkpoint.revision or "main", dtype=dtype, trust_remote_code=False
            )
    except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
        hint = "give a causal language model: a hub id, a folder with config.json and weights, or a .gguf file"
        raise LLMError(f"the model cannot be loaded: {brief(str(error))}", where=where, hint=hint) from error
    kinds = set(getattr(model.config.get_text_config(decoder=True), "layer_types", None) or ())
    if kinds - _REUSABLE:
        what = f"its layers are of a kind this backend cannot batch ({', '.join(sorted(kinds - _REUSABLE))})"
        raise LLMError(what, where=where, hint="use backend: vllm, or a server")
    model.requires_grad_(requires_grad=False)
    model = model.to(device).eval()
    widen_slow_products(model)
    head = model.get_output_embeddings()
    if isinstance(head, torch.nn.Linear) and head.weight.dtype != torch.float32:
        model.set_output_embeddings(_ExactHead(head))
    return model


class _ExactHead(torch.nn.Module):
    """The head of a model of a short type, computed in float32 on a copy of its weights.

    Between 16 and 32 bfloat16 numbers are 1/8 apart: logits rounded so can tie or change places, and P(yes) was seen to
    move by 0.03. What the layers below computed is exact enough to tell them apart.
    """

    def __init__(self, head: torch.nn.Linear) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(head.weight.float(), requires_grad=False)
        self.bias = None if head.bias is None else torch.nn.Parameter(head.bias.float(), requires_grad=False)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return logits [..., V] in float32."""
        return torch.nn.functional.linear(hidden.float(), self.weight, self.bias)


def context_of(model: Any) -> int:
    """Return the most tokens, prompt and answer together, the model has positions for."""
    positions = getattr(model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    return positions if isinstance(positions, int) and positions > 0 else sys.maxsize


@dataclass(slots=True)
class _Batch:
    """Rows that go through the model together.

    Attributes:
        cache: Their keys and values, P positions so far.
        mask: 1 where a row has a token, 0 where it is padded [n, P].
        had: Tokens of each row in ``cache``.
        cached: Tokens of each row that somebody else's work had computed.
    """

    cache: Any
    mask: torch.Tensor
    had: list[int]
    cached: list[int]


class TransformersEngine:
    """Answers batches; used from one thread.

    Args:
        model: The causal language model.
        tokens: Its tokenizer.
        kept_tokens: Tokens of prompts kept between batches.
    """

    def __init__(self, model: Any, tokens: ChatTokens, kept_tokens: int) -> None:
        self._model = model
        self._tokens = tokens
        self._store = KeyValueStore(kept_tokens)
        self._ends = _end_tokens(model, tokens)
        # transformers renamed the argument in 5.24.
        self._cache_argument = "cache" if "cache" in signature(model.forward).parameters else "past_key_values"

    @torch.inference_mode()
    def answer(self, jobs: Sequence[Job[Asked]]) -> list[Reply]:
        """Return the replies to jobs of one kind, in order."""
        if jobs[0].question.request is None:
            return self._score(jobs)
        return [
            generated.reply(short_answer=_is_short(job.question))
            for generated, job in zip(self._generate(jobs), jobs, strict=True)
        ]

    def _generate(self, jobs: Sequence[Job[Asked]]) -> list[Generated]:
        sequences = [job.tokens for job in jobs]
        batch = self._begin(sequences)
        cached = list(batch.cached)
        logits = self._finish_prompts(sequences, batch)
        rows = [self._decoding(job) for job in jobs]
        active = rows
        while True:
            scores = _log_softmax(logits)
            for row, logprobs in zip(active, scores, strict=True):
                row.step(logprobs)
            kept = [place for place, row in enumerate(active) if row.finish is None]
            if not kept:
                break
            if len(kept) < len(active):
                active = [active[place] for place in kept]
                index = torch.tensor(kept, device=batch.mask.device)
                batch.cache.batch_select_indices(index)
                batch.mask = batch.mask[index]
            logits = self._one_more(active, batch)
        self._store.trim()
        return [row.generated(already) for row, already in zip(rows, cached, strict=True)]

    def _decoding(self, job: Job[Asked]) -> Decoding:
        asked = job.question
        assert asked.request is not None  # noqa: S101 -- the caller sorted the kinds
        return Decoding(
            asked.request,
            job.tokens,
            limit=asked.limit,
            ends=self._ends,
            choices=asked.choices,
            seed=asked.seed,
            texts=(self._tokens.token_text, self._tokens.text),
        )

    def _begin(self, sequences: Sequence[tuple[int, ...]]) -> _Batch:
        """Return the batch with everything in its cache that need not be computed row by row."""
        # What was there before this batch is nobody's cost; what is computed for several rows is the first one's.
        charged = [0] * len(sequences)
        for prefix in shared_prefixes(sequences, _LEAST_SAVED, self._store.known):
            tokens = sequences[prefix.rows[0]][: prefix.length]
            charged[prefix.rows[0]] += self._extend(tokens)
        found = [self._store.find(tokens[:-1]) for tokens in sequences]
        had = [0 if entry is None else len(entry.tokens) for entry in found]
        template = next((entry for entry in found if entry is not None), None)
        width = max(had)
        mask = torch.zeros((len(sequences), width), dtype=torch.long, device=self._model.device)
        for row, length in enumerate(had):
            mask[row, :length] = 1
        cache = DynamicCache() if template is None else DynamicCache(joined(found, template))
        cached = [max(length - cost, 0) for length, cost in zip(had, charged, strict=True)]
        return _Batch(cache, mask, had, cached)

    def _extend(self, tokens: tuple[int, ...]) -> int:
        """Compute and keep ``tokens`` as far as they are not kept; return how many were computed."""
        known = self._store.find(tokens)
        had = 0 if known is None else len(known.tokens)
        if had == len(tokens):
            return 0
        cache: Any = DynamicCache() if known is None else DynamicCache(known.layers)
        ids = torch.tensor([tokens[had:]], device=self._model.device)
        positions = torch.arange(had, len(tokens), device=self._model.device)[None]
        kept = {self._cache_argument: cache}
        self._model(input_ids=ids, position_ids=positions, use_cache=True, logits_to_keep=1, **kept)
        self._store.keep(KeyValues(tokens, _layers(cache, 0, len(tokens))))
        return len(tokens) - had

    def _finish_prompts(self, sequences: Sequence[tuple[int, ...]], batch: _Batch) -> torch.Tensor:
        """Return the logits [n, V] after the last token of every prompt."""
        rest = [tokens[had:] for tokens, had in zip(sequences, batch.had, strict=True)]
        last = torch.tensor([len(tokens) - 1 for tokens in rest], device=self._model.device)
        wanted, places = torch.unique(last, return_inverse=True)
        logits = self._forward(rest, batch, wanted)
        if len(sequences) == 1 and len(sequences[0]) > 1:
            # Those that come one by one find what the one before left; a batch keeps only what its rows share.
            self._store.keep(KeyValues(sequences[0], _layers(batch.cache, 0, len(sequences[0]))))
        return logits[torch.arange(len(rest), device=logits.device), places]

    def _forward(self, rest: Sequence[Sequence[int]], batch: _Batch, logits_to_keep: torch.Tensor) -> torch.Tensor:
        """Return logits [n, len(logits_to_keep), V] of the next tokens of each row, padded on the right."""
        device = self._model.device
        width = max(len(tokens) for tokens in rest)
        ids = torch.zeros((len(rest), width), dtype=torch.long, device=device)
        fresh = torch.zeros_like(ids)
        for row, tokens in enumerate(rest):
            ids[row, : len(tokens)] = torch.tensor(tokens, dtype=torch.long, device=device)
            fresh[row, : len(tokens)] = 1
        had = torch.tensor(batch.had, device=device)[:, None]
        ends = had + fresh.sum(dim=1, keepdim=True) - 1
        # What is padded repeats the last position: one beyond the context may not exist.
        positions = torch.minimum(had + torch.arange(width, device=device), ends.clamp(min=0))
        batch.mask = torch.cat([batch.mask, fresh], dim=1)
        batch.had = [had + len(tokens) for had, tokens in zip(batch.had, rest, strict=True)]
        logits: torch.Tensor = self._model(
            input_ids=ids,
            attention_mask=None if bool(batch.mask.all()) else batch.mask,
            position_ids=positions,
            use_cache=True,
            logits_to_keep=logits_to_keep,
            **{self._cache_argument: batch.cache},
        ).logits
        return logits

    def _one_more(self, rows: Sequence[Decoding], batch: _Batch) -> torch.Tensor:
        batch.had = [row.length - 1 for row in rows]
        nothing_but_last = torch.zeros(1, dtype=torch.long, device=self._model.device)
        return self._forward([[row.last] for row in rows], batch, nothing_but_last)[:, -1]

    def _score(self, jobs: Sequence[Job[Asked]]) -> list[Reply]:
        """Return the log-probabilities of every prompt token, without reuse: all positions are wanted anyway."""
        n = len(jobs)
        batch = _Batch(DynamicCache(), torch.zeros((n, 0), dtype=torch.long, device=self._model.device), [0] * n, [])
        step = max(1, _LOGIT_ROWS // n)
        found: list[list[TokenAlternatives]] = [
            [TokenAlternatives(self._tokens.token_text(job.tokens[0]), None)] for job in jobs
        ]
        for start in range(0, max(len(job.tokens) for job in jobs), step):
            part = [job.tokens[start : start + step] for job in jobs]
            wanted = torch.arange(max(map(len, part)), device=self._model.device)
            logits = self._forward(part, batch, wanted)
            for row, job in enumerate(jobs):
                targets = job.tokens[start + 1 : start + step + 1]
                scores = _log_softmax(logits[row, : len(targets)])
                top = job.question.top_logprobs
                found[row] += [self._scored(each, target, top) for each, target in zip(scores, targets, strict=True)]
        return [prompt_reply(tokens, 0) for tokens in found]

    def _scored(self, logprobs: np.ndarray, target: int, top: int) -> TokenAlternatives:
        others = alternatives_at(logprobs, top, self._tokens.token_text, [target])
        return TokenAlternatives(self._tokens.token_text(target), float(logprobs[target]), others)


def _is_short(asked: Asked) -> bool:
    request = asked.request
    return request is not None and (request.max_tokens == 1 or bool(request.choices))


def _log_softmax(logits: torch.Tensor) -> np.ndarray:
    """Return log-probabilities of logits [n, V], in float32 whatever the model's type."""
    array: np.ndarray = torch.log_softmax(logits.float(), dim=-1).cpu().numpy()
    return array


def _layers(cache: Any, row: int, length: int) -> tuple[tuple[torch.Tensor, torch.Tensor], ...]:
    """Return one row's keys and values of its first ``length`` positions, as copies that outlive the batch."""
    return tuple(
        (layer.keys[row : row + 1, :, :length].clone(), layer.values[row : row + 1, :, :length].clone())
        for layer in cache.layers
    )


def _end_tokens(model: Any, tokens: ChatTokens) -> tuple[int, ...]:
    """Return every token that ends an answer, as the generation config and the tokenizer have them."""
    stated = getattr(model.generation_config, "eos_token_id", None)
    ends = stated if isinstance(stated, list) else [stated]
    return tuple(sorted({end for end in (*ends, tokens.end) if isinstance(end, int)}))
