from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from harness.errors import FeatureSourceError
from harness.subjects.configs import TranscoderConfig
from harness.subjects.protocol import InterventionMode
from harness.subjects.transcoder import build
from harness.subjects.weights import read_header
from harness.subjects.weights.load import load_dictionary

if TYPE_CHECKING:
    from collections.abc import Callable

GOLDEN = Path(__file__).parents[3] / "fixtures" / "feature_sources"
D, N, LAYERS = 4, 6, 3
HOOKS = {"feature_input_hook": "mlp.hook_in", "feature_output_hook": "mlp.hook_out"}
X = torch.randn(5, D, generator=torch.Generator().manual_seed(5)) * 3


def config(folder: Path, kind: str, **changes: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({"model_kind": kind, **HOOKS, **changes}))


def tensors(**changes: torch.Tensor) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    shapes = {"W_enc": (N, D), "W_dec": (N, D), "b_enc": (N,), "b_dec": (D,)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()} | changes


def layer(folder: Path, weights: dict[str, torch.Tensor] | None = None, **changes: Any) -> Path:
    """Write a set of one layer, and return the layer's file."""
    config(folder, **{"kind": "transcoder_set", **changes})
    path = folder / "layer_2.safetensors"
    save_file(weights or tensors(), path)
    return path


def encoder(folder: Path, weights: dict[str, torch.Tensor] | None = None, **changes: Any) -> Path:
    """Write the encoder of one layer of a cross-layer transcoder, and return its file."""
    config(folder, **{"kind": "cross_layer_transcoder", **changes})
    named = {f"{name}_2": tensor for name, tensor in (weights or tensors()).items() if name != "W_dec"}
    path = folder / "W_enc_2.safetensors"
    save_file(named, path)
    return path


@pytest.mark.parametrize("name", ["relu_skip", "jumprelu", "clt_relu", "clt_jumprelu"])
def test_encoding_and_decoding_equal_the_librarys(name: str) -> None:
    folder = GOLDEN / f"circuit_tracer_{name}"
    golden = load_file(folder / "golden.safetensors")
    header = read_header(folder)
    assert (header.format, header.transcoder) == ("circuit-tracer-clt" if "clt" in name else "circuit-tracer", True)
    assert header.activation == ("jumprelu" if "jump" in name else "relu")
    assert (header.hook_in, header.hook_out) == ("blocks.1.ln2.hook_normalized", "blocks.1.hook_mlp_out")
    dictionary = load_dictionary(header)
    torch.testing.assert_close(dictionary.encode(golden["x"]), golden["z"], atol=1e-5, rtol=1e-5)
    few = dictionary.encode_features(golden["x"], [0, 63, 17])
    torch.testing.assert_close(few, golden["z"][:, [0, 63, 17]], atol=1e-5, rtol=1e-5)
    if "y" in golden:
        found = dictionary.decode(golden["z"], golden["x"])
        torch.testing.assert_close(found, golden["y"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("jump", [False, True])
@pytest.mark.parametrize("old", [False, True])
def test_a_layer_by_hand(tmp_path: Path, old: bool, jump: bool, skip: bool) -> None:
    t = tensors()
    stored = dict(t)
    threshold, w_skip = torch.linspace(0.0, 2.0, N), torch.randn(D, D, generator=torch.Generator().manual_seed(8))
    if jump:
        stored["activation_function.threshold"] = threshold
    if skip:
        stored["W_skip"] = w_skip
    if old:
        stored["W_dec"] = t["W_dec"].T.contiguous()
    dictionary = load_dictionary(read_header(layer(tmp_path, stored)))
    before = torch.einsum("bd,nd->bn", X, t["W_enc"]) + t["b_enc"]
    values = torch.where(before > threshold, before, 0.0) if jump else before.clamp(min=0.0)
    decoded = torch.einsum("bn,nd->bd", values, t["W_dec"]) + t["b_dec"]
    if skip:
        decoded = decoded + torch.einsum("bd,ed->be", X, w_skip)
    torch.testing.assert_close(dictionary.encode(X), values)
    torch.testing.assert_close(dictionary.decode(values, X), decoded)


@pytest.mark.parametrize("jump", [False, True])
def test_an_encoder_by_hand(tmp_path: Path, jump: bool) -> None:
    threshold = torch.linspace(0.0, 2.0, N)
    t = tensors(**({"threshold": threshold} if jump else {}))
    dictionary = load_dictionary(read_header(encoder(tmp_path, t)))
    before = torch.einsum("bd,nd->bn", X, t["W_enc"]) + t["b_enc"]
    values = torch.where(before > threshold, before, 0.0) if jump else before.clamp(min=0.0)
    torch.testing.assert_close(dictionary.encode(X), values)
    assert dictionary.d_out == 0


@pytest.mark.parametrize("make", [layer, encoder])
def test_a_folder_of_several_layers_needs_one_named(tmp_path: Path, make: Callable[..., Path]) -> None:
    path = make(tmp_path)
    assert read_header(tmp_path) == read_header(path)
    assert read_header(path).hook_in == "blocks.2.mlp.hook_in"
    other = path.with_name(path.name.replace("2", "10"))
    other.write_bytes(path.read_bytes())
    with pytest.raises(FeatureSourceError, match=f"holds 2 layers.*add one of: {path.name}, {other.name}"):
        read_header(tmp_path)
    assert read_header(path).hook_out == "blocks.2.mlp.hook_out"


def test_what_the_config_does_not_say(tmp_path: Path) -> None:
    silent = {"feature_input_hook": None, "feature_output_hook": None}
    one = read_header(layer(tmp_path / "a", **silent))
    assert (one.hook_in, one.hook_out) == (None, None)
    many = read_header(encoder(tmp_path / "b", **silent))
    assert (many.hook_in, many.hook_out) == ("blocks.2.hook_resid_mid", "blocks.2.hook_mlp_out")


@pytest.mark.parametrize("make", [layer, encoder])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model_kind: sae", "model_kind is 'sae', where these files are of a"),
        ("scan: x", "model_kind is None"),
        ("- 1", "not a YAML mapping"),
        ("a: [\nb: }", "not readable as YAML"),
        ("!!python/object/apply:os.getcwd []", "not readable as YAML"),
    ],
)
def test_configs_that_are_something_else(tmp_path: Path, make: Callable[..., Path], text: str, message: str) -> None:
    path = make(tmp_path)
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(FeatureSourceError, match=message) as caught:
        read_header(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (tensors(b_enc=torch.zeros(7)), r"shape"),
        (tensors(b_dec=torch.zeros(5)), r"b_dec has shape|expected"),
        (tensors(W_enc=torch.zeros(N, D, 2)), r"W_enc has shape \(6, 4, 2\), expected a matrix"),
        (tensors(W_dec=torch.zeros(N * D)), r"W_dec has shape \(24,\), expected a matrix"),
        (tensors(W_enc=torch.full((N, D), torch.nan)), "w_enc holds NaN"),
        (tensors(W_skip=torch.zeros(D, 3)), "w_skip has shape"),
        ({name: tensor for name, tensor in tensors().items() if name != "W_dec"}, "lacks W_dec"),
        (tensors(**{"activation_function.threshold": torch.linspace(-1, 1, N)}), "3 thresholds are negative"),
        (tensors(**{"activation_function.threshold": torch.ones(2, N)}), "threshold has shape"),
    ],
)
def test_malformed_layers_are_refused(tmp_path: Path, weights: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(FeatureSourceError, match=message):
        load_dictionary(read_header(layer(tmp_path, weights)))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (tensors(b_enc=torch.zeros(7)), "shape"),
        (tensors(W_enc=torch.zeros(N)), r"W_enc_2 has shape \(6,\), expected a matrix"),
        (tensors(W_enc=torch.full((N, D), torch.inf)), "w_enc holds NaN or infinite"),
        ({"W_enc": torch.zeros(N, D)}, "lacks b_enc_2"),
        (tensors(threshold=-torch.ones(N)), "6 thresholds are negative"),
    ],
)
def test_malformed_encoders_are_refused(tmp_path: Path, weights: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(FeatureSourceError, match=message):
        load_dictionary(read_header(encoder(tmp_path, weights)))


@pytest.mark.parametrize("make", [layer, encoder])
def test_a_torn_file_and_a_pickle_are_refused(tmp_path: Path, make: Callable[..., Path]) -> None:
    path = make(tmp_path)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(FeatureSourceError, match="not readable as safetensors"):
        read_header(path)
    torch.save({"W_enc": torch.zeros(2, 2)}, path)
    with pytest.raises(FeatureSourceError, match="not readable as safetensors"):
        read_header(path)


def test_a_layer_without_a_config_is_no_source(tmp_path: Path) -> None:
    path = layer(tmp_path)
    (tmp_path / "config.yaml").unlink()
    with pytest.raises(FeatureSourceError, match=r"config\.yaml and layer_<i>\.safetensors"):
        read_header(path)


def test_a_transcoder_on_the_places_its_config_names(subject: Any) -> None:
    source = build(TranscoderConfig(source=str(GOLDEN / "circuit_tracer_relu_skip")), subject)
    assert str(source.hookpoint) == "model.layers.1.post_attention_layernorm.input|normalized"
    assert str(source.hookpoint_out) == "model.layers.1.mlp.output"
    directions = source.write_directions([3])
    assert directions is not None
    assert torch.equal(directions, source.dictionary.w_dec[[3]])


def test_features_of_a_cross_layer_transcoder_are_read_and_not_written(subject: Any, tokens: torch.Tensor) -> None:
    source = build(TranscoderConfig(source=str(GOLDEN / "circuit_tracer_clt_relu")), subject)
    hidden = subject.hidden_states(tokens, None, [source.hookpoint])[source.hookpoint]
    values = source.encode(hidden)
    assert values.shape == (2, 7, 64)
    assert (values > 0).any()
    assert len(source.encode_sparse(hidden.flatten(0, 1)).value) == int((values > 0).sum())
    assert source.write_directions([1]) is None
    with pytest.raises(FeatureSourceError, match="writes to several layers, and can be read but not steered"):
        source.intervene(subject.model, [1], InterventionMode.ADD, 1.0)
