from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from harness.errors import ConfigError, FeatureSourceError, MaterialError, SubjectError, UnknownNameError
from harness.subjects.configs import DirectionsConfig
from harness.subjects.directions import Directions, build
from harness.subjects.hooknames import to_hookpoint
from harness.subjects.identity import directions_identity
from harness.subjects.logit_weights import top_logit_tokens
from harness.subjects.model import SubjectModel
from harness.subjects.protocol import FeatureSource, Hookpoint, InterventionMode

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedTokenizerFast

PLACE = "model.layers.1.output"
FAMILIES = ["llama", "gemma2", "qwen3", "gpt2", "neox"]


def directions_config(**options: Any) -> DirectionsConfig:
    return DirectionsConfig(**{"threshold": 0.0, **options})


def rows(n: int = 3, width: int = 16) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, width)).astype(np.float32)


@pytest.fixture
def source(tmp_path: Path) -> str:
    np.save(tmp_path / "directions.npy", rows())
    return str(tmp_path / "directions.npy")


def in_first_two(*pairs: tuple[float, float]) -> np.ndarray:
    return np.pad(np.asarray(pairs), ((0, 0), (0, 14)))


def by_hand(path: Path, subject: SubjectModel, **options: Any) -> Directions:
    """Directions (3, 4) and (0, -2) in the first two coordinates, with biases -1 and 10."""
    np.save(path / "two.npy", in_first_two((3, 4), (0, -2)))
    np.save(path / "bias.npy", np.asarray([-1.0, 10.0]))
    config = directions_config(source=str(path / "two.npy"), hookpoint=PLACE, bias=str(path / "bias.npy"), **options)
    return build(config, subject)


# x = (1, 2): 3 + 8 - 1 = 10 and -4 + 10 = 6. x = (-1, 6): -3 + 24 - 1 = 20 and -12 + 10 = -2. Norms: 5 and 2.
HIDDEN = torch.from_numpy(in_first_two((1, 2), (-1, 6))).float()


@pytest.mark.parametrize(
    ("polarity", "normalise", "expected"),
    [
        ("positive", False, [[10.0, 6.0], [20.0, 0.0]]),
        ("negative", False, [[0.0, 0.0], [0.0, 2.0]]),
        ("absolute", False, [[10.0, 6.0], [20.0, 2.0]]),
        ("positive", True, [[2.0, 3.0], [4.0, 0.0]]),
        ("absolute", True, [[2.0, 3.0], [4.0, 1.0]]),
    ],
)
def test_values_by_hand(
    polarity: str, normalise: bool, expected: list[list[float]], subject: SubjectModel, tmp_path: Path
) -> None:
    found = by_hand(tmp_path, subject, polarity=polarity, normalise=normalise)
    torch.testing.assert_close(found.encode(HIDDEN), torch.tensor(expected))
    torch.testing.assert_close(found.encode(HIDDEN.bfloat16()), torch.tensor(expected))
    torch.testing.assert_close(found.encode_features(HIDDEN, [1]), torch.tensor(expected)[:, [1]])


@pytest.mark.parametrize(
    ("kept", "features", "dropped"),
    [
        ({}, [[0, 1], [0]], {"below_threshold": 0}),
        ({"threshold": 6.0}, [[0], [0]], {"below_threshold": 1}),
        ({"threshold": None, "top_k": 1}, [[0], [0]], {"outside_top_k": 1}),
        ({"threshold": None, "top_k": 1, "polarity": "negative"}, [[], [1]], {"outside_top_k": 0}),
    ],
)
def test_what_is_kept_and_what_is_counted(
    kept: dict[str, Any],
    features: list[list[int]],
    dropped: dict[str, int],
    subject: SubjectModel,
    tmp_path: Path,
) -> None:
    sparse = by_hand(tmp_path, subject, **kept).encode_sparse(HIDDEN)
    assert [sparse.feature[sparse.row == row].tolist() for row in (0, 1)] == features
    assert sparse.dropped == dropped


@pytest.mark.parametrize("normalise", [False, True])
def test_what_is_written_by_hand(normalise: bool, subject: SubjectModel, tmp_path: Path) -> None:
    # Along (3, 4) / 25 the value of (3, 4) grows by one; along its unit vector that of the unit vector does.
    expected = in_first_two((0.6, 0.8), (0, -1)) if normalise else in_first_two((0.12, 0.16), (0, -0.5))
    found = by_hand(tmp_path, subject, normalise=normalise)
    torch.testing.assert_close(found.write_directions([0, 1]), torch.from_numpy(expected).float())
    opposite = by_hand(tmp_path, subject, normalise=normalise, polarity="negative")
    torch.testing.assert_close(opposite.write_directions([1]), -torch.from_numpy(expected).float()[[1]])
    assert torch.equal(found.read_directions([1, 0]), found.weight[[1, 0]])
    assert torch.equal(opposite.read_directions([1]), -opposite.weight[[1]])


@pytest.mark.parametrize("family", FAMILIES)
def test_in_every_family(
    family: str,
    source: str,
    make_model: Callable[[str], Any],
    tokenizer: PreTrainedTokenizerFast,
    tokens: torch.Tensor,
) -> None:
    model = SubjectModel(make_model(family), tokenizer, {})
    found = build(directions_config(source=source, hookpoint="blocks.1.hook_resid_post"), model)
    assert isinstance(found, FeatureSource)
    assert (found.n_features, found.d_in, found.kind) == (3, 16, "directions")
    hidden = model.model(input_ids=tokens, output_hidden_states=True).hidden_states[2]
    torch.testing.assert_close(model.hidden_states(tokens, None, [found.hookpoint])[found.hookpoint], hidden)
    expected = np.maximum(hidden.numpy().astype(np.float64) @ rows().T.astype(np.float64), 0)
    np.testing.assert_allclose(found.encode(hidden).numpy(), expected, atol=1e-5, rtol=1e-5)
    assert len(top_logit_tokens(model, found, [0, 2], 3)) == 2


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("hook", ["attn.hook_z", "mlp.hook_post"])
def test_a_direction_before_a_linear_map_is_written_through_it(
    family: str, hook: str, make_model: Callable[[str], Any], tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    model = SubjectModel(make_model(family), tokenizer, {})
    place = to_hookpoint(f"blocks.1.{hook}", model.model)
    linear = model.model.get_submodule(place.module)
    width = 24 if hook == "mlp.hook_post" or family == "qwen3" else 16
    np.save(tmp_path / "x.npy", rows(2, width))
    found = build(directions_config(source=str(tmp_path / "x.npy"), hookpoint=str(place)), model)
    step = torch.from_numpy(rows(2, width) / (rows(2, width) ** 2).sum(-1, keepdims=True))
    written = found.write_directions([0, 1])
    assert written is not None
    given = linear(step) - linear(torch.zeros_like(step))
    if family == "gemma2":  # a norm comes after
        name = "post_feedforward_layernorm" if hook == "mlp.hook_post" else "post_attention_layernorm"
        norm: Any = model.model.get_submodule(f"model.layers.1.{name}")
        given = given * (1 + norm.weight)
    torch.testing.assert_close(written, given, atol=1e-5, rtol=1e-5)


def test_where_nothing_is_written_to_the_stream_there_is_no_direction_yet_steering(
    subject: SubjectModel, source: str, tokens: torch.Tensor
) -> None:
    found = build(directions_config(source=source, hookpoint="model.layers.1.mlp.input"), subject)
    assert found.write_directions([0]) is None
    assert found.to(subject.device).projection is None
    with found.intervene(subject.model, [0], InterventionMode.SET, 3.0):
        hidden = subject.hidden_states(tokens, None, [found.hookpoint])[found.hookpoint]
    torch.testing.assert_close(found.encode_features(hidden, [0])[:, 1:], torch.full((2, 6, 1), 3.0))


class OnePlace(torch.nn.Module):
    """A model that does nothing but pass one place."""

    def __init__(self) -> None:
        super().__init__()
        self.block = torch.nn.Identity()

    def forward(self, inputs_embeds: torch.Tensor) -> Any:
        return self.block(inputs_embeds)


@settings(deadline=None, max_examples=30)
@given(
    scale=st.floats(0.01, 100),
    bias=st.floats(-5, 5),
    strength=st.floats(-4, 4),
    mode=st.sampled_from(InterventionMode),
    polarity=st.sampled_from(["positive", "negative", "absolute"]),
)
def test_the_signed_value_moves_exactly_and_nothing_else_does(
    scale: float, bias: float, strength: float, mode: InterventionMode, polarity: str
) -> None:
    module = OnePlace()
    generator = torch.Generator().manual_seed(0)
    weight, hidden = torch.randn(1, 6, generator=generator) * scale, torch.randn(1, 9, 6, generator=generator)
    written = weight / weight.square().sum()
    made = Directions(weight, torch.tensor([bias]), written, Hookpoint("block", "output"), {}, polarity, 1, None, None)
    with made.intervene(module, [0], mode, strength):
        new = module(inputs_embeds=hidden)
    old_v, new_v = (x[0, 1:] @ weight[0] + bias for x in (hidden, new))
    sign = -1.0 if polarity == "negative" else 1.0
    active = (old_v * sign > 0) if polarity != "absolute" else old_v != 0
    expected = {
        InterventionMode.ADD: old_v + sign * strength,
        InterventionMode.SET: torch.full_like(old_v, sign * strength),
        InterventionMode.SCALE: torch.where(active, old_v * strength, old_v),
        InterventionMode.ABLATE: torch.where(active, 0.0, old_v),
    }[mode]
    torch.testing.assert_close(new_v, expected, atol=2e-4 * (1 + scale), rtol=1e-4)
    unit = weight[0] / weight[0].norm()
    across = [x[0] - (x[0] @ unit)[:, None] * unit for x in (hidden, new)]
    torch.testing.assert_close(*across, atol=1e-3, rtol=1e-4)
    assert torch.equal(new[:, 0], hidden[:, 0])


def test_ablating_both_sides_projects_a_direction_out(subject: SubjectModel, source: str, tokens: torch.Tensor) -> None:
    found = build(directions_config(source=source, hookpoint=PLACE, polarity="absolute"), subject)
    old = subject.hidden_states(tokens, None, [found.hookpoint])[found.hookpoint][:, 1:]
    with found.intervene(subject.model, [1], InterventionMode.ABLATE, 0.0):
        new = subject.hidden_states(tokens, None, [found.hookpoint])[found.hookpoint][:, 1:]
    unit = torch.from_numpy(rows()[1] / np.linalg.norm(rows()[1]))
    torch.testing.assert_close(new, old - (old @ unit)[..., None] * unit, atol=1e-5, rtol=1e-5)


def test_all_files_that_hold_the_same_give_the_same(subject: SubjectModel, source: str, tmp_path: Path) -> None:
    one, named = tmp_path / "one.safetensors", tmp_path / "named.safetensors"
    save_file({"w": torch.from_numpy(rows())}, one)
    save_file({f"v{index}": torch.from_numpy(row.copy()) for index, row in enumerate(rows())}, named)
    found = [build(directions_config(source=str(path), hookpoint=PLACE), subject) for path in (source, one, named)]
    assert all(torch.equal(one.weight, torch.from_numpy(rows())) for one in found)


def test_the_identity_is_known_before_and_holds_what_matters(
    subject: SubjectModel, source: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "bias.npy", np.ones(3))
    np.save(tmp_path / "other.npy", rows() * 2)
    config: dict[str, Any] = {"source": source, "hookpoint": PLACE}
    configs = [
        directions_config(**config),
        directions_config(**config, normalise=True),
        directions_config(**config, bias=str(tmp_path / "bias.npy")),
        directions_config(**config, polarity="absolute"),
        directions_config(**config, threshold=1.0),
        directions_config(**config, threshold=None, top_k=2),
        directions_config(source=source, hookpoint="model.layers.0.output"),
        directions_config(source=str(tmp_path / "other.npy"), hookpoint=PLACE),
    ]
    identities = [directions_identity(one) for one in configs]
    assert [dict(build(one, subject).identity) for one in configs] == identities
    assert all(one not in identities[:index] for index, one in enumerate(identities))
    copy = tmp_path / "copy.npy"
    copy.write_bytes(Path(source).read_bytes())
    assert directions_identity(directions_config(source=str(copy), hookpoint=PLACE)) == identities[0]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"top_k": 3}, ConfigError, "directions: set exactly one of top_k and threshold"),
        ({"threshold": None}, ConfigError, "set exactly one"),
        ({"threshold": -1.0}, ConfigError, "must not be negative"),
        ({"threshold": float("nan")}, ConfigError, "threshold is nan"),
        ({"polarity": "both"}, UnknownNameError, "unknown polarity 'both'"),
        ({"hookpoint": "model.layers.7.output"}, SubjectError, "no module"),
        ({"hookpoint": "model.layers.1"}, ConfigError, "not a hookpoint"),
        ({"source": "nowhere.npy"}, MaterialError, r"nowhere\.npy: no such file"),
        ({"bias": "nowhere.npy"}, MaterialError, r"nowhere\.npy: no such file"),
        (
            {"hookpoint": "model.layers.1.mlp.down_proj.input"},
            FeatureSourceError,
            r"directions\.npy: the directions have width 16, but model\.layers\.1\.mlp\.down_proj\.input .* width 24",
        ),
    ],
)
def test_senseless_settings_are_refused(
    options: dict[str, Any], error: type[Exception], message: str, subject: SubjectModel, source: str
) -> None:
    with pytest.raises(error, match=message):
        build(directions_config(**{"source": source, "hookpoint": PLACE, **options}), subject)


@pytest.mark.parametrize("name", ["probe.pt", "probe.pkl", "probe.npz", "probe"])
@pytest.mark.parametrize("option", ["source", "bias"])
def test_files_of_other_kinds_are_not_even_opened(
    name: str, option: str, subject: SubjectModel, source: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(b"")
    options: dict[str, Any] = {"source": source, "hookpoint": PLACE} | {option: str(tmp_path / name)}
    kind = f"a .{name.partition('.')[2]} file" if "." in name else "a file without an ending"
    with pytest.raises(FeatureSourceError, match=rf"{name}: is {kind}, and .* Try: give a \.safetensors file, or"):
        build(directions_config(**options), subject)
    with pytest.raises(FeatureSourceError, match="is a folder"):
        directions_identity(directions_config(**(options | {option: str(tmp_path)})))


def test_a_matrix_the_other_way_round_is_said_to_be_so(subject: SubjectModel, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", rows().T)
    with pytest.raises(FeatureSourceError, match=r"width 3, but .*one direction per row, .*the other way round"):
        build(directions_config(source=str(tmp_path / "x.npy"), hookpoint=PLACE), subject)


@pytest.mark.parametrize("tiny", [0.0, 1e-40])
@pytest.mark.parametrize("normalise", [False, True])
def test_what_has_no_length_is_no_direction(
    tiny: float, normalise: bool, subject: SubjectModel, tmp_path: Path
) -> None:
    vectors = {"fine": torch.ones(16), "nothing": torch.full((16,), tiny)}
    save_file(vectors, tmp_path / "x.safetensors")
    config = directions_config(source=str(tmp_path / "x.safetensors"), hookpoint=PLACE, normalise=normalise)
    if normalise and tiny:
        assert build(config, subject).weight[1].norm() == pytest.approx(1)
        return
    with pytest.raises(FeatureSourceError, match=r"x\.safetensors: direction 'nothing' is zero, or too close to it"):
        build(config, subject)


def test_features_out_of_range_are_refused(subject: SubjectModel, source: str) -> None:
    found = build(directions_config(source=source, hookpoint=PLACE), subject)
    for ask in (
        lambda: found.encode_features(torch.zeros(1, 16), [3]),
        lambda: found.write_directions([3]),
        lambda: found.intervene(subject.model, [3], InterventionMode.ADD, 1.0),
    ):
        with pytest.raises(FeatureSourceError, match="no feature 3: they run from 0 to 2"):
            ask()


def test_a_direction_in_a_centred_stream_moves_its_value_by_what_is_asked(
    tmp_path: Path, make_model: Callable[[str], Any], subject: SubjectModel, tokens: torch.Tensor
) -> None:
    model = SubjectModel(make_model("gpt2"), subject.tokenizer, {})
    save_file({"w": torch.arange(32.0).reshape(2, 16) + 1}, tmp_path / "w.safetensors")
    config = DirectionsConfig(
        source=str(tmp_path / "w.safetensors"), hookpoint="blocks.0.hook_resid_post|centred", top_k=None, threshold=0.0
    )
    source = build(config, model)
    hidden = model.hidden_states(tokens, None, [source.hookpoint])[source.hookpoint]
    direction = source.written[1]
    moved = hidden + direction - direction.mean()
    change = source._signed(moved, [1]) - source._signed(hidden, [1])
    torch.testing.assert_close(change, torch.ones_like(change), atol=1e-4, rtol=0)
    save_file({"w": torch.ones(1, 16)}, tmp_path / "w.safetensors")
    with pytest.raises(FeatureSourceError, match="is zero"):
        build(config, model)
