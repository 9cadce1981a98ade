"""Whether the memory of a collection depends on the corpus, and what a stored activation takes on disk.

A small Llama of random weights reads corpora of 100 k, 500 k and 2 M tokens, each in a process of its own; what is
measured does not depend on the model. Two subjects are collected in the same pass: a source of 16,384 latents of which
32 fire on a token, and 128 dense coordinates that fire on about every second token, of which a sample is kept. The
figure is the peak of resident memory, mapped pages of the stores included, over the whole life of the process.

The stated limits: all peaks within 5 % of their mean, and 6 bytes a stored activation, indices included.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.activations.collection import RandomSae
from benchmarks.activations.synthetic import Shape, decoder, write_tokens
from benchmarks.llm.figures import Figures
from harness.activations.collect import StoreRequest, open_stores
from harness.activations.tokens import TokenStore
from harness.subjects.coordinates import Coordinates
from harness.subjects.dictionary import Dictionary
from harness.subjects.model import SubjectModel
from harness.subjects.protocol import Hookpoint

SIZES = (100_000, 500_000, 2_000_000)
SPREAD = 0.05
LIMIT_BYTES = 6.0
WIDTH, LATENTS, K, DENSE = 64, 16_384, 32, 128
_VOCABULARY = 49_152


class Dense(Coordinates):
    """Coordinates of the MLP's input to its down projection."""

    kind = "mlp_neurons"


def small_model(tokenizer: Any) -> SubjectModel:
    """Return a Llama of two layers."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=_VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=DENSE,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.2,
    )
    model: Any = LlamaForCausalLM(config)
    return SubjectModel(model.eval().requires_grad_(requires_grad=False), tokenizer, {"drawn": 0})


def collect(folder: Path) -> None:
    """Collect from the tokens in ``folder`` and print the peak of memory and the bytes of both stores."""
    tokenizer = decoder()[0]
    tokens, model = TokenStore(folder / "tokens", tokenizer), small_model(tokenizer)
    directions = torch.nn.functional.normalize(torch.randn(LATENTS, WIDTH), dim=-1)
    dictionary = Dictionary(
        w_enc=directions.T.contiguous(),
        b_enc=torch.zeros(LATENTS),
        w_dec=directions,
        b_dec=torch.zeros(WIDTH),
        activation="topk",
        k=K,
    )
    place = Hookpoint("model.layers.0", "output")
    sparse = RandomSae.on_model(model.model, dictionary, place, place, {"drawn": LATENTS})
    neurons = Hookpoint("model.layers.0.mlp.down_proj", "input")
    dense = Dense(neurons, torch.zeros(DENSE, WIDTH), {"of": "neurons"}, "positive", None, 0.0)
    requests = [
        StoreRequest(name, {"model": dict(model.identity), "source": dict(source.identity)}, _returning(model, source))
        for name, source in (("sparse", sparse), ("dense", dense))
    ]
    begun = time.perf_counter()
    stores = open_stores(requests, tokens, folder, 8192)
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    found = {"peak": peak, "seconds": seconds}
    for name, store in stores.items():
        size = sum(path.stat().st_size for path in store.folder.iterdir())
        found |= {f"{name} bytes": size / store.n_activations, f"{name} kept": store.n_activations}
        found[f"{name} seen"] = int(store.counts().sum())
    print(json.dumps(found))


def _returning(model: SubjectModel, source: Any) -> Any:
    return lambda: (model, source)


def main() -> None:
    """Print the figures."""
    figures = Figures(f"memory: {LATENTS:,} latents with top {K} and {DENSE} dense features, one pass")
    peaks = {}
    for n_tokens in SIZES:
        with tempfile.TemporaryDirectory() as name:
            write_tokens(Path(name) / "tokens", Shape(n_tokens, ()), decoder()[0])
            command = [sys.executable, "-m", "benchmarks.activations.memory", name]
            done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 -- our own
            found = cast("dict[str, float]", json.loads(done.stdout.splitlines()[-1]))
        peaks[n_tokens] = found["peak"]
        figures.note(f"{n_tokens:,} tokens: peak of memory", found["peak"] / 1e6, "MB")
        figures.note("  collection", found["seconds"], "s")
        for kind in ("sparse", "dense"):
            figures.note(f"  {kind}: activations seen", found[f"{kind} seen"])
            figures.note(f"  {kind}: activations kept", found[f"{kind} kept"])
            figures.at_most(f"  {kind}: bytes an activation", found[f"{kind} bytes"], LIMIT_BYTES)
    mean = sum(peaks.values()) / len(peaks)
    farthest = max(abs(peak / mean - 1) for peak in peaks.values())
    figures.at_most("farthest peak from the mean of all", farthest, SPREAD)
    figures.end()


if __name__ == "__main__":
    if sys.argv[1:]:
        collect(Path(sys.argv[1]))
    else:
        main()
