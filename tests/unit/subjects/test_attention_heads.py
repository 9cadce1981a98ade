from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from harness.errors import ConfigError, FeatureSourceError, SubjectError, UnknownNameError
from harness.subjects.attention_heads import HeadDimensions, HeadNorms, build
from harness.subjects.configs import AttentionHeadsConfig
from harness.subjects.hooks import on_hookpoint
from harness.subjects.identity import attention_heads_identity
from harness.subjects.logit_weights import top_logit_tokens
from harness.subjects.model import SubjectModel
from harness.subjects.protocol import FeatureSource, Hookpoint, InterventionMode

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedTokenizerFast

ATTENTION = {
    "llama": "model.layers.1.self_attn",
    "gemma2": "model.layers.1.self_attn",
    "qwen3": "model.layers.1.self_attn",
    "gpt2": "transformer.h.1.attn",
    "neox": "gpt_neox.layers.1.attention",
}
WIDTH = {"llama": 16, "gemma2": 16, "qwen3": 24, "gpt2": 16, "neox": 16}
FAMILY = pytest.mark.parametrize("family", ATTENTION)
N_HEADS = 2


@pytest.fixture
def on(make_model: Callable[[str], Any], tokenizer: PreTrainedTokenizerFast) -> Callable[[str], SubjectModel]:
    return lambda family: SubjectModel(make_model(family), tokenizer, {})


def head_outputs(family: str, model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Attention by hand: each head's pattern times its values, [B, T, head, d_head]."""
    model.set_attn_implementation("eager")
    pattern = model(input_ids=tokens, output_attentions=True).attentions[1]
    seen: list[torch.Tensor] = []
    with on_hookpoint(model, Hookpoint(ATTENTION[family], "input"), seen.append):
        model(input_ids=tokens)
    attention: Any = model.get_submodule(ATTENTION[family])
    if family == "gpt2":
        values = attention.c_attn(seen[0]).split(16, dim=-1)[2].unflatten(-1, (N_HEADS, 8))
    elif family == "neox":  # per head: query, key, value
        values = attention.query_key_value(seen[0]).unflatten(-1, (N_HEADS, 3, 8))[..., 2, :]
    else:  # both heads share the one set of values
        values = attention.v_proj(seen[0]).unsqueeze(-2).expand(-1, -1, N_HEADS, -1)
    return torch.einsum("bhts,bshd->bthd", pattern, values)


@FAMILY
def test_dimensions_are_pattern_times_values_the_heads_one_after_the_other(
    family: str, on: Callable[[str], SubjectModel], tokens: torch.Tensor
) -> None:
    model = on(family)
    source = build(AttentionHeadsConfig(layer=1, polarity="negative"), model)
    assert isinstance(source, FeatureSource)
    assert (source.n_features, source.d_in, source.kind) == (WIDTH[family], WIDTH[family], "attention_heads")
    expected = head_outputs(family, model.model, tokens)
    hidden = model.hidden_states(tokens, None, [source.hookpoint])[source.hookpoint]
    torch.testing.assert_close(hidden, expected.flatten(-2), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(source.encode(hidden), torch.relu(-expected.flatten(-2)), atol=1e-5, rtol=1e-5)
    d_head = WIDTH[family] // N_HEADS
    third_of_head_1 = source.encode_features(hidden, [d_head + 3])
    torch.testing.assert_close(third_of_head_1[..., 0], torch.relu(-expected[:, :, 1, 3]), atol=1e-5, rtol=1e-5)


@FAMILY
def test_norms_are_those_of_whole_heads(family: str, on: Callable[[str], SubjectModel], tokens: torch.Tensor) -> None:
    model = on(family)
    source = build(AttentionHeadsConfig(layer=1, value="norm", top_k=1), model)
    assert isinstance(source, FeatureSource)
    assert (source.n_features, source.d_in, source.kind) == (N_HEADS, WIDTH[family], "attention_heads")
    expected = head_outputs(family, model.model, tokens).square().sum(-1).sqrt()
    hidden = model.hidden_states(tokens, None, [source.hookpoint])[source.hookpoint]
    torch.testing.assert_close(source.encode(hidden), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(source.encode_features(hidden, [1]), expected[..., [1]], atol=1e-5, rtol=1e-5)
    sparse = source.encode_sparse(hidden.flatten(0, 1))
    assert torch.equal(sparse.feature, expected.flatten(0, 1).argmax(-1))
    assert sparse.dropped == {"outside_top_k": 14}


@FAMILY
def test_what_the_dimensions_write_adds_up_to_the_attentions_output(
    family: str, on: Callable[[str], SubjectModel], tokens: torch.Tensor
) -> None:
    model = on(family)
    source = build(AttentionHeadsConfig(layer=1), model)
    out = Hookpoint(ATTENTION[family], "output")
    hidden = model.hidden_states(tokens, None, [source.hookpoint, out])
    rows = source.write_directions(range(source.n_features))
    assert rows is not None
    bias = getattr(model.model.get_submodule(source.hookpoint.module), "bias", None)
    total = hidden[source.hookpoint] @ rows + (0 if bias is None else bias)
    if family == "gemma2":  # what a norm makes of the output, but for its scale
        norm: Any = model.model.get_submodule("model.layers.1.post_attention_layernorm")
        torch.testing.assert_close(hidden[out] * (1 + norm.weight), total, atol=1e-5, rtol=1e-5)
    else:
        torch.testing.assert_close(hidden[out], total, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (InterventionMode.ADD, lambda v: v - 2.5),
        (InterventionMode.SET, lambda v: torch.full_like(v, -2.5)),
        (InterventionMode.SCALE, lambda v: torch.where(v < 0, v * 2.5, v)),
        (InterventionMode.ABLATE, lambda v: torch.where(v < 0, 0.0, v)),
    ],
)
@FAMILY
def test_one_dimension_is_changed_and_no_other(
    family: str,
    mode: InterventionMode,
    expected: Callable[[torch.Tensor], torch.Tensor],
    on: Callable[[str], SubjectModel],
    tokens: torch.Tensor,
) -> None:
    model = on(family)
    source = build(AttentionHeadsConfig(layer=1, polarity="negative"), model)
    old = model.hidden_states(tokens, None, [source.hookpoint])[source.hookpoint]
    with source.intervene(model.model, [7], mode, 2.5):
        new = model.hidden_states(tokens, None, [source.hookpoint])[source.hookpoint]
    torch.testing.assert_close(new[:, 1:, 7], expected(old[:, 1:, 7]))
    others = [index for index in range(source.n_features) if index != 7]
    assert torch.equal(new[..., others], old[..., others])
    assert torch.equal(new[:, 0], old[:, 0])


def test_a_norm_by_hand() -> None:
    source = HeadNorms(Hookpoint("m", "input"), 2, 4, {}, None, 1.0)
    hidden = torch.tensor([[3.0, -4.0, 0.0, 0.0], [0.0, 0.5, 1.0, 0.0]]).bfloat16()
    assert source.encode(hidden).tolist() == [[5.0, 0.0], [0.5, 1.0]]
    sparse = source.encode_sparse(hidden)
    assert (sparse.row.tolist(), sparse.feature.tolist(), sparse.value.tolist()) == ([0], [0], [5.0])
    assert sparse.dropped == {"below_threshold": 2}
    assert source.encode(torch.zeros(0, 4)).shape == (0, 2)


def test_a_norm_writes_nothing_and_cannot_be_steered(subject: SubjectModel) -> None:
    source = build(AttentionHeadsConfig(layer=1, value="norm", top_k=1), subject).to(subject.device)
    assert source.write_directions([0, 1]) is None
    with pytest.raises(
        FeatureSourceError, match=r"norm of a head's output .* cannot be steered\. Try: .*value=dimension"
    ):
        source.intervene(subject.model, [0], InterventionMode.ABLATE, 0.0)
    with pytest.raises(FeatureSourceError, match="writes no direction"):
        top_logit_tokens(subject, source, [0], 3)


@pytest.mark.parametrize("value", ["dimension", "norm"])
def test_a_head_out_of_range_is_refused(value: str, subject: SubjectModel) -> None:
    source = build(AttentionHeadsConfig(layer=1, value=value, top_k=1), subject)
    with pytest.raises(FeatureSourceError, match="no feature 99"):
        source.encode_features(torch.zeros(1, 16), [99])
    with pytest.raises(FeatureSourceError, match="no feature 99"):
        source.write_directions([99])


def test_negative_dimensions_write_the_opposite(subject: SubjectModel) -> None:
    positive = build(AttentionHeadsConfig(layer=1), subject)
    negative = build(AttentionHeadsConfig(layer=1, polarity="negative"), subject)
    assert isinstance(positive, HeadDimensions)
    written = negative.write_directions([2, 9])
    assert written is not None
    assert torch.equal(written, -positive.rows[[2, 9]])


def test_the_identity_is_known_before_and_tells_values_apart(subject: SubjectModel) -> None:
    configs = [
        AttentionHeadsConfig(layer=1),
        AttentionHeadsConfig(layer=1, value="norm", top_k=1),
        AttentionHeadsConfig(layer=2),
        AttentionHeadsConfig(layer=1, polarity="absolute"),
        AttentionHeadsConfig(layer=1, top_k=None, threshold=0.5),
    ]
    identities = [attention_heads_identity(config) for config in configs]
    assert [dict(build(config, subject).identity) for config in configs] == identities
    assert all(one not in identities[:index] for index, one in enumerate(identities))


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        (AttentionHeadsConfig(layer=1, threshold=0.5), ConfigError, "attention_heads: set exactly one of top_k and"),
        (AttentionHeadsConfig(layer=1, top_k=0), ConfigError, "keeps nothing"),
        (AttentionHeadsConfig(layer=1, value="norms"), UnknownNameError, "did you mean norm"),
        (AttentionHeadsConfig(layer=1, value="norm", polarity="negative"), ConfigError, "a norm is never negative"),
        (
            AttentionHeadsConfig(layer=1, value="norm"),
            ConfigError,
            "top_k is 32, and with 2 heads every one would count",
        ),
        (AttentionHeadsConfig(layer=1, value="norm", top_k=2), ConfigError, "top_k=1, or a threshold"),
        (AttentionHeadsConfig(layer=9), SubjectError, "no layer 9: they run from 0 to 2"),
    ],
)
def test_senseless_settings_are_refused(
    config: AttentionHeadsConfig, error: type[Exception], message: str, subject: SubjectModel
) -> None:
    with pytest.raises(error, match=message):
        build(config, subject)


def test_heads_of_unequal_width_have_no_norms(subject: SubjectModel) -> None:
    subject.model.config.num_attention_heads = 3
    with pytest.raises(SubjectError, match=r"width 16, which is not that of 3 equal heads\. Try: .*value=dimension"):
        build(AttentionHeadsConfig(layer=1, value="norm"), subject)
    assert build(AttentionHeadsConfig(layer=1), subject).n_features == 16


def test_an_output_projection_without_a_plain_matrix_is_refused(subject: SubjectModel) -> None:
    attention: Any = subject.model.get_submodule("model.layers.1.self_attn")
    attention.o_proj = torch.nn.Identity()
    with pytest.raises(SubjectError, match=r"'model\.layers\.1\.self_attn\.o_proj' is no linear map"):
        build(AttentionHeadsConfig(layer=1), subject)
