"""A real tokenizer and real language models, as small as they can be made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from harness.activations.corpus import open_tokens
from harness.activations.protocol import Document
from harness.config.schema import CorpusTokens
from harness.registry.specs import CorpusSpec
from harness.subjects.model import SubjectModel
from harness.subjects.protocol import Hookpoint, SparseActivations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from harness.activations.tokens import TokenStore

TEXTS = (
    "the cat sat on the mat and the dog sat on the log",
    "a naïve café 中文字 🤗🤗 over the lazy dog",
    "one two three",
)


@dataclass
class ListedConfig:
    """A corpus that is written down in its config."""

    texts: list[str] = field(default_factory=list)


def listed(config: ListedConfig) -> Iterator[Document]:
    for number, text in enumerate(config.texts):
        yield Document(text, f"listed:{number}")


def listed_identity(config: ListedConfig) -> dict[str, Any]:
    return {"texts": config.texts}


LISTED = CorpusSpec(name="listed", summary="for tests", factory=listed, config=ListedConfig, identity=listed_identity)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<bos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([TEXTS[0]] * 4, trainer)
    made: Any = PreTrainedTokenizerFast
    return cast("PreTrainedTokenizerFast", made(tokenizer_object=bpe, bos_token="<bos>"))  # noqa: S106  -- no password


@pytest.fixture
def open_listed(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Callable[..., TokenStore]:
    def opened(texts: list[str], cache: Path | None = None, **tokens: Any) -> TokenStore:
        settings = CorpusTokens(**{"n_tokens": 10_000, "context_length": 16, "min_document_tokens": 1, **tokens})
        return open_tokens(
            LISTED, ListedConfig(texts), settings, tokenizer, {"of": "tests"}, cache or tmp_path / "cache"
        )

    return opened


@pytest.fixture(scope="session")
def tiny_model(tokenizer: PreTrainedTokenizerFast) -> SubjectModel:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=32,
        initializer_range=0.5,
    )
    model: Any = LlamaForCausalLM(config)
    return SubjectModel(model.eval(), tokenizer, {"tiny": 1})


@dataclass
class RandomSource:
    """Feature values are a fixed random projection; those above a threshold are kept."""

    n_features: int = 12
    d_in: int = 16
    hookpoint: Hookpoint = field(default_factory=lambda: Hookpoint("model.layers.1", "output"))
    scale: float = 1.0
    threshold: float = 0.5
    poison: float | None = None
    calls: int = 0

    kind = "random"

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"kind": self.kind, "n": self.n_features, "scale": self.scale, "at": str(self.hookpoint)}

    def to(self, device: torch.device) -> RandomSource:  # noqa: ARG002 -- the protocol's
        return self

    def encode(self, hidden: torch.Tensor) -> torch.Tensor:
        weights = torch.randn(self.d_in, self.n_features, generator=torch.Generator().manual_seed(7))
        return hidden.float() @ weights * self.scale

    def encode_sparse(self, hidden: torch.Tensor) -> SparseActivations:
        self.calls += 1
        values = self.encode(hidden)
        kept = values > self.threshold * self.scale
        row, feature = kept.nonzero(as_tuple=True)
        value = values[row, feature].clone()
        if self.poison is not None and value.numel():
            value[0] = self.poison
        dropped = int(((values > 0) & ~kept).sum())
        return SparseActivations(row, feature, value, {"below_threshold": dropped})


@pytest.fixture
def random_source() -> type[RandomSource]:
    return RandomSource
