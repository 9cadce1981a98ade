from __future__ import annotations

import gzip
import importlib.util
import json
import lzma
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from harness.activations.builtin import CORPORA
from harness.activations.readers import huggingface, jsonl, text
from harness.activations.readers.config import HuggingFaceCorpusConfig, JsonlCorpusConfig, TextCorpusConfig
from harness.errors import ConfigError, CorpusError, MaterialError, UnknownNameError

if TYPE_CHECKING:
    from pathlib import Path

HAS_DATASETS = importlib.util.find_spec("datasets") is not None


def test_specs_resolve_without_heavy_imports() -> None:
    program = (
        "import sys; from harness.activations.builtin import CORPORA; [s.resolve_config() for s in CORPORA];"
        "assert not {'torch', 'transformers', 'numpy', 'datasets'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert [spec.name for spec in CORPORA] == ["text", "jsonl", "huggingface", "planted"]
    assert all(callable(spec.resolve_factory()) and callable(spec.resolve_identity()) for spec in CORPORA)


def test_text_files_in_order_of_name(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "b.txt").write_text("second")
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "sub" / "c.txt").write_text("third")
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "d.md").write_text("not read")
    documents = list(text.read(TextCorpusConfig(str(tmp_path))))
    assert [document.text for document in documents] == ["first", "second", "third"]
    assert [document.origin for document in documents] == ["a.txt", "b.txt", "c.txt"]
    globbed = text.read(TextCorpusConfig(str(tmp_path / "*.txt")))
    assert [document.text for document in globbed] == ["first", "second"]


def test_text_split(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\nstill one\n\n \n\ntwo\n***\nthree\n")
    paragraphs = text.read(TextCorpusConfig(str(path), split="blank_line"))
    assert [document.text for document in paragraphs] == ["one\nstill one", "two\n***\nthree"]
    parts = list(text.read(TextCorpusConfig(str(path), split="separator", separator="\n***\n")))
    assert [document.text for document in parts] == ["one\nstill one\n\n \n\ntwo", "three\n"]
    assert parts[1].origin == "a.txt#2"


def test_separator_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "_BLOCK", 3)
    path = tmp_path / "a.txt"
    path.write_text("één<|>twee<|>drie")
    parts = text.read(TextCorpusConfig(str(path), split="separator", separator="<|>"))
    assert [document.text for document in parts] == ["één", "twee", "drie"]


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"caf\xe9!")
    with pytest.raises(CorpusError, match=r"a\.txt: is not utf-8 text: .* near byte 3.*set corpus\.encoding"):
        list(text.read(TextCorpusConfig(str(path))))
    assert next(text.read(TextCorpusConfig(str(path), encoding="latin-1"))).text == "café!"


def test_text_config_mistakes(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no such file or folder"):
        list(text.read(TextCorpusConfig(str(tmp_path / "none*.txt"))))
    with pytest.raises(CorpusError, match="no file that matches"):
        list(text.read(TextCorpusConfig(str(tmp_path))))
    with pytest.raises(UnknownNameError, match="did you mean blank_line"):
        list(text.read(TextCorpusConfig(str(tmp_path), split="blank_lines")))
    with pytest.raises(ConfigError, match="no separator is given"):
        list(text.read(TextCorpusConfig(str(tmp_path), split="separator")))
    with pytest.raises(ConfigError, match="unknown encoding"):
        list(text.read(TextCorpusConfig(str(tmp_path), encoding="utf-99")))


def test_text_identity_is_of_contents_and_division(tmp_path: Path) -> None:
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_text("the same")
    second.write_text("the same")
    identity = text.identity(TextCorpusConfig(str(first)))
    assert identity == text.identity(TextCorpusConfig(str(second)))
    assert identity != text.identity(TextCorpusConfig(str(first), split="blank_line"))
    second.write_text("something else")
    assert identity != text.identity(TextCorpusConfig(str(second)))


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
def test_jsonl_plain_and_packed(tmp_path: Path, suffix: str) -> None:
    lines = b'{"id": "x", "text": "one"}\n\n{"text": ""}\n{"text": "tw\\u00f6", "n": 1}\n'
    packed = {"": lines, ".gz": gzip.compress(lines), ".xz": lzma.compress(lines)}[suffix]
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(packed)
    documents = list(jsonl.read(JsonlCorpusConfig(str(path))))
    assert [(document.text, document.origin) for document in documents] == [("one", "x"), ("twö", f"{path.name}:4")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{broken", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[1]", "is a JSON list"),
        (b'{"body": "x"}', r"has no field 'text'.*its fields: body"),
        (b'{"text": null}', "has no text in field 'text'"),
        (b"[" * 100_000, "is not JSON"),
    ],
)
def test_jsonl_bad_line_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "good"}\n' + line + b"\n")
    with pytest.raises(CorpusError, match=rf"a\.jsonl:2: {message}"):
        list(jsonl.read(JsonlCorpusConfig(str(path))))


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".xz", lzma.compress)])
def test_torn_archive(tmp_path: Path, suffix: str, pack: object) -> None:
    assert callable(pack)
    path = tmp_path / f"a.jsonl{suffix}"
    whole = pack(json.dumps({"text": "one " * 1000}).encode())
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorpusError, match="cannot be read"):
        list(jsonl.read(JsonlCorpusConfig(str(path))))


def test_demo_corpus_is_a_material() -> None:
    config = JsonlCorpusConfig("demo://corpus.jsonl.gz")
    first = next(jsonl.read(config))
    assert len(first.text) > 100
    assert len(jsonl.identity(config)["files"]) == 1
    with pytest.raises(MaterialError, match="no such file"):
        jsonl.identity(JsonlCorpusConfig("demo://nothing.jsonl"))


def test_wheel_corpus_is_identified_without_fetching() -> None:
    config = JsonlCorpusConfig("wheel://no-such-distribution==1.0/a.jsonl")
    assert jsonl.identity(config)["material"] == {"uri": config.path}


@pytest.mark.skipif(HAS_DATASETS, reason="the extra is installed")
def test_missing_datasets_library_is_told(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"pip install 'autointerp-harness\[datasets\]'"):
        list(huggingface.read(HuggingFaceCorpusConfig(str(tmp_path))))


@pytest.mark.skipif(not HAS_DATASETS, reason="needs the datasets extra")
def test_local_dataset_is_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "train.jsonl").write_text('{"text": "one"}\n{"text": "  "}\n{"text": "two"}\n')
    documents = list(huggingface.read(HuggingFaceCorpusConfig(str(folder))))
    assert [document.text for document in documents] == ["one", "two"]
    with pytest.raises(CorpusError, match="no text in column 'body'"):
        list(huggingface.read(HuggingFaceCorpusConfig(str(folder), text_field="body")))
    with pytest.raises(CorpusError, match="cannot be read"):
        list(huggingface.read(HuggingFaceCorpusConfig(str(folder), split="nope")))


def test_huggingface_identity_of_a_commit_needs_no_network(tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    config = HuggingFaceCorpusConfig("owner/name", revision=commit)
    assert huggingface.identity(config)["revision"] == commit
    (tmp_path / "train.jsonl").write_text('{"text": "one"}\n')
    assert "sha256" in huggingface.identity(HuggingFaceCorpusConfig(str(tmp_path)))


def test_unreachable_hub_is_a_corpus_error(monkeypatch: pytest.MonkeyPatch) -> None:
    # A port nobody listens on stands for a hub that cannot be reached.
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CorpusError, match="corpus=jsonl read local files"):
        huggingface.identity(HuggingFaceCorpusConfig("owner/name"))
