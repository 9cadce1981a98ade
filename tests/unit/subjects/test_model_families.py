"""Reading in every family of models, in single and half precision: each place alone, and many in one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from harness.subjects.hooknames import to_hookpoint
from harness.subjects.hooks import find_module, on_hookpoint, read_hidden_states
from harness.subjects.model import SubjectModel
from harness.subjects.protocol import Hookpoint, InterventionMode
from tests.support.made_sources import KINDS, made_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedTokenizerFast

FAMILIES = ("llama", "gpt2", "neox", "gemma2", "gemma3", "qwen2", "qwen3")
PARALLEL = {"neox"}  # has no stream between attention and MLP
TYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
FAMILY = pytest.mark.parametrize("family", FAMILIES)
HOOKS = (
    "hook_resid_pre",
    "hook_resid_post",
    "hook_attn_out",
    "hook_mlp_out",
    "mlp.hook_in",
    "mlp.hook_out",
    "mlp.hook_pre",
    "mlp.hook_post",
    "attn.hook_z",
    "ln1.hook_normalized",
    "ln2.hook_normalized",
)


@pytest.fixture
def on(
    make_model: Callable[[str], Any], tokenizer: PreTrainedTokenizerFast
) -> Callable[[str, torch.dtype], SubjectModel]:
    return lambda family, dtype: SubjectModel(make_model(family).to(dtype), tokenizer, {})


def kinds_of(family: str) -> list[str]:
    return [kind for kind in KINDS if kind != "sae_between" or family not in PARALLEL]


@TYPES
@FAMILY
def test_what_is_read_is_what_the_modules_were_given_and_gave(
    family: str, dtype: torch.dtype, on: Callable[[str, torch.dtype], SubjectModel], tokens: torch.Tensor
) -> None:
    model = on(family, dtype)
    hf: Any = model.model
    places = {hook: to_hookpoint(f"blocks.1.{hook}", hf) for hook in HOOKS}
    found = read_hidden_states(hf, list(places.values()), input_ids=tokens, use_cache=False)
    states = hf(input_ids=tokens, output_hidden_states=True).hidden_states
    assert torch.equal(found[places["hook_resid_pre"]], states[1])
    assert torch.equal(found[places["hook_resid_post"]], states[2])
    # Each module, run by hand on what was read before it.
    mlp, down = (find_module(hf, places[hook].module) for hook in ("mlp.hook_in", "mlp.hook_post"))
    out = find_module(hf, places["attn.hook_z"].module)
    assert torch.equal(mlp(found[places["mlp.hook_in"]]), found[places["mlp.hook_out"]])
    assert torch.equal(down(found[places["mlp.hook_post"]]), found[places["mlp.hook_out"]])
    attended = read_hidden_states(
        hf, [attention := Hookpoint(places["attn.hook_z"].module, "output")], input_ids=tokens
    )
    assert torch.equal(out(found[places["attn.hook_z"]]), attended[attention])
    if places["hook_attn_out"].module == attention.module.rpartition(".")[0]:  # no norm in between
        assert torch.equal(found[places["hook_attn_out"]], attended[attention])
    for hook, place in places.items():
        assert found[place].dtype == (torch.float32 if "normalized" in hook else dtype)
        assert found[place].isfinite().all()
    parts = [found[places[hook]].float() for hook in ("hook_resid_pre", "hook_attn_out", "hook_mlp_out")]
    tolerance = 1e-5 if dtype == torch.float32 else 0.02
    total, expected = sum(parts), found[places["hook_resid_post"]].float()
    assert float((total - expected).norm() / expected.norm()) < tolerance


@TYPES
@FAMILY
def test_many_sources_in_one_pass_read_what_each_reads_in_its_own(
    family: str, dtype: torch.dtype, on: Callable[[str, torch.dtype], SubjectModel], tokens: torch.Tensor
) -> None:
    model = on(family, dtype)
    sources = [made_source(kind, model, layer) for kind in kinds_of(family) for layer in (2, 0)]
    mask = torch.ones_like(tokens)
    mask[0, 5:] = 0
    together = model.hidden_states(tokens, mask, [source.hookpoint for source in sources])
    for source in sources:
        alone = model.hidden_states(tokens, mask, [source.hookpoint])[source.hookpoint]
        assert torch.equal(together[source.hookpoint], alone)
        values = source.encode(together[source.hookpoint])
        assert values.dtype == torch.float32
        assert torch.equal(values, source.encode(alone))
        assert values.shape == (2, 7, source.n_features)
        assert (values > 0).any()


# What a set value is read as again at the place it was set, in the model's own type.
READ_AGAIN = {"mlp_neurons", "pre_activations", "attention_heads", "directions"}


@FAMILY
def test_every_kind_is_steered_in_half_precision_at_every_step_cached_or_not(
    family: str, on: Callable[[str, torch.dtype], SubjectModel], tokens: torch.Tensor
) -> None:
    model = on(family, torch.bfloat16)
    hf: Any = model.model
    padded = tokens.clone()
    padded[0, :2] = 0
    for kind in kinds_of(family):
        source = made_source(kind, model)
        place = getattr(source, "hookpoint_out", source.hookpoint)
        for use_cache in (True, False) if kind == "transcoder" else (True,):
            before: list[torch.Tensor] = []
            after: list[torch.Tensor] = []
            with (
                on_hookpoint(hf, place, before.append),
                source.intervene(hf, [3], InterventionMode.SET, 20.0),
                on_hookpoint(hf, place, after.append),
            ):
                hf.generate(
                    input_ids=padded,
                    attention_mask=(padded != 0).long(),
                    max_new_tokens=2,
                    do_sample=False,
                    use_cache=use_cache,
                    pad_token_id=0,
                )
            assert [state.shape[1] for state in after] == [7, 1 if use_cache else 8]
            assert all(state.dtype == torch.bfloat16 for state in after)
            changed = [(new != old).any(-1) for old, new in zip(before, after, strict=True)]
            assert changed[0].tolist() == [[False] * 3 + [True] * 4, [False] + [True] * 6]
            assert changed[1][:, -1].all()
            if kind in READ_AGAIN:
                values = source.encode_features(after[1][:, -1], [3])
                torch.testing.assert_close(values, torch.full((2, 1), 20.0), atol=0.5, rtol=0)
