"""Subject models: loading them, and reading their hidden states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.checkpoints.placement import checked_dtype, torch_device, torch_dtype
from harness.checkpoints.plain import plain_checkpoint
from harness.checkpoints.quiet import quiet_transformers
from harness.checkpoints.wide_linear import widen_slow_products
from harness.errors import SubjectError
from harness.materials.errors import MissingMaterialError
from harness.progress import SILENT
from harness.subjects.architecture import text_config
from harness.subjects.hooks import read_hidden_states
from harness.subjects.identity import model_identity_of
from harness.subjects.protocol import TokenHookpoint
from harness.subjects.randomised import randomise

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from harness.config.schema import ModelConfig
    from harness.materials.checkpoint import Checkpoint
    from harness.progress import Progress
    from harness.subjects.protocol import Hookpoint

__all__ = ["SubjectModel", "load_model", "load_tokenizer", "model_identity", "require_bos"]

_DTYPE_KEY = "subject.model.dtype"
_DEVICE_KEY = "subject.model.device"


@dataclass(frozen=True, eq=False)
class SubjectModel:
    """The language model being interpreted, in evaluation mode and without gradients.

    Attributes:
        model: The Hugging Face causal language model.
        tokenizer: Its tokenizer.
        identity: Plain data that determines its hidden states.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    identity: Mapping[str, Any]

    @property
    def device(self) -> torch.device:
        """Return where the weights are."""
        return next(self.model.parameters()).device

    @property
    def d_model(self) -> int:
        """Return the width of the residual stream."""
        return int(text_config(self.model).hidden_size)

    @torch.inference_mode()
    def hidden_states(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None, hookpoints: Sequence[Hookpoint]
    ) -> dict[Hookpoint, torch.Tensor]:
        """Return the hidden states [B, T, d] at each hookpoint, in the model's own type.

        One forward pass, which ends at the last module needed; the language-model head is not run. Places whose states
        are computed from the tokens alone take no pass.

        Args:
            input_ids: Token ids [B, T], padded on the right where rows differ in length.
            attention_mask: 1 for tokens and 0 for padding [B, T], or None if there is no padding.
            hookpoints: Where to read.

        Raises:
            SubjectError: If the model has no such module.
        """
        of_tokens: dict[Hookpoint, torch.Tensor] = {
            place: place.states(self.tokenizer, input_ids, attention_mask)
            for place in hookpoints
            if isinstance(place, TokenHookpoint)
        }
        of_model = [place for place in hookpoints if place not in of_tokens]
        mask = None if attention_mask is None else attention_mask.to(self.device)
        inputs = {"input_ids": input_ids.to(self.device), "attention_mask": mask, "use_cache": False}
        return {**of_tokens, **read_hidden_states(self.model, of_model, **inputs)}


def load_model(config: ModelConfig, cache: Path, progress: Progress = SILENT) -> SubjectModel:
    """Return the subject model of ``config``, ready to read.

    Args:
        config: Which model, in which type, on which device.
        cache: Root of the cache, for materials and converted GGUF files.
        progress: Where fetching and converting are shown.

    Raises:
        SubjectError: If it does not exist or is no causal language model.
        MaterialError: If a material cannot be fetched or converted, has another digest, or is no model.
        ConfigError: If the type or the device is unknown, or the device is not there.
    """
    device, dtype = torch_device(config.device, _DEVICE_KEY), torch_dtype(config.dtype, _DTYPE_KEY)
    checkpoint = _open(config, cache, progress)
    tokenizer = _tokenizer(config, checkpoint)
    try:
        with quiet_transformers():
            model: Any = AutoModelForCausalLM.from_pretrained(
                checkpoint.name,
                revision=checkpoint.revision or "main",
                dtype=dtype,
                trust_remote_code=config.trust_remote_code,
            )
    except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
        raise _load_error(config, error) from error
    model.requires_grad_(requires_grad=False)
    if config.randomise is not None:
        randomise(model, config.randomise)
    model = model.to(device).eval()
    widen_slow_products(model)
    return SubjectModel(model, tokenizer, model_identity(config, cache))


def load_tokenizer(config: ModelConfig, cache: Path, progress: Progress = SILENT) -> PreTrainedTokenizerBase:
    """Return the subject model's tokenizer, without loading the model (a GGUF is converted as a whole the first time).

    Raises:
        SubjectError: If there is none.
        MaterialError: If a material cannot be fetched or has another digest.
    """
    return _tokenizer(config, _open(config, cache, progress))


def model_identity(config: ModelConfig, cache: Path) -> dict[str, Any]:  # noqa: ARG001  -- part of the agreed interface
    """Return plain data that determines the model's hidden states, without loading it: weights and type.

    Raises:
        SubjectError: If the model does not exist.
        UnknownNameError: If the type is unknown.
    """
    checked_dtype(config.dtype, _DTYPE_KEY)
    try:
        return model_identity_of(config)
    except MissingMaterialError as error:
        raise _missing(config, error) from error


def require_bos(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the id of the tokenizer's beginning-of-sequence token.

    Raises:
        SubjectError: If it has none.
    """
    if isinstance(tokenizer.bos_token_id, int):
        return tokenizer.bos_token_id
    hint = "set corpus.bos=none if the model was trained without one"
    raise SubjectError("the tokenizer has no beginning-of-sequence token to prepend", hint=hint)


def _open(config: ModelConfig, cache: Path, progress: Progress) -> Checkpoint:
    dtype = checked_dtype(config.dtype, _DTYPE_KEY)
    try:
        return plain_checkpoint(config.path, config.revision, config.sha256, dtype, cache=cache, progress=progress)
    except MissingMaterialError as error:
        raise _missing(config, error) from error


def _tokenizer(config: ModelConfig, checkpoint: Checkpoint) -> PreTrainedTokenizerBase:
    try:
        with quiet_transformers():
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
                checkpoint.name, revision=checkpoint.revision or "main", trust_remote_code=config.trust_remote_code
            )
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise _load_error(config, error) from error
    return tokenizer


def _missing(config: ModelConfig, error: MissingMaterialError) -> SubjectError:
    hint = "give a hub id, a folder with config.json and weights, or a .gguf file"
    return SubjectError(f"the subject model does not exist: {error.what}", where=config.path, hint=hint)


def _load_error(config: ModelConfig, error: Exception) -> SubjectError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    hint = "give a causal language model: a hub id, a folder with config.json and weights, or a .gguf file"
    if "trust_remote_code" in str(error):
        reason = "its repository brings code of its own, which is not run unasked"
        hint = "read that code, then set subject.model.trust_remote_code=true"
    elif "Unrecognized configuration class" in str(error):
        reason = "not a causal language model"
    return SubjectError(f"the subject model cannot be loaded: {reason}", where=config.path, hint=hint)
