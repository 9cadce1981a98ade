from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    PhiConfig,
    PhiForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from harness.subjects.model import SubjectModel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VOCABULARY = 40
PAD, BOS = "<pad>", "<s>"
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": None,
    "pad_token_id": 0,
}


def llama() -> torch.nn.Module:
    return LlamaForCausalLM(LlamaConfig(**SIZES, num_key_value_heads=1))


def neox() -> torch.nn.Module:
    return GPTNeoXForCausalLM(GPTNeoXConfig(**SIZES))


def gemma2() -> torch.nn.Module:
    return Gemma2ForCausalLM(Gemma2Config(**SIZES, num_key_value_heads=1, head_dim=8))


def gemma3() -> torch.nn.Module:
    return Gemma3ForCausalLM(Gemma3TextConfig(**SIZES, num_key_value_heads=1, head_dim=8))


def qwen2() -> torch.nn.Module:
    return Qwen2ForCausalLM(Qwen2Config(**SIZES, num_key_value_heads=1))


def qwen3() -> torch.nn.Module:
    # Its heads together are wider than the stream: 24 and 16.
    return Qwen3ForCausalLM(Qwen3Config(**SIZES, num_key_value_heads=1, head_dim=12))


def phi() -> torch.nn.Module:
    return PhiForCausalLM(PhiConfig(**SIZES, num_key_value_heads=1))


def olmo2() -> torch.nn.Module:
    return Olmo2ForCausalLM(Olmo2Config(**SIZES))


def gpt2() -> torch.nn.Module:
    config = GPT2Config(
        vocab_size=VOCABULARY, n_embd=16, n_inner=24, n_layer=3, n_head=2, n_positions=64, bos_token_id=1,
        eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    return GPT2LMHeadModel(config)


FAMILIES = {
    "llama": llama,
    "neox": neox,
    "gemma2": gemma2,
    "gemma3": gemma3,
    "qwen2": qwen2,
    "qwen3": qwen3,
    "phi": phi,
    "olmo2": olmo2,
    "gpt2": gpt2,
}


@pytest.fixture
def make_model() -> Callable[[str], Any]:
    """Return a small random model of a family, the same at every call."""

    def make(family: str) -> Any:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model: Any = FAMILIES[family]()
            for parameter in model.parameters():
                torch.nn.init.normal_(parameter, std=0.4)
        return model.eval().requires_grad_(requires_grad=False)

    return make


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    words = {PAD: 0, BOS: 1} | {f"w{index}": index for index in range(2, VOCABULARY)}
    backend = Tokenizer(WordLevel(words, unk_token=PAD))
    backend.pre_tokenizer = Whitespace()
    make: Any = PreTrainedTokenizerFast
    made: PreTrainedTokenizerFast = make(tokenizer_object=backend, bos_token=BOS, pad_token=PAD)
    return made


@pytest.fixture
def subject(make_model: Callable[[str], Any], tokenizer: PreTrainedTokenizerFast) -> SubjectModel:
    return SubjectModel(make_model("llama"), tokenizer, {"weights": "random"})


@pytest.fixture
def saved_model(subject: SubjectModel, tmp_path: Path) -> Path:
    """A model folder on disk."""
    folder = tmp_path / "saved"
    subject.model.save_pretrained(folder)
    subject.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def tokens() -> torch.Tensor:
    return torch.randint(2, VOCABULARY, (2, 7), generator=torch.Generator().manual_seed(0))
