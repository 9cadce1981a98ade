"""Write directions against what really enters the residual stream, or reaches the logits, when a value is nudged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from harness.subjects import attention_heads, mlp_neurons
from harness.subjects.architecture import norm_after, residual_projection
from harness.subjects.configs import AttentionHeadsConfig, MlpNeuronsConfig
from harness.subjects.dictionary import Dictionary
from harness.subjects.hooknames import to_hookpoint
from harness.subjects.hooks import on_hookpoint
from harness.subjects.logit_weights import top_logit_tokens
from harness.subjects.model import SubjectModel
from harness.subjects.protocol import Hookpoint, InterventionMode
from harness.subjects.sae import SparseAutoencoder
from harness.subjects.transcoder import Transcoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedTokenizerFast

    from harness.subjects.protocol import FeatureSource

NORMED = ("gemma2", "gemma3", "olmo2")
BLOCK = "model.layers.1"
AFTER = {"mlp": f"{BLOCK}.post_feedforward_layernorm", "self_attn": f"{BLOCK}.post_attention_layernorm"}
STEP = 0.02
FEATURE = 3


@pytest.fixture
def on(make_model: Callable[[str], Any], tokenizer: PreTrainedTokenizerFast) -> Callable[[str], SubjectModel]:
    return lambda family: SubjectModel(make_model(family), tokenizer, {})


def dictionary(row: torch.Tensor | None = None) -> Dictionary:
    generator = torch.Generator().manual_seed(1)
    w_enc, w_dec = torch.randn(16, 8, generator=generator), torch.randn(8, 16, generator=generator)
    if row is not None:
        w_dec[FEATURE] = row
    return Dictionary(w_enc=w_enc, b_enc=torch.ones(8), w_dec=w_dec, b_dec=torch.zeros(16), activation="relu")


def passing(model: Any, place: Hookpoint, tokens: torch.Tensor) -> torch.Tensor:
    seen: list[torch.Tensor] = []
    with on_hookpoint(model, place, seen.append):
        model(input_ids=tokens)
    return seen[0].double()


def nudged(model: Any, source: FeatureSource, get: Callable[[], torch.Tensor], step: float = STEP) -> torch.Tensor:
    """Return the change of what ``get`` returns for each unit of the feature's value: a central difference."""
    ends = []
    for sign in (1, -1):
        with source.intervene(model, [FEATURE], InterventionMode.ADD, sign * step):
            ends.append(get())
    return (ends[0] - ends[1]) / (2 * step)


def make(kind: str, model: SubjectModel, row: torch.Tensor | None = None) -> tuple[FeatureSource, str, torch.Tensor]:
    """Return a source, the part of block 1 whose norm its features go through, and what feature 3 gives that norm."""
    hf: Any = model.model
    if kind == "mlp_neurons":
        down = hf.get_submodule(f"{BLOCK}.mlp.down_proj")
        return mlp_neurons.build(MlpNeuronsConfig(layer=1), model), "mlp", down.weight[:, FEATURE].double()
    if kind == "attention_heads":
        out = hf.get_submodule(f"{BLOCK}.self_attn.o_proj")
        heads = attention_heads.build(AttentionHeadsConfig(layer=1), model)
        return heads, "self_attn", out.weight[:, FEATURE].double()
    given = dictionary(row)
    read = Hookpoint(f"{BLOCK}.mlp", "input")
    part, write = {
        "transcoder": ("mlp", Hookpoint(f"{BLOCK}.mlp", "output")),
        "sae on the MLP's output": ("mlp", Hookpoint(f"{BLOCK}.mlp", "output")),
        "sae on the attention's output": ("self_attn", Hookpoint(f"{BLOCK}.self_attn", "output")),
        "sae on the down projection's output": ("mlp", Hookpoint(f"{BLOCK}.mlp.down_proj", "output")),
        "sae on the norm's input": ("mlp", Hookpoint(AFTER["mlp"], "input")),
    }[kind]
    if kind == "transcoder":
        return Transcoder.on_model(hf, given, read, write, {}), part, given.w_dec[FEATURE].double()
    return SparseAutoencoder.on_model(hf, given, write, write, {}), part, given.w_dec[FEATURE].double()


KINDS = (
    "mlp_neurons",
    "attention_heads",
    "transcoder",
    "sae on the MLP's output",
    "sae on the attention's output",
    "sae on the down projection's output",
    "sae on the norm's input",
)


def stream_after(part: str, model: Any) -> Hookpoint:
    """The residual stream once the part was added: attention's before the MLP reacts to it, if it has a place."""
    if part == "mlp":
        return Hookpoint(BLOCK, "output")
    return Hookpoint(AFTER["self_attn"], "output") if "Olmo2" in type(model).__name__ else to_hookpoint(
        "blocks.1.hook_resid_mid", model
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", NORMED)
def test_a_direction_enters_the_stream_through_the_norms_gain(
    family: str, kind: str, on: Callable[[str], SubjectModel], tokens: torch.Tensor
) -> None:
    model = on(family)
    hf: Any = model.model
    source, part, given = make(kind, model)
    written = source.write_directions([FEATURE])
    assert written is not None
    direction = written[0].double()
    norm = hf.get_submodule(AFTER[part])
    gain = norm.weight.double() + (0 if family == "olmo2" else 1)
    torch.testing.assert_close(direction, given * gain, atol=1e-5, rtol=1e-5)
    x = passing(hf, Hookpoint(AFTER[part], "input"), tokens)[:, 1:]
    scale = x.square().mean(-1, keepdim=True).sqrt()
    slope = nudged(hf, source, lambda: passing(hf, stream_after(part, hf), tokens))[:, 1:]
    # What is left out: the positive scale, and the part along what the norm is given.
    along = (x @ given)[..., None] / x.square().sum(-1, keepdim=True) * x
    expected = direction - gain * along
    assert float((slope * scale - expected).norm() / expected.norm()) < 0.01
    left_out = ((slope * scale - direction) / gain).norm(dim=-1)
    assert (left_out <= 1.02 * along.norm(dim=-1) + 0.02 * given.norm()).all()
    # Without the gain it would be another direction.
    cosines = [torch.cosine_similarity(slope + gain * along / scale, one, dim=-1) for one in (direction, given)]
    assert cosines[0].min() > 0.999
    assert cosines[1].max() < 0.99


@pytest.mark.parametrize("family", ["gemma2", "gemma3"])
def test_at_right_angles_to_what_the_norm_is_given_it_enters_as_said(
    family: str, on: Callable[[str], SubjectModel], tokens: torch.Tensor
) -> None:
    model = on(family)
    hf: Any = model.model
    x = passing(hf, Hookpoint(AFTER["mlp"], "input"), tokens)[0, -1].float()
    row = torch.randn(16, generator=torch.Generator().manual_seed(5))
    source, part, _ = make("transcoder", model, row - (row @ x) / (x @ x) * x)
    written = source.write_directions([FEATURE])
    assert written is not None
    slope = nudged(hf, source, lambda: passing(hf, stream_after(part, hf), tokens))[0, -1]
    assert float(torch.cosine_similarity(slope, written[0].double(), dim=0)) > 0.9999


class Odd(torch.nn.RMSNorm):
    """A norm by name, of another formula."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * 2.0 + x


def test_through_a_norm_of_an_unknown_formula_nothing_is_known_to_be_written(
    on: Callable[[str], SubjectModel], tokens: torch.Tensor
) -> None:
    model = on("gemma2")
    hf: Any = model.model
    hf.model.layers[1].post_feedforward_layernorm = Odd(16, eps=1e-6)
    for kind in ("mlp_neurons", "transcoder"):
        source, _, _ = make(kind, model)
        assert source.write_directions([FEATURE]) is None
        with source.intervene(hf, [FEATURE], InterventionMode.ADD, 1.0):
            hf(input_ids=tokens)


def test_a_layer_norm_takes_the_mean_off_what_goes_through_it(on: Callable[[str], SubjectModel]) -> None:
    model = on("gemma2")
    hf: Any = model.model
    norm = torch.nn.LayerNorm(16)
    torch.nn.init.normal_(norm.weight)
    hf.model.layers[1].post_feedforward_layernorm = norm
    source, _, given = make("transcoder", model)
    written = source.write_directions([FEATURE])
    assert written is not None
    expected = (given - given.mean()) * norm.weight.double()
    torch.testing.assert_close(written[0].double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("place", "norm"),
    [
        ("mlp.output", AFTER["mlp"]),
        ("mlp.down_proj.input", AFTER["mlp"]),
        ("self_attn.output", AFTER["self_attn"]),
        ("post_attention_layernorm.input", AFTER["self_attn"]),
        ("post_attention_layernorm.output", None),
        ("post_feedforward_layernorm.output", None),
        ("pre_feedforward_layernorm.input", None),
        ("output", None),
        ("input", None),
    ],
)
def test_which_norm_comes_after(place: str, norm: str | None, make_model: Callable[[str], Any]) -> None:
    gemma, llama = make_model("gemma3"), make_model("llama")
    hookpoint = Hookpoint.parse(f"{BLOCK}.{place}")
    assert norm_after(gemma, hookpoint) == norm
    if norm is None:
        assert torch.equal(residual_projection(gemma, hookpoint), torch.eye(16))  # type: ignore[arg-type]
    assert norm_after(llama, hookpoint) is None


LOGITS = [(family, "hook_resid_post") for family in ("llama", "gpt2", "neox", "gemma2", "gemma3", "qwen2", "qwen3")]
LOGITS += [(family, "mlp.hook_out") for family in ("llama", "gpt2", "gemma2", "gemma3")]


@pytest.mark.parametrize(("family", "hook"), LOGITS)
def test_the_tokens_shown_are_those_whose_logits_rise_most(
    family: str, hook: str, on: Callable[[str], SubjectModel], tokens: torch.Tensor
) -> None:
    model = on(family)
    hf: Any = model.model
    hf.config.final_logit_softcapping = None  # squeezes each logit by what it is at a token
    place = to_hookpoint(f"blocks.2.{hook}", hf)
    after = norm_after(hf, place)
    # At the last layer the direct path is all there is. The direction is at right angles to what each norm on the way
    # is given at the last token, so that nothing along it is left out.
    stream = passing(hf, to_hookpoint("blocks.2.hook_resid_post", hf), tokens)[0, -1]
    if family in {"gpt2", "neox"}:
        stream = stream - stream.mean()
    across = [stream]
    if after is not None:
        gain = hf.get_submodule(after).weight.double() + 1
        across = [stream * gain, passing(hf, Hookpoint(after, "input"), tokens)[0, -1]]
    basis = torch.stack(across)
    row = torch.randn(16, generator=torch.Generator().manual_seed(7)).double()
    row = row - basis.T @ torch.linalg.solve(basis @ basis.T, basis @ row)
    source = SparseAutoencoder.on_model(hf, dictionary(row.float()), place, place, {})
    (shown,) = top_logit_tokens(model, source, [FEATURE], 40)
    order: Any = model.tokenizer.convert_tokens_to_ids(list(shown))

    def logits() -> torch.Tensor:
        last: torch.Tensor = hf(input_ids=tokens).logits[0, -1]
        return last.double()

    slope = nudged(hf, source, logits)
    assert sorted(order) == list(range(40))
    ranked = slope[order]
    assert (ranked[:-1] - ranked[1:] > -0.01 * slope.std()).all()
    assert slope.std() > 0.01
