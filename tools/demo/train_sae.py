"""Train the demo SAE with sae-lens' own trainer and export it in the SAELens v6 folder format.

A TopK SAE on the residual stream after block 14. The trainer is fed with stored activations (``collect.py``), so no
TransformerLens model is involved. Activations are scaled by one number so that their mean norm is the square root of
the width; sae-lens folds that number into the weights at the end of training, so the exported SAE reads raw hidden
states. Decoder rows are kept at unit norm, during training and in the export. Weights are trained in float32 (bfloat16
autocast) and stored in float16, with ``dtype`` float32 in ``cfg.json`` so that loading casts them up.

Rare massive activations that survive dropping position 0 are shortened to ``MASSIVE`` times the median norm for
training: left as they are, 1.5 tokens in 10,000 would make up most of the loss.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

import common
import numpy as np
import torch
from sae_lens.config import SAETrainerConfig
from sae_lens.saes.sae import SAE, SAEMetadata
from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.training.sae_trainer import SAETrainer

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger("train_sae")


def shorten_massive(block: np.ndarray) -> int:
    """Shorten, in place, rows longer than ``MASSIVE`` times the median; return how many there were."""
    lengths = common.norms(block)
    limit = common.MASSIVE * float(np.median(lengths))
    rows = np.flatnonzero(lengths > limit)
    block[rows] = (block[rows].astype(np.float32) * (limit / lengths[rows, None])).astype(np.float16)
    return len(rows)


def provider(
    batches: Iterator[list[torch.Tensor]], sae: TopKTrainingSAE, trainer: list[SAETrainer]
) -> Iterator[torch.Tensor]:
    """Yield batches; before each, bring the decoder rows back to unit norm, and now and then report progress."""
    started = time.time()
    for number, (batch,) in enumerate(batches):
        with torch.no_grad():
            sae.W_dec /= sae.W_dec.norm(dim=1, keepdim=True)
        if number % 100 == 0 and trainer:
            log.info("step %d, %.0f s, dead %d", number, time.time() - started, int(trainer[0].dead_neurons.sum()))
        yield batch


def main() -> None:
    """Parse arguments, train, export, and check the export against the trained module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--activations", type=Path, required=True, help="folder written by collect.py")
    parser.add_argument("--out", type=Path, default=Path("harness/demo/sae"))
    parser.add_argument("--epochs", type=float, default=0.75)
    parser.add_argument("--batch", type=int, default=1_024)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=14)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)

    part = common.open_part(args.activations, "train")
    block = part.read("resid")
    massive = shorten_massive(block)
    sample = block[:: max(1, len(block) // 100_000)].astype(np.float32)
    mean = torch.from_numpy(sample.mean(0))
    scale = part.width**0.5 / float(np.linalg.norm(sample, axis=1).mean())
    log.info("%d tokens, %d massive ones shortened, scale %.5f", len(block), massive, scale)

    steps = int(len(block) * args.epochs) // args.batch
    sae = TopKTrainingSAE(
        TopKTrainingSAEConfig(
            d_in=part.width,
            d_sae=common.N_LATENTS,
            k=common.TOP_K,
            normalize_activations="expected_average_only_in",
            aux_loss_coefficient=1.0,
            rescale_acts_by_decoder_norm=False,
            decoder_init_norm=1.0,
            metadata=SAEMetadata(
                model_name=common.MODEL_NAME,
                hook_name=f"blocks.{common.LAYER}.hook_resid_post",
                hf_hook_name=f"model.layers.{common.LAYER}.output",
                hook_head_index=None,
                context_size=common.CONTEXT,
                prepend_bos=True,
                neuronpedia_id=None,
                model_from_pretrained_kwargs={},
                dataset_path=None,
                seed=args.seed,
                training_tokens=steps * args.batch,
            ),
        )
    )
    with torch.no_grad():
        sae.b_dec.copy_(mean * scale)
    started = time.time()
    holder: list[SAETrainer] = []
    trainer: SAETrainer = SAETrainer(
        SAETrainerConfig(
            total_training_samples=steps * args.batch,
            train_batch_size_samples=args.batch,
            lr=args.lr,
            lr_end=args.lr / 10,
            lr_warm_up_steps=100,
            lr_decay_steps=steps // 3,
            autocast=True,
            dead_feature_window=150,
        ),
        sae,
        provider(common.shuffled([block], args.batch, args.seed), sae, holder),
    )
    holder.append(trainer)
    trainer.optimizer.param_groups[0]["fused"] = True  # several times faster on a CPU
    trainer.activation_scaler.scaling_factor = scale
    trainer.fit()
    seconds = time.time() - started
    log.info("trained in %.0f s", seconds)

    with torch.no_grad():  # the same factor for every latent, so that TopK chooses as before
        sae.W_dec /= sae.W_dec.norm(dim=1, keepdim=True)
        sae.W_enc /= scale
        sae.b_enc /= scale
    sae.cfg.metadata.training_seconds = round(seconds)
    sae.save_inference_model(args.out)
    weights = args.out / "sae_weights.safetensors"
    common.store_float16(weights)
    check(args.out, sae, torch.from_numpy(block[:512].astype(np.float32)))


@torch.no_grad()
def check(folder: Path, trained: TopKTrainingSAE, x: torch.Tensor) -> None:
    """Load the export with sae-lens and compare its encoding with the trained module's."""
    exported = SAE.load_from_disk(folder)
    trained.eval()
    want, got = trained.encode(x), exported.encode(x)
    same = ((want > 0) == (got > 0)).float().mean().item()
    both = (want > 0) & (got > 0)
    relative = ((want - got).abs()[both] / want[both]).mean().item()
    log.info(
        "export against trained: %.6f of the latents agree on being active, mean relative error %.2e", same, relative
    )
    if same < common.MIN_AGREEMENT or relative > common.MAX_RELATIVE_ERROR:
        raise SystemExit("the exported SAE does not encode like the trained one")


if __name__ == "__main__":
    main()
