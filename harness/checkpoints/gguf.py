"""GGUF files, converted once to a plain Hugging Face folder.

Loading a GGUF dequantises it every time (seconds to minutes), and a model loaded so refuses to be saved. Here the
tensors are dequantised into a freshly built model of the same configuration, and that one is saved.
"""

from __future__ import annotations

from contextlib import redirect_stderr
from io import StringIO
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

from harness.checkpoints.quiet import quiet_transformers
from harness.errors import MaterialError
from harness.materials.store import publish_folder
from harness.progress import SILENT

if TYPE_CHECKING:
    from pathlib import Path

    from harness.progress import Progress

__all__ = ["convert_gguf", "converted_folder", "is_gguf"]

_MAGIC = b"GGUF"


def is_gguf(path: Path) -> bool:
    """Return whether ``path`` is a file that begins as GGUF files do."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(len(_MAGIC)) == _MAGIC


def converted_folder(sha256: str, dtype: str, cache: Path) -> Path:
    """Return where the conversion of the GGUF with this digest to this type lies, or will lie."""
    return cache / "models" / f"{sha256[:16]}-{dtype}"


def convert_gguf(gguf: Path, sha256: str, dtype: str, cache: Path, progress: Progress = SILENT) -> Path:
    """Return the folder of the converted model and tokenizer, converting first if the cache does not have it.

    Args:
        gguf: The file.
        sha256: Its digest.
        dtype: Name of the type the weights are saved in.
        cache: Root of the cache.
        progress: Told when a conversion begins.

    Raises:
        MaterialError: If the file cannot be read as a causal language model.
    """
    target = converted_folder(sha256, dtype, cache)

    def build(folder: Path) -> None:
        progress.say(f"converting {gguf.name} to a plain {dtype} model folder (once)")
        try:
            with quiet_transformers():
                _convert(gguf, folder, getattr(torch, dtype))
        except (KeyError, ValueError, ImportError, NotImplementedError, RuntimeError) as error:
            message = f"cannot be converted: {error}"
            raise MaterialError(message, where=str(gguf), hint="use a GGUF of a causal language model") from error

    publish_folder(target, kind="model", identity={"gguf_sha256": sha256, "dtype": dtype}, build=build)
    return target


def _convert(gguf: Path, folder: Path, dtype: torch.dtype) -> None:
    auto_model: Any = AutoModelForCausalLM
    read_gguf: Any = load_gguf_checkpoint
    tokenizer: Any = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    config: Any = AutoConfig.from_pretrained(gguf.parent, gguf_file=gguf.name)
    with torch.device("meta"):
        skeleton = auto_model.from_config(config)
    with redirect_stderr(StringIO()):  # the reader draws a bar of its own that no setting turns off
        tensors = read_gguf(str(gguf), return_tensors=True, model_to_load=skeleton)["tensors"]
    model: Any = auto_model.from_config(config, dtype=dtype)
    loaded = model.load_state_dict({name: tensor.to(dtype) for name, tensor in tensors.items()}, strict=False)
    # A tied head is not in the file; it is the embedding.
    missing = set(loaded.missing_keys) - set(model.all_tied_weights_keys)
    if missing or loaded.unexpected_keys:
        names = ", ".join(sorted([*missing, *loaded.unexpected_keys])[:4])
        raise MaterialError(f"its tensors do not fit the architecture: {names}", where=str(gguf))
    model.tie_weights()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
