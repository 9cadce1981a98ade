"""What is read at, and written to, the places no module of the model has, against values computed by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from harness.errors import SubjectError
from harness.subjects.dictionary import Dictionary
from harness.subjects.hooknames import to_hookpoint
from harness.subjects.hooks import on_hookpoint, read_hidden_states, writing
from harness.subjects.norms import norm_of
from harness.subjects.protocol import Hookpoint, InterventionMode
from harness.subjects.sae import SparseAutoencoder
from harness.subjects.transcoder import Transcoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.subjects.dictionary_source import DictionarySource

LAYER_NORM = {"gpt2": 1e-5, "neox": 1e-5, "phi": 1e-5}
# Whether the gain is one plus the weight.
RMS_NORM = {"llama": 0.0, "qwen3": 0.0, "gemma2": 1.0, "gemma3": 1.0}
HOOKS = ["ln1.hook_normalized", "ln2.hook_normalized"]


def read(model: Any, name: str, tokens: torch.Tensor) -> torch.Tensor:
    place = to_hookpoint(f"blocks.1.{name}", model)
    return read_hidden_states(model, [place], input_ids=tokens)[place]


def module_at(model: Any, name: str) -> tuple[Any, Hookpoint]:
    place = to_hookpoint(f"blocks.1.{name}", model)
    return model.get_submodule(place.module), place


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("family", [*LAYER_NORM, *RMS_NORM])
def test_the_normalised_stream_times_the_weight_is_what_the_norm_puts_out(
    family: str, hook: str, make_model: Callable[[str], Any], tokens: torch.Tensor
) -> None:
    model = make_model(family)
    norm, place = module_at(model, hook)
    out = Hookpoint(place.module, "output")
    found = read_hidden_states(model, [place, place.plain, out], input_ids=tokens)
    x = found[place.plain].double()
    if family in LAYER_NORM:
        x = x - x.mean(-1, keepdim=True)
        expected = x / (x.pow(2).mean(-1, keepdim=True) + LAYER_NORM[family]).sqrt()
        gain, bias = norm.weight, norm.bias
    else:
        expected = x / (x.pow(2).mean(-1, keepdim=True) + model.config.rms_norm_eps).sqrt()
        gain, bias = RMS_NORM[family] + norm.weight, torch.zeros(16)
    torch.testing.assert_close(found[place], expected.float(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[place] * gain + bias, found[out], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(found[place], found[out], atol=0.1)


@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen3", "gemma2", "gemma3"])
def test_the_stream_between_attention_and_mlp(
    family: str, make_model: Callable[[str], Any], tokens: torch.Tensor
) -> None:
    model = make_model(family)
    before, after = read(model, "hook_resid_pre", tokens), read(model, "hook_resid_post", tokens)
    middle = read(model, "hook_resid_mid", tokens)
    torch.testing.assert_close(middle, before + read(model, "hook_attn_out", tokens), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(after, middle + read(model, "hook_mlp_out", tokens), atol=1e-5, rtol=1e-5)


def test_a_parallel_blocks_parts_add_up(make_model: Callable[[str], Any], tokens: torch.Tensor) -> None:
    for family in ("neox", "phi"):
        model = make_model(family)
        parts = [read(model, name, tokens) for name in ("hook_resid_pre", "hook_attn_out", "hook_mlp_out")]
        torch.testing.assert_close(sum(parts), read(model, "hook_resid_post", tokens), atol=1e-5, rtol=1e-5)
        assert torch.equal(read(model, "hook_mlp_in", tokens), parts[0])
        assert torch.equal(read(model, "hook_attn_in", tokens), parts[0])


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma2", "gemma3", "gpt2", "neox", "phi"])
def test_the_neurons_before_and_after_their_activation(
    family: str, make_model: Callable[[str], Any], tokens: torch.Tensor
) -> None:
    model = make_model(family)
    mlp, _ = module_at(model, "mlp.hook_in")
    activation = getattr(mlp, "act_fn", None) or getattr(mlp, "activation_fn", None) or mlp.act
    expected = activation(read(model, "mlp.hook_pre", tokens))
    if hasattr(mlp, "gate_proj"):
        expected = expected * read(model, "mlp.hook_pre_linear", tokens)
    torch.testing.assert_close(read(model, "mlp.hook_post", tokens), expected, atol=1e-6, rtol=1e-5)


def test_a_centred_stream(make_model: Callable[[str], Any], tokens: torch.Tensor) -> None:
    model = make_model("gpt2")
    plain, centred = read(model, "hook_resid_mid", tokens), read(model, "hook_resid_mid|centred", tokens)
    torch.testing.assert_close(centred, plain - plain.mean(-1, keepdim=True))
    assert plain.mean(-1).abs().max() > 0.1


def test_half_precision_models_are_normalised_in_float32(
    make_model: Callable[[str], Any], tokens: torch.Tensor
) -> None:
    model = make_model("gemma2").bfloat16()
    norm, place = module_at(model, "ln2.hook_normalized")
    found = read_hidden_states(model, [place, place.plain], input_ids=tokens)
    x = found[place.plain].float()
    expected = x / (x.pow(2).mean(-1, keepdim=True) + model.config.rms_norm_eps).sqrt()
    assert found[place].dtype == torch.float32
    torch.testing.assert_close(found[place], expected)
    torch.testing.assert_close(norm_of(norm, "norm").gain, 1.0 + norm.weight.float())


class Odd(torch.nn.RMSNorm):
    """A norm by name, of another formula."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * 2.0 + x


@pytest.mark.parametrize(
    "module",
    [torch.nn.Linear(4, 4), torch.nn.Identity(), Odd(4, eps=1e-6), torch.nn.BatchNorm1d(4), torch.nn.GroupNorm(2, 4)],
)
def test_what_is_no_norm_over_the_width_is_said_so(module: torch.nn.Module) -> None:
    module.eval()
    with pytest.raises(SubjectError, match=r"'some\.path' \(.*\) does not compute LayerNorm or RMSNorm"):
        norm_of(module, "some.path")


def test_a_norms_formula_is_found_in_spite_of_hooks_on_it() -> None:
    norm = torch.nn.LayerNorm(8, eps=1e-3)
    torch.nn.init.normal_(norm.weight)
    norm.register_forward_hook(lambda *_: pytest.fail("the trial must not run hooks"))
    found = norm_of(norm, "norm")
    assert (found.centres, found.eps) == (True, 1e-3)
    assert torch.equal(found.gain, norm.weight)


def dictionary() -> Dictionary:
    generator = torch.Generator().manual_seed(1)
    w_enc, w_dec = torch.randn(16, 32, generator=generator), torch.randn(32, 16, generator=generator)
    b_enc = torch.full((32,), 40.0)  # always active, so that what is read always matters
    return Dictionary(w_enc=w_enc, b_enc=b_enc, w_dec=w_dec, b_dec=torch.zeros(16), activation="relu")


def outputs(model: Any, tokens: torch.Tensor, place: Hookpoint, source: DictionarySource | None) -> torch.Tensor:
    """Return what passes a place, with feature 3 set to 4 where a source is given."""
    seen: list[torch.Tensor] = []
    if source is None:
        with on_hookpoint(model, place, seen.append):
            model(input_ids=tokens)
    else:
        with source.intervene(model, [3], InterventionMode.SET, 4.0), on_hookpoint(model, place, seen.append):
            model(input_ids=tokens)
    return seen[0]


@pytest.mark.parametrize("family", ["gpt2", "gemma2"])
def test_a_transcoder_that_reads_the_normalised_stream(
    family: str, make_model: Callable[[str], Any], tokens: torch.Tensor
) -> None:
    model = make_model(family)
    _, place = module_at(model, "ln2.hook_normalized")
    _, out = module_at(model, "hook_mlp_out")
    source = Transcoder.on_model(model, dictionary(), place, out, {})
    values = source.encode_features(read(model, "ln2.hook_normalized", tokens), [3])
    expected = outputs(model, tokens, out, None) + (4.0 - values) * dictionary().w_dec[3]
    torch.testing.assert_close(outputs(model, tokens, out, source)[:, 1:], expected[:, 1:], atol=1e-5, rtol=1e-5)
    assert torch.equal(outputs(model, tokens, out, source)[:, 0], outputs(model, tokens, out, None)[:, 0])


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma3"])
def test_an_sae_on_the_normalised_stream_writes_through_the_norms_weight(
    family: str, make_model: Callable[[str], Any], tokens: torch.Tensor
) -> None:
    model = make_model(family)
    norm, place = module_at(model, "ln1.hook_normalized")
    source = SparseAutoencoder.on_model(model, dictionary(), place, place, {})
    out, gain = writing(model, place)
    assert out == Hookpoint(place.module, "output")
    assert gain is not None
    torch.testing.assert_close(gain, norm.weight + RMS_NORM.get(family, 0.0))
    values = source.encode_features(read(model, "ln1.hook_normalized", tokens), [3])
    expected = outputs(model, tokens, out, None) + (4.0 - values) * dictionary().w_dec[3] * gain
    torch.testing.assert_close(outputs(model, tokens, out, source)[:, 1:], expected[:, 1:], atol=1e-5, rtol=1e-5)
    assert source.write_directions([3]) is None


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2"])
def test_a_change_between_attention_and_mlp_is_one_of_the_residual_stream(
    family: str, make_model: Callable[[str], Any], tokens: torch.Tensor
) -> None:
    model = make_model(family)
    middle, attention, after = (
        module_at(model, name)[1] for name in ("hook_resid_mid", "hook_attn_out", "hook_resid_post")
    )
    source = SparseAutoencoder.on_model(model, dictionary(), middle, middle, {})
    delta = (4.0 - source.encode_features(read(model, "hook_resid_mid", tokens), [3])) * dictionary().w_dec[3]
    delta[:, 0] = 0.0
    # The same, done by hand where the stream is one: attention adds the change to it.
    seen: list[torch.Tensor] = []
    with on_hookpoint(model, attention, lambda hidden: hidden + delta), on_hookpoint(model, after, seen.append):
        model(input_ids=tokens)
    torch.testing.assert_close(outputs(model, tokens, after, source), seen[0], atol=1e-4, rtol=1e-4)
    directions = source.write_directions([3])
    assert directions is not None
    assert torch.equal(directions[0], dictionary().w_dec[3])


@pytest.mark.parametrize("hook", ["hook_resid_pre", "hook_resid_post", "hook_resid_mid"])
def test_an_sae_on_a_centred_stream_reads_it_centred_and_adds_to_it_as_it_is(
    hook: str, make_model: Callable[[str], Any], tokens: torch.Tensor
) -> None:
    model = make_model("gpt2")
    _, place = module_at(model, f"{hook}|centred")
    source = SparseAutoencoder.on_model(model, dictionary(), place, place, {})
    plain = read(model, hook, tokens)
    values = source.encode_features(plain - plain.mean(-1, keepdim=True), [3])
    assert not torch.allclose(values, source.encode_features(plain, [3]), atol=0.1)
    changed = outputs(model, tokens, place.plain, source)
    expected = plain + (4.0 - values) * dictionary().w_dec[3]
    torch.testing.assert_close(changed[:, 1:], expected[:, 1:], atol=1e-5, rtol=1e-5)
    assert source.write_directions([3]) is not None


@pytest.mark.parametrize("hook", ["hook_resid_mid", "ln2.hook_normalized", "hook_resid_post|centred"])
def test_cached_decoding_is_changed_as_uncached_is(
    hook: str, make_model: Callable[[str], Any], tokens: torch.Tensor
) -> None:
    model = make_model("gpt2")
    _, place = module_at(model, hook)
    source = SparseAutoencoder.on_model(model, dictionary(), place, place, {})
    texts = []
    for use_cache in (True, False):
        with source.intervene(model, [3, 5], InterventionMode.SET, 6.0):
            texts.append(model.generate(input_ids=tokens, max_new_tokens=5, do_sample=False, use_cache=use_cache))
    assert torch.equal(texts[0], texts[1])
    assert not torch.equal(texts[0], model.generate(input_ids=tokens, max_new_tokens=5, do_sample=False))
