from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from harness.errors import FeatureSourceError, SubjectError
from harness.subjects.builtin import SUBJECTS
from harness.subjects.configs import SaeConfig, TranscoderConfig
from harness.subjects.identity import sae_header, sae_identity, transcoder_header, transcoder_identity
from harness.subjects.model import SubjectModel
from harness.subjects.protocol import FeatureSource, InterventionMode
from harness.subjects.sae import build as build_sae
from harness.subjects.transcoder import build as build_transcoder

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDERS = Path(__file__).parents[2] / "fixtures" / "feature_sources"
# The tiny model of these tests is as wide as the golden weights.
SAE, TRANSCODER = str(FOLDERS / "saelens_topk"), str(FOLDERS / "saelens_transcoder")
CROSS_LAYER = FOLDERS / "releases" / "gemma-scope-2-1b-pt" / "clt" / "width_64_l0_small" / "params_layer_1.safetensors"


def test_an_sae_on_the_hookpoint_its_weights_name(subject: SubjectModel, tokens: torch.Tensor) -> None:
    source = build_sae(SaeConfig(source=SAE), subject)
    assert isinstance(source, FeatureSource)
    assert (str(source.hookpoint), source.kind) == ("model.layers.1.output", "sae")
    hidden = subject.hidden_states(tokens, None, [source.hookpoint])[source.hookpoint]
    assert source.encode(hidden).shape == (2, 7, 64)
    directions = source.write_directions([1, 2])
    assert directions is not None
    assert torch.equal(directions, source.dictionary.w_dec[[1, 2]])
    assert torch.equal(source.read_directions([1, 2]), source.dictionary.w_enc[:, [1, 2]].T)


def test_a_transcoder_reads_one_place_and_writes_another(subject: SubjectModel) -> None:
    source = build_transcoder(TranscoderConfig(source=TRANSCODER), subject)
    assert isinstance(source, FeatureSource)
    assert (str(source.hookpoint), str(source.hookpoint_out)) == (
        "model.layers.1.mlp.input",
        "model.layers.1.mlp.output",
    )
    assert source.kind == "transcoder"


def test_the_config_moves_the_hookpoint(subject: SubjectModel) -> None:
    source = build_sae(SaeConfig(source=SAE, hookpoint="blocks.0.hook_resid_pre"), subject)
    assert str(source.hookpoint) == "model.layers.0.input"


def test_weights_that_name_no_place_need_one(subject: SubjectModel) -> None:
    with pytest.raises(FeatureSourceError, match=r"do not say their hookpoint.*set hookpoint"):
        build_sae(SaeConfig(source=str(FOLDERS / "sparsify_sae")), subject)


def test_a_width_that_does_not_fit_names_both_numbers(subject: SubjectModel) -> None:
    config = SaeConfig(source=SAE, hookpoint="model.layers.1.mlp.down_proj.input")
    with pytest.raises(FeatureSourceError, match=r"reads width 16, but .* has width 24"):
        build_sae(config, subject)


def test_the_kinds_are_not_mixed_up(subject: SubjectModel) -> None:
    with pytest.raises(FeatureSourceError, match="use the subject kind 'transcoder'"):
        build_sae(SaeConfig(source=TRANSCODER), subject)
    with pytest.raises(FeatureSourceError, match="use the subject kind 'sae'"):
        build_transcoder(TranscoderConfig(source=SAE), subject)


def test_a_hookpoint_the_model_has_not(subject: SubjectModel) -> None:
    with pytest.raises(SubjectError, match="no module"):
        build_sae(SaeConfig(source=SAE, hookpoint="model.layers.4.output"), subject)


def test_the_identity_is_known_before_and_holds_what_matters(subject: SubjectModel) -> None:
    config = SaeConfig(source=SAE)
    identity = sae_identity(config)
    assert identity == build_sae(config, subject).identity
    assert identity["activation"] == "topk"
    assert identity["k"] == 8
    assert identity["hookpoint"] == "model.layers.1.output"
    assert len(identity["sha256"]) == 64
    assert sae_identity(SaeConfig(source=SAE, hookpoint="model.layers.0.output")) != identity
    other = TranscoderConfig(source=TRANSCODER)
    assert transcoder_identity(other) == build_transcoder(other, subject).identity
    json.dumps(identity)


def test_the_builtin_kinds_resolve_and_their_configs_hold_a_model() -> None:
    names = ["sae", "transcoder", "mlp_neurons", "attention_heads", "directions", "planted", "planted_output"]
    assert [spec.name for spec in SUBJECTS] == names
    for spec in SUBJECTS:
        assert callable(spec.resolve_factory())
        assert callable(spec.resolve_source_identity())
        config: Any = spec.resolve_config()
        assert "model" in {field.name for field in fields(config)}


def test_listing_and_identities_import_nothing_heavy() -> None:
    code = (
        "import sys, harness.subjects.builtin, harness.subjects.configs, harness.subjects.identity, harness.embedding;"
        "import harness.subjects.planted.identity;"
        "print([name for name in ('torch', 'transformers', 'numpy', 'huggingface_hub') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def centred_sae(folder: Path, hook: str) -> str:
    """Write an SAE whose config says that its model's writing weights were centred."""
    source = FOLDERS / "saelens_topk"
    folder.mkdir()
    kwargs = {"center_writing_weights": True}
    config = json.loads((source / "cfg.json").read_text())
    config["metadata"] |= {"hf_hook_name": None, "hook_name": hook, "model_from_pretrained_kwargs": kwargs}
    (folder / "cfg.json").write_text(json.dumps(config))
    (folder / "sae_weights.safetensors").write_bytes((source / "sae_weights.safetensors").read_bytes())
    return str(folder)


def test_weights_of_a_centred_model_read_the_centred_stream(
    make_model: Callable[[str], Any], subject: SubjectModel, tokens: torch.Tensor, tmp_path: Path
) -> None:
    model = SubjectModel(make_model("gpt2"), subject.tokenizer, {})
    config = SaeConfig(source=centred_sae(tmp_path / "a", "blocks.1.hook_resid_pre"))
    source = build_sae(config, model)
    assert str(source.hookpoint) == "transformer.h.1.input|centred"
    assert source.identity == sae_identity(config)
    hidden = model.hidden_states(tokens, None, [source.hookpoint, source.hookpoint.plain])
    plain = hidden[source.hookpoint.plain]
    torch.testing.assert_close(hidden[source.hookpoint], plain - plain.mean(-1, keepdim=True))
    with pytest.raises(FeatureSourceError, match="which a model with RMSNorm cannot have"):
        build_sae(config, subject)
    normalised = build_sae(SaeConfig(source=centred_sae(tmp_path / "b", "blocks.1.ln2.hook_normalized")), model)
    assert str(normalised.hookpoint) == "transformer.h.1.ln_2.input|normalized"
    with pytest.raises(FeatureSourceError, match="in the residual stream only"):
        build_sae(SaeConfig(source=centred_sae(tmp_path / "c", "blocks.1.attn.hook_z")), model)


def test_a_layer_of_a_cross_layer_transcoder_is_read_and_not_steered(subject: SubjectModel) -> None:
    place = "model.layers.1.mlp.input"
    config = TranscoderConfig(source=str(CROSS_LAYER), hookpoint=place)
    source = build_transcoder(config, subject)
    assert source.encode(torch.randn(3, 16)).shape == (3, 64)
    assert source.write_directions([0]) is None
    assert source.to(torch.device("cpu")).encode_only
    with pytest.raises(FeatureSourceError, match="can be read but not steered"):
        source.intervene(subject.model, [0], InterventionMode.ADD, 1.0)
    assert transcoder_identity(config) == source.identity


def test_a_hook_that_has_come_to_mean_another_place_is_another_source() -> None:
    source = str(FOLDERS / "saelens_topk")
    before = sae_identity(SaeConfig(source=source, hookpoint="blocks.1.hook_resid_pre"))
    after = sae_identity(SaeConfig(source=source, hookpoint="blocks.1.hook_attn_out"))
    assert "means" not in before
    assert after["means"]


def test_weights_that_do_not_say_what_they_are_are_what_they_are_called(tmp_path: Path) -> None:
    (file,) = (FOLDERS / "releases" / "gemma-scope-2b-pt-transcoders").rglob("params.npz")
    folder = tmp_path / "layer_1" / "width_1k" / "average_l0_3"
    folder.mkdir(parents=True)
    shutil.copy(file, folder)
    places: dict[str, Any] = {"hookpoint": "model.layers.1.mlp.input", "hookpoint_out": "model.layers.1.mlp.output"}
    assert transcoder_header(TranscoderConfig(source=str(folder), **places)).transcoder
    assert not sae_header(SaeConfig(source=str(folder), hookpoint="model.layers.1.output")).transcoder
    with pytest.raises(FeatureSourceError, match="use the subject kind 'sae'"):
        transcoder_identity(TranscoderConfig(source=str(FOLDERS / "saelens_topk")))
