"""Train the demo transcoder with sparsify's ``SparseCoder`` and export it in the sparsify folder format.

The transcoder predicts the output of the MLP of block 14 from its input, with TopK. The module and its file format are
sparsify's; the loop is our own, because sparsify's trainer runs the subject model again for every batch and epoch
(hours on a CPU), and because its fused encoder passes no gradient of the auxiliary loss to the encoder, so that dead
latents do not come back. Here the activations were stored once (``collect.py``) and the same TopK forward pass is
written with dense products under bfloat16 autocast.

Input and output are each scaled by one number during training; both numbers are folded into the weights before the
export, which changes neither the TopK choice nor the result. Weights are stored in float16.
"""

from __future__ import annotations

import argparse
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import common
import numpy as np
import torch
from sparsify import SparseCoder, SparseCoderConfig
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger("train_transcoder")

DEAD_AFTER_TOKENS = 150_000
AUX_WEIGHT = 1 / 32


def forward_loss(
    coder: SparseCoder, x: torch.Tensor, y: torch.Tensor, dead: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the unexplained fraction of variance, the auxiliary loss of the dead latents, and the active latents."""
    pre = functional.linear(x, coder.encoder.weight, coder.encoder.bias)
    values, indices = pre.topk(coder.cfg.k, dim=-1, sorted=False)
    acts = torch.zeros_like(pre).scatter(-1, indices, values.relu())
    error = y - (acts @ coder.W_dec + coder.b_dec)
    variance = (y - y.mean(0)).pow(2).sum()
    n_dead = int(dead.sum())
    aux = error.new_zeros(())
    if n_dead:
        k_aux = min(x.shape[-1] // 2, n_dead)
        found = torch.where(dead[None], pre, -torch.inf).topk(k_aux, sorted=False)
        dead_acts = torch.zeros_like(pre).scatter(-1, found.indices, found.values)
        aux = (error.detach() - dead_acts @ coder.W_dec).pow(2).sum() / variance * min(n_dead / (x.shape[-1] // 2), 1.0)
    return error.pow(2).sum() / variance, aux, indices[values > 0]


@dataclass(frozen=True)
class Scales:
    """The single numbers that input and output are multiplied by during training."""

    x: float
    y: float


def initialise(inputs: np.ndarray, outputs: np.ndarray) -> tuple[SparseCoder, Scales]:
    """Make a coder whose biases fit the means, and choose the scales, from about 100,000 rows."""
    step = max(1, len(inputs) // 100_000)
    x, y = inputs[::step].astype(np.float32), outputs[::step].astype(np.float32)
    width = x.shape[1]
    scales = Scales(
        width**0.5 / float(np.linalg.norm(x, axis=1).mean()),
        width**0.5 / float(np.linalg.norm(y - y.mean(0), axis=1).mean()),
    )
    coder = SparseCoder(
        width,
        SparseCoderConfig(num_latents=common.N_LATENTS, k=common.TOP_K, transcode=True, skip_connection=False),
        dtype=torch.float32,
    )
    with torch.no_grad():
        coder.encoder.weight.copy_(functional.normalize(torch.randn_like(coder.encoder.weight), dim=1))
        coder.encoder.bias.copy_(-coder.encoder.weight @ (torch.from_numpy(x.mean(0)) * scales.x))
        coder.b_dec.copy_(torch.from_numpy(y.mean(0)) * scales.y)
    return coder, scales


def train(
    coder: SparseCoder, scales: Scales, batches: Iterator[list[torch.Tensor]], steps: int, learning_rate: float
) -> None:
    """Run Adam with a short warm-up and a linear decay over the last third."""
    optimizer = torch.optim.Adam(coder.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min((s + 1) / 100, 1.0) * min(1.0, 0.1 + 0.9 * (steps - s) / max(1, steps // 3))
    )
    idle = torch.zeros(coder.num_latents, dtype=torch.long)
    started = time.time()
    for number in range(steps):
        x, y = next(batches)
        dead = idle > DEAD_AFTER_TOKENS
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss, aux, active = forward_loss(coder, x * scales.x, y * scales.y, dead)
            total = loss + AUX_WEIGHT * aux
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        schedule.step()
        idle += len(x)
        idle[active] = 0
        if number % 100 == 0:
            state = (number, steps, time.time() - started, float(loss), float(aux), int(dead.sum()))
            log.info("step %d of %d, %.0f s, unexplained %.4f, aux %.4f, dead %d", *state)


@torch.no_grad()
def export(coder: SparseCoder, scales: Scales, out: Path) -> None:
    """Fold the scales into the weights and write them in float16."""
    coder.encoder.weight *= scales.x
    coder.W_dec /= scales.y
    coder.b_dec /= scales.y
    coder.save_to_disk(out)
    weights = out / "sae.safetensors"
    common.store_float16(weights)


def main() -> None:
    """Parse arguments, train, export, and check the export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--activations", type=Path, required=True, help="folder written by collect.py")
    parser.add_argument("--out", type=Path, default=Path(f"harness/demo/transcoder/layers.{common.LAYER}.mlp"))
    parser.add_argument("--epochs", type=float, default=0.8)
    parser.add_argument("--batch", type=int, default=1_024)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)

    part = common.open_part(args.activations, "train")
    inputs, outputs = part.read("mlp_in"), part.read("mlp_out")
    steps = int(len(inputs) * args.epochs) // args.batch
    coder, scales = initialise(inputs, outputs)
    log.info("%d tokens, %s", len(inputs), scales)
    started = time.time()
    train(coder, scales, common.shuffled([inputs, outputs], args.batch, args.seed), steps, args.lr)
    seconds = round(time.time() - started)
    log.info("trained on %d tokens in %d s", steps * args.batch, seconds)
    export(coder, scales, args.out)
    common.write_json(
        args.activations / "transcoder_run.json",
        {"seed": args.seed, "training_tokens": steps * args.batch, "training_seconds": seconds},
    )
    check(args.out, coder, torch.from_numpy(inputs[:512].astype(np.float32)))


@torch.no_grad()
def check(folder: Path, trained: SparseCoder, x: torch.Tensor) -> None:
    """Load the export with sparsify and compare its choice of latents with the trained module's."""
    exported = SparseCoder.load_from_disk(folder).to(torch.float32)
    want, got = trained.encode(x), exported.encode(x)
    dense = [torch.zeros_like(e.pre_acts).scatter(-1, e.top_indices, e.top_acts) for e in (want, got)]
    same = ((dense[0] > 0) == (dense[1] > 0)).float().mean().item()
    both = (dense[0] > 0) & (dense[1] > 0)
    relative = ((dense[0] - dense[1]).abs()[both] / dense[0][both]).mean().item()
    log.info(
        "export against trained: %.6f of the latents agree on being active, mean relative error %.2e", same, relative
    )
    if same < common.MIN_AGREEMENT or relative > common.MAX_RELATIVE_ERROR:
        raise SystemExit("the exported transcoder does not encode like the trained one")


if __name__ == "__main__":
    main()
