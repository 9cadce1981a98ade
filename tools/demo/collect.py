"""Run the subject model once over the training text and keep three activations per token on disk.

One streaming pass writes ``resid.f16`` (output of a block), ``mlp_in.f16`` and ``mlp_out.f16`` as flat arrays of
``[tokens, width]``, with ``meta.json``. Works are divided into a training and a held-out part by a hash of their
source, so that no chapter, article, speech or source file is in both. The text is the four demo registers (with the
written messages of the State of the Union) and, where its file is given, WikiText-2.

Each context starts with the tokenizer's BOS token, which is put there by hand because the tokenizer adds none. The
activations of that position are massive and say nothing about the text: they are dropped. Contexts are 256 tokens
long with the BOS and never cross a document; a tail shorter than 32 tokens is dropped.

Values are stored in float16, unscaled; the largest magnitude is checked against its range.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import logging
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import texts
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger("collect")

LAYER = 14
CONTEXT = 256
MIN_TAIL = 32
HELD_OUT_PERCENT = 9
BATCH_TOKENS = 4_096
LARGEST_FLOAT16 = 65_504
STREAMS = ("resid", "mlp_in", "mlp_out")


class _StopForwardError(Exception):
    """Raised from a hook to end the forward pass after the layer of interest."""


@dataclass
class Sink:
    """An append-only float16 array on disk."""

    path: Path
    rows: int = 0

    def append(self, block: torch.Tensor) -> None:
        """Add rows."""
        values = block.to(torch.float32)
        if not torch.isfinite(values).all() or values.abs().max() > LARGEST_FLOAT16:
            raise SystemExit(f"{self.path.name}: a value does not fit float16")
        with self.path.open("ab") as handle:
            handle.write(values.to(torch.float16).contiguous().numpy().tobytes())
        self.rows += block.shape[0]


def held_out(source: str) -> bool:
    """Say whether a work belongs to the held-out part, by a hash of its source."""
    return int(hashlib.sha256(source.encode()).hexdigest(), 16) % 100 < HELD_OUT_PERCENT


def contexts(tokenizer: transformers.PreTrainedTokenizerBase, documents: Iterable[texts.Document]) -> list[list[int]]:
    """Tokenise documents and cut them into contexts that start with BOS."""
    rows: list[list[int]] = []
    batch = [document.text for document in documents]
    for start in range(0, len(batch), 256):
        for ids in tokenizer(batch[start : start + 256], add_special_tokens=False)["input_ids"]:
            for at in range(0, len(ids), CONTEXT - 1):
                piece = ids[at : at + CONTEXT - 1]
                if len(piece) >= MIN_TAIL:
                    rows.append([tokenizer.bos_token_id, *piece])
    return rows


def training_text(materials: Path, wikitext: Path | None, seed: int) -> dict[str, list[texts.Document]]:
    """Return the documents of each register, in a fixed random order."""
    works = {register: texts.READERS[register](materials) for register in texts.REGISTERS}
    works["speech"] = texts.read_state_of_the_union(materials, spoken_only=False)
    if wikitext is not None:
        works["wikitext"] = texts.read_wikitext(wikitext)
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    result = {}
    for register, part in works.items():
        documents = texts.cut(part, seed)
        rng.shuffle(documents)
        result[register] = documents
    return result


@torch.inference_mode()
def stream(model: torch.nn.Module, rows: list[list[int]], sinks: dict[str, Sink], pad: int) -> None:
    """Run contexts in batches of like length and append the activations of all positions but the first."""
    layer = model.model.layers[LAYER]
    caught: dict[str, torch.Tensor] = {}

    def on_mlp(_module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        caught["mlp_in"], caught["mlp_out"] = inputs[0], output

    def on_layer(_module: torch.nn.Module, _inputs: tuple[torch.Tensor, ...], output: object) -> None:
        caught["resid"] = output[0] if isinstance(output, tuple) else output
        raise _StopForwardError

    handles = [layer.mlp.register_forward_hook(on_mlp), layer.register_forward_hook(on_layer)]
    width = BATCH_TOKENS // CONTEXT
    by_length = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    batches = [by_length[i : i + width] for i in range(0, len(by_length), width)]
    random.Random(0).shuffle(batches)  # noqa: S311 - reproducible, not secret
    started, done = time.time(), 0
    for number, batch in enumerate(batches):
        longest = max(len(rows[i]) for i in batch)
        ids = torch.full((len(batch), longest), pad)
        mask = torch.zeros_like(ids)
        for at, i in enumerate(batch):
            ids[at, : len(rows[i])] = torch.tensor(rows[i])
            mask[at, : len(rows[i])] = 1
        with contextlib.suppress(_StopForwardError):
            model.model(input_ids=ids, attention_mask=None if mask.all() else mask, use_cache=False)
        keep = mask.bool()
        keep[:, 0] = False
        for name, sink in sinks.items():
            sink.append(caught[name][keep])
        done += int(keep.sum())
        if number % 50 == 0:
            log.info(
                "%d of %d batches, %d tokens, %.0f tokens/s", number, len(batches), done, done / (time.time() - started)
            )
    for handle in handles:
        handle.remove()


def main() -> None:
    """Parse arguments, choose the text and collect."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder written by convert_model.py")
    parser.add_argument("--materials", type=Path, required=True, help="folder of the downloaded archives")
    parser.add_argument("--wikitext", type=Path, help="WikiText-2 file in its own tokenisation (training only)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the activations (about 3.5 KB a token)")
    parser.add_argument("--train-tokens", type=int, default=2_800_000)
    parser.add_argument("--held-out-tokens", type=int, default=220_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=20_261_121)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    torch.set_num_threads(args.threads)

    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.bfloat16).eval()
    documents = training_text(args.materials, args.wikitext, args.seed)
    meta: dict[str, object] = {"layer": LAYER, "context": CONTEXT, "seed": args.seed, "width": model.config.hidden_size}
    for part, wanted in (("held_out", args.held_out_tokens), ("train", args.train_tokens)):
        rows_of = {
            register: contexts(tokenizer, (d for d in docs if held_out(d.source) == (part == "held_out")))
            for register, docs in documents.items()
        }
        rows, shares = take_even(rows_of, wanted)
        random.Random(args.seed).shuffle(rows)  # noqa: S311 - reproducible, not secret
        folder = args.out / part
        folder.mkdir(parents=True, exist_ok=True)
        sinks = {name: Sink(folder / f"{name}.f16") for name in STREAMS}
        for sink in sinks.values():
            sink.path.unlink(missing_ok=True)
        log.info("%s: %d contexts, tokens %s", part, len(rows), shares)
        started = time.time()
        stream(model, rows, sinks, tokenizer.eos_token_id)
        meta[part] = {"tokens": sinks["resid"].rows, "by_register": shares, "seconds": round(time.time() - started)}
        (args.out / "meta.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")


def take_even(rows_of: dict[str, list[list[int]]], wanted: int) -> tuple[list[list[int]], dict[str, int]]:
    """Take contexts so that every register gets an equal share, and what a small one lacks goes to the others."""
    sizes = {register: sum(len(r) - 1 for r in rows) for register, rows in rows_of.items()}
    left, chosen, shares = wanted, [], {}
    for place, register in enumerate(sorted(sizes, key=sizes.__getitem__)):
        budget = left // (len(sizes) - place)
        used = 0
        for row in rows_of[register]:
            if used >= budget:
                break
            chosen.append(row)
            used += len(row) - 1
        shares[register] = used
        left -= used
    return chosen, shares


def load(folder: Path, name: str, width: int) -> np.memmap:
    """Open one stream of activations as ``[tokens, width]``."""
    return np.memmap(folder / f"{name}.f16", dtype=np.float16, mode="r").reshape(-1, width)


if __name__ == "__main__":
    main()
