from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from harness.errors import SubjectError
from harness.subjects.hooks import read_hidden_states
from harness.subjects.protocol import Hookpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.subjects.model import SubjectModel

BLOCKS = {"llama": "model.layers", "neox": "gpt_neox.layers", "gemma2": "model.layers", "gpt2": "transformer.h"}


@pytest.mark.parametrize("family", BLOCKS)
def test_reading_equals_hidden_states_bit_for_bit(
    family: str, make_model: Callable[[str], Any], tokens: torch.Tensor
) -> None:
    model = make_model(family)
    expected = model(input_ids=tokens, output_hidden_states=True).hidden_states
    places = [Hookpoint.parse(f"{BLOCKS[family]}.{layer}.input") for layer in range(3)]
    places += [Hookpoint.parse(f"{BLOCKS[family]}.{layer}.output") for layer in range(2)]
    found = read_hidden_states(model, places, input_ids=tokens, use_cache=False)
    assert list(found) == places
    for layer in range(3):
        assert torch.equal(found[places[layer]], expected[layer])
    for layer in range(2):
        assert torch.equal(found[places[3 + layer]], expected[layer + 1])


def test_the_forward_stops_after_the_last_module_needed(subject: SubjectModel, tokens: torch.Tensor) -> None:
    ran = []
    for path in ("model.layers.0", "model.layers.1", "lm_head"):
        subject.model.get_submodule(path).register_forward_pre_hook(lambda *_, path=path: ran.append(path))
    subject.hidden_states(tokens, None, [Hookpoint("model.layers.0", "output")])
    assert ran == ["model.layers.0"]


def test_a_stopped_forward_leaves_the_model_as_it_was(subject: SubjectModel, tokens: torch.Tensor) -> None:
    before = subject.model(input_ids=tokens).logits
    subject.hidden_states(tokens, torch.ones_like(tokens), [Hookpoint("model.layers.1.mlp.down_proj", "input")])
    assert torch.equal(subject.model(input_ids=tokens).logits, before)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in subject.model.modules())


def test_keyword_inputs_and_tuple_outputs_are_read(subject: SubjectModel, tokens: torch.Tensor) -> None:
    # Attention is called with hidden_states by name and puts out (states, weights).
    places = [Hookpoint("model.layers.0.self_attn", "input"), Hookpoint("model.layers.0.self_attn", "output")]
    found = subject.hidden_states(tokens, None, places)
    norm = subject.hidden_states(tokens, None, [Hookpoint("model.layers.0.input_layernorm", "output")])
    assert torch.equal(found[places[0]], next(iter(norm.values())))
    assert found[places[1]].shape == (2, 7, 16)


def test_right_padding_does_not_change_the_tokens_before_it(subject: SubjectModel, tokens: torch.Tensor) -> None:
    place = Hookpoint("model.layers.2", "output")
    alone = subject.hidden_states(tokens[:1, :4], None, [place])[place]
    mask = torch.tensor([[1, 1, 1, 1, 0, 0, 0], [1] * 7])
    padded = subject.hidden_states(tokens, mask, [place])[place]
    torch.testing.assert_close(padded[:1, :4], alone)


def test_an_unknown_module_is_answered_with_near_ones(subject: SubjectModel, tokens: torch.Tensor) -> None:
    with pytest.raises(SubjectError, match=r"no module 'model\.layer\.1'.*did you mean.*model\.layers\.1"):
        subject.hidden_states(tokens, None, [Hookpoint("model.layer.1", "output")])


def test_a_module_that_does_not_run_is_said_so(subject: SubjectModel, tokens: torch.Tensor) -> None:
    subject.model.add_module("unused", torch.nn.Linear(2, 2))
    with pytest.raises(SubjectError, match="'unused' does not run"):
        subject.hidden_states(tokens, None, [Hookpoint("unused", "output")])


def test_no_gradient_is_kept(subject: SubjectModel, tokens: torch.Tensor) -> None:
    place = Hookpoint("model.layers.2", "output")
    assert not subject.hidden_states(tokens, None, [place])[place].requires_grad
