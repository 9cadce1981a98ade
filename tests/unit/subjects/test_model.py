from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.config.schema import ModelConfig
from harness.errors import ConfigError, MaterialError, SubjectError, UnknownNameError
from harness.subjects.hooks import read_hidden_states
from harness.subjects.model import load_model, load_tokenizer, model_identity, require_bos
from harness.subjects.protocol import Hookpoint

if TYPE_CHECKING:
    from pathlib import Path

    from harness.subjects.model import SubjectModel


def config(path: object, **changes: Any) -> ModelConfig:
    return ModelConfig(path=str(path), **{"dtype": "float32", **changes})


def test_a_folder_loads_ready_to_read(saved_model: Path, subject: SubjectModel, tokens: torch.Tensor) -> None:
    loaded = load_model(config(saved_model), saved_model / "cache")
    assert not loaded.model.training
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    assert (loaded.d_model, loaded.device) == (16, torch.device("cpu"))
    place = Hookpoint("model.layers.1", "output")
    expected = read_hidden_states(subject.model, [place], input_ids=tokens)[place]
    assert torch.equal(loaded.hidden_states(tokens, None, [place])[place], expected)
    assert loaded.identity == model_identity(config(saved_model), saved_model / "cache")


def test_the_type_is_the_one_asked_for_and_part_of_the_identity(saved_model: Path, tmp_path: Path) -> None:
    half = config(saved_model, dtype="bfloat16")
    assert load_model(half, tmp_path).model.dtype == torch.bfloat16
    assert model_identity(half, tmp_path) != model_identity(config(saved_model), tmp_path)
    assert "device" not in model_identity(half, tmp_path)


def test_changed_weights_have_another_identity(saved_model: Path, tmp_path: Path) -> None:
    before = model_identity(config(saved_model), tmp_path)
    (saved_model / "config.json").write_text((saved_model / "config.json").read_text() + " ")
    assert model_identity(config(saved_model), tmp_path) != before


def test_a_tokenizer_alone(saved_model: Path, tmp_path: Path) -> None:
    assert load_tokenizer(config(saved_model), tmp_path)("w3 w4").input_ids == [3, 4]


def test_bos_where_there_is_one(subject: SubjectModel) -> None:
    assert require_bos(subject.tokenizer) == 1
    subject.tokenizer.bos_token = None
    with pytest.raises(SubjectError, match="no beginning-of-sequence token"):
        require_bos(subject.tokenizer)


@pytest.mark.parametrize("path", ["/nowhere/model", "missing.gguf", "demo://none"])
def test_a_missing_model(path: str, tmp_path: Path) -> None:
    for call in (model_identity, load_model, load_tokenizer):
        with pytest.raises(SubjectError, match=r"does not exist.*Try: give a hub id") as caught:
            call(config(path), tmp_path)
        assert "\n" not in str(caught.value)


def test_unknown_types_and_devices(saved_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean bfloat16"):
        load_model(config(saved_model, dtype="bfloat6"), tmp_path)
    with pytest.raises(UnknownNameError, match="did you mean cuda"):
        load_model(config(saved_model, device="cudo"), tmp_path)
    with pytest.raises(ConfigError, match="device 'cuda:99' is not there"):
        load_model(config(saved_model, device="cuda:99"), tmp_path)
    with pytest.raises(ConfigError, match=r"subject\.model\.device: device 'auto' would spread the model"):
        load_model(config(saved_model, device="auto"), tmp_path)


def test_a_hub_model_is_loaded_at_the_commit_its_identity_names(
    saved_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = ["a" * 40, "b" * 40]
    asked: list[tuple[str, str]] = []
    for loader in (AutoModelForCausalLM, AutoTokenizer):
        real = loader.from_pretrained

        def local(name: str, *, revision: str, real: Any = real, **options: Any) -> Any:
            asked.append((name, revision))
            return real(str(saved_model), **options)

        monkeypatch.setattr(loader, "from_pretrained", local)
    for commit in commits:
        pinned = config("an-owner/a-model", revision=commit)
        assert load_model(pinned, tmp_path).identity == model_identity(pinned, tmp_path)
        assert model_identity(pinned, tmp_path)["weights"] == {"hub": "an-owner/a-model", "revision": commit}
    assert asked == [("an-owner/a-model", commit) for commit in commits for _ in range(2)]


def test_a_digest_that_differs(saved_model: Path, tmp_path: Path) -> None:
    with pytest.raises(MaterialError, match="expected 000"):
        load_model(config(saved_model, sha256="0" * 64), tmp_path)


def test_files_that_are_no_model(saved_model: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(MaterialError, match="neither a model folder nor a GGUF file"):
        load_model(config(tmp_path / "notes.txt"), tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SubjectError, match="cannot be loaded"):
        load_model(config(tmp_path / "empty"), tmp_path)
    (tmp_path / "torn.gguf").write_bytes(b"GGUF" + b"\0" * 40)
    with pytest.raises(MaterialError, match="cannot be converted"):
        load_model(config(tmp_path / "torn.gguf"), tmp_path)
    assert not list((tmp_path / "models").glob("*/"))
    (saved_model / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(SubjectError, match="cannot be loaded"):
        load_model(config(saved_model), tmp_path)


def test_a_model_that_is_no_causal_language_model(saved_model: Path, tmp_path: Path) -> None:
    written = json.loads((saved_model / "config.json").read_text())
    (saved_model / "config.json").write_text(json.dumps(written | {"model_type": "t5", "architectures": ["T5Model"]}))
    with pytest.raises(SubjectError, match="not a causal language model"):
        load_model(config(saved_model), tmp_path)


def test_code_from_a_repository_is_not_run_unasked(saved_model: Path, tmp_path: Path) -> None:
    written = json.loads((saved_model / "config.json").read_text())
    custom = {"model_type": "mine", "auto_map": {"AutoConfig": "code.C", "AutoModelForCausalLM": "code.M"}}
    (saved_model / "config.json").write_text(json.dumps(written | custom))
    (saved_model / "code.py").write_text("raise SystemExit('ran')")
    with pytest.raises(SubjectError, match="code of its own, which is not run unasked"):
        load_model(config(saved_model), tmp_path)
