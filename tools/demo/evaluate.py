"""Measure the demo SAE and transcoder on held-out tokens and write their card.

Writes ``card.json`` and ``CARD.md``. Both coders are loaded with the library whose format they are in, in float32, and
run over the held-out part of the stored activations: no chapter, article, speech or source file of it was trained on.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import numpy as np
import torch
from convert_model import GGUF_SHA256
from sae_lens.saes.sae import SAE
from sparsify import SparseCoder

log = logging.getLogger("evaluate")

DENSE = 0.1

Coder = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]

CARD = """# Card of the demo feature sources

Two small dictionaries for {model}, block {layer}, made so that the demo and the tests have something
real to read. They are demonstrations, not research artefacts: {tokens:,} training tokens are very few.

| | SAE (`sae/`) | transcoder (`transcoder/layers.{layer}.mlp/`) |
|---|---:|---:|
{rows}

## What they are
- **SAE**: residual stream after block {layer} (`model.layers.{layer}.output`), TopK with k={k}, {n} latents, SAELens v6
  format. Trained with sae-lens' `SAETrainer` on stored activations; the activation scale is folded into the
  weights, so it reads raw hidden states. Its decoder rows have unit norm.
- **Transcoder**: MLP of block {layer}, input to output (`model.layers.{layer}.mlp`), TopK with k={k}, {n} latents, no
  skip connection, sparsify format. sparsify's `SparseCoder` module with a short training loop of our own
  (`tools/demo/train_transcoder.py` says why).
- Weights are stored in float16 and meant to be used in float32.

## How they were trained
- Subject model: {model}, from a GGUF file, dequantised and run in bfloat16. Its sha256:
  `{gguf}`.
- Contexts of {context} tokens that start with the BOS token and never cross a document (tails of at least {tail}
  tokens). **The first position (BOS) was dropped from training and from every figure here**; prepend BOS and ignore
  position 0 when you use them.
- Training text, tokens by register: {registers}.
  Passes over them: {passes}.
- Held-out text: {held_tokens:,} tokens ({held_registers}).
  Works were divided by a hash of their source, so no chapter, article, speech or source file is in both parts.
  The demo corpus contains works of both parts.
- The encyclopaedia and wikitext parts of the training text are Wikipedia text under CC BY-SA 3.0; the prose, speech and
  code parts are in the public domain. `SOURCES.md` names them; two parts were used for training only: the written
  messages of the State of the Union (same package) and the validation part of WikiText-2 (Merity et al., 2016).
- Seeds: text and order {seed_text}, SAE {seed_sae}, transcoder {seed_transcoder}.
- Libraries: {versions};
  Python {python}.

## Massive activations
Position 0 is not the only one: {massive} of the {held_tokens:,} held-out tokens have a residual vector more than
{massive_factor:g} times longer than the median ({median_norm:.0f}); the longest has norm {longest:.0f}. They are left
out of the SAE's figures above, and in training they were shortened to {massive_factor:g} times the median. On them the
SAE's latents take values far outside their usual range: {sink_latents} latents are active on at least one. A harness
that looks at maximal activations should leave out such tokens. The transcoder is not affected, as it reads the
normalised stream.

## Files
{files}

## Licence
The weights are released under Apache-2.0, the licence of the subject model.
"""


def sae_coder(folder: Path) -> tuple[Coder, torch.Tensor]:
    """Load the SAE with sae-lens; return encode-and-decode and the decoder."""
    sae = SAE.load_from_disk(folder)

    def run(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        acts = sae.encode(x)
        return acts, sae.decode(acts)

    return run, sae.W_dec.data


def transcoder_coder(folder: Path) -> tuple[Coder, torch.Tensor]:
    """Load the transcoder with sparsify; return encode-and-decode and the decoder."""
    coder = SparseCoder.load_from_disk(folder).to(torch.float32)

    def run(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        out = coder.encode(x)
        acts = torch.zeros_like(out.pre_acts).scatter(-1, out.top_indices, out.top_acts)
        return acts, acts @ coder.W_dec + coder.b_dec

    return run, coder.W_dec.data


@torch.no_grad()
def measure(run: Coder, inputs: np.ndarray, targets: np.ndarray, batch: int = 4_096) -> dict[str, Any]:
    """Return variance explained (centred), L0, dead fraction and firing frequencies over all rows."""
    mean = torch.from_numpy(targets.astype(np.float64).mean(0))
    unexplained = total = active = 0.0
    counts = torch.zeros(common.N_LATENTS)
    for start in range(0, len(inputs), batch):
        x = torch.from_numpy(inputs[start : start + batch].astype(np.float32))
        y = torch.from_numpy(targets[start : start + batch].astype(np.float32))
        acts, out = run(x)
        unexplained += (y - out).double().pow(2).sum().item()
        total += (y.double() - mean).pow(2).sum().item()
        fired = acts > 0
        active += fired.sum().item()
        counts += fired.sum(0)
    frequency = counts / len(inputs)
    return {
        "variance_explained": 1 - unexplained / total,
        "l0": active / len(inputs),
        "dead_fraction": (counts == 0).float().mean().item(),
        "dead_latents": int((counts == 0).sum()),
        "latents_firing_on_over_10_percent": int((frequency > DENSE).sum()),
        "median_firing_frequency": frequency.median().item(),
        "held_out_tokens": len(inputs),
    }


def describe_shares(shares: dict[str, int]) -> str:
    """Write token counts by register as a phrase."""
    return ", ".join(f"{name} {count:,}" for name, count in sorted(shares.items()))


def main() -> None:
    """Parse arguments, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--activations", type=Path, required=True, help="folder written by collect.py")
    parser.add_argument("--demo", type=Path, default=Path("harness/demo"))
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    torch.set_num_threads(args.threads)

    meta = json.loads((args.activations / "meta.json").read_text(encoding="utf-8"))
    part = common.open_part(args.activations, "held_out")
    sae_folder = args.demo / "sae"
    transcoder_folder = args.demo / "transcoder" / f"layers.{common.LAYER}.mlp"
    sae_cfg = json.loads((sae_folder / "cfg.json").read_text(encoding="utf-8"))["metadata"]
    transcoder_run = json.loads((args.activations / "transcoder_run.json").read_text(encoding="utf-8"))

    resid = part.read("resid")
    lengths = common.norms(resid)
    massive = lengths > common.MASSIVE * float(np.median(lengths))
    run_sae, sae_decoder = sae_coder(sae_folder)
    sae = measure(run_sae, resid[~massive], resid[~massive])
    with torch.no_grad():
        sinks, _ = run_sae(torch.from_numpy(resid[massive].astype(np.float32)))
    run_transcoder, transcoder_decoder = transcoder_coder(transcoder_folder)
    transcoder = measure(run_transcoder, part.read("mlp_in"), part.read("mlp_out"))
    for figures, decoder in ((sae, sae_decoder), (transcoder, transcoder_decoder)):
        rows = decoder.norm(dim=1)
        figures["decoder_row_norm"] = {
            "min": rows.min().item(),
            "median": rows.median().item(),
            "max": rows.max().item(),
        }
    sae |= {"training_tokens": sae_cfg["training_tokens"], "seed": sae_cfg["seed"]}
    sae |= {"training_seconds": sae_cfg["training_seconds"]}
    transcoder |= transcoder_run
    named = {"SAE": sae, "transcoder": transcoder}
    log.info("SAE %s", sae)
    log.info("transcoder %s", transcoder)

    files = {
        path.relative_to(args.demo).as_posix(): {"bytes": path.stat().st_size, "sha256": common.sha256(path)}
        for path in (sae_folder / "sae_weights.safetensors", transcoder_folder / "sae.safetensors")
    }
    libraries = common.versions("torch", "transformers", "sae-lens", "eai-sparsify", "safetensors", "numpy")
    common.write_json(
        args.demo / "card.json",
        {
            "model": common.MODEL_NAME,
            "gguf_sha256": GGUF_SHA256,
            "layer": common.LAYER,
            "n_latents": common.N_LATENTS,
            "k": common.TOP_K,
            "context": common.CONTEXT,
            "prepend_bos": True,
            "positions_dropped": [0],
            "text": {"seed": meta["seed"], "train": meta["train"], "held_out": meta["held_out"]},
            "massive": {
                "factor": common.MASSIVE,
                "median_norm": float(np.median(lengths)),
                "longest": float(lengths.max()),
                "held_out_tokens": int(massive.sum()),
                "latents_active_on_them": sorted(set(torch.nonzero(sinks > 0)[:, 1].tolist())),
            },
            "sae": sae,
            "transcoder": transcoder,
            "libraries": libraries,
            "python": platform.python_version(),
            "files": files,
            "licence": "Apache-2.0",
        },
    )
    passes = [f"{n} {c['training_tokens'] / meta['train']['tokens']:.2g}" for n, c in named.items()]
    rows = [
        ("fraction of variance explained (centred)", "variance_explained", "{:.3f}"),
        ("L0", "l0", "{:.1f}"),
        ("dead latents (never active)", "dead_latents", "{}"),
        ("dead fraction", "dead_fraction", "{:.4f}"),
        ("latents active on over 10 % of tokens", "latents_firing_on_over_10_percent", "{}"),
        ("held-out tokens", "held_out_tokens", "{:,}"),
        ("training tokens", "training_tokens", "{:,}"),
    ]
    table = "\n".join(f"| {name} | {form.format(sae[k])} | {form.format(transcoder[k])} |" for name, k, form in rows)
    (args.demo / "CARD.md").write_text(
        CARD.format(
            model=common.MODEL_NAME, layer=common.LAYER, n=common.N_LATENTS, k=common.TOP_K, context=common.CONTEXT,
            tail=32, tokens=sae["training_tokens"], rows=table, gguf=GGUF_SHA256,
            registers=describe_shares(meta["train"]["by_register"]),
            held_tokens=meta["held_out"]["tokens"], held_registers=describe_shares(meta["held_out"]["by_register"]),
            passes=", ".join(passes),
            seed_text=meta["seed"], seed_sae=sae["seed"], seed_transcoder=transcoder["seed"],
            versions=", ".join(f"{k} {v}" for k, v in libraries.items()), python=platform.python_version(),
            massive=int(massive.sum()), massive_factor=common.MASSIVE, median_norm=float(np.median(lengths)),
            longest=float(lengths.max()), sink_latents=int((sinks > 0).any(0).sum()),
            files="\n".join(f"- `{k}`: {v['bytes']:,} bytes, sha256 `{v['sha256']}`" for k, v in files.items()),
        ),
        encoding="utf-8",
    )  # fmt: skip


if __name__ == "__main__":
    main()
