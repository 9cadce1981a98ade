from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from harness.config.schema import ModelConfig
from harness.identity import parameters_of
from harness.subjects.configs import MlpNeuronsConfig
from harness.subjects.model import load_model, model_identity
from harness.subjects.randomised import randomise

if TYPE_CHECKING:
    from pathlib import Path


class Tied(torch.nn.Module):
    """Two layers with one weight, a constant gain, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(200, 200)
        self.second = torch.nn.Linear(200, 200, bias=False)
        self.second.weight = self.first.weight
        self.gain = torch.nn.Parameter(torch.full((200,), 1.5))
        self.register_buffer("places", torch.arange(4.0))


def drawn(seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    model = Tied()
    randomise(model, seed)
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_every_tensor_is_new_and_keeps_its_shape_mean_and_spread() -> None:
    torch.manual_seed(0)
    before = Tied()
    with torch.no_grad():
        before.first.weight.mul_(3).add_(0.7)
    kept = before.first.weight.detach().clone()
    randomise(before, 1)
    after = before.first.weight.detach()
    assert after.shape == kept.shape
    assert not torch.isclose(after, kept).float().mean() > 0.1
    assert float(after.mean()) == pytest.approx(float(kept.mean()), abs=0.01)
    assert float(after.std()) == pytest.approx(float(kept.std()), rel=0.02)


def test_draws_are_those_of_the_seed() -> None:
    one, again, other = drawn(1), drawn(1), drawn(2)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["first.weight"], other["first.weight"])
    assert not torch.equal(one["first.weight"][0], one["first.bias"])


def test_tied_weights_stay_tied_and_what_is_constant_or_not_learnt_stays() -> None:
    found = drawn(1)
    assert torch.equal(found["first.weight"], found["second.weight"])
    assert torch.equal(found["gain"], torch.full((200,), 1.5))
    assert torch.equal(found["places"], torch.arange(4.0))


def test_a_randomised_model_loads_and_has_an_identity_of_its_own(saved_model: Path, tmp_path: Path) -> None:
    trained = ModelConfig(path=str(saved_model), dtype="float32")
    random = ModelConfig(path=str(saved_model), dtype="float32", randomise=0)
    weights = load_model(trained, tmp_path).model.state_dict()
    made, again = load_model(random, tmp_path), load_model(random, tmp_path)
    matrices = [name for name, value in weights.items() if value.ndim == 2]
    assert matrices
    for name in matrices:
        assert not torch.equal(made.model.state_dict()[name], weights[name])
        assert torch.equal(made.model.state_dict()[name], again.model.state_dict()[name])
    identities = [
        model_identity(config, tmp_path)
        for config in (trained, random, ModelConfig(path=str(saved_model), dtype="float32", randomise=1))
    ]
    assert made.identity == identities[1]
    assert len({str(identity) for identity in identities}) == 3
    assert "randomised" not in identities[0]


def test_what_was_not_asked_for_changes_no_parameters_of_a_subject() -> None:
    plain = parameters_of(MlpNeuronsConfig(model=ModelConfig(path="m")))
    assert "randomise" not in plain["model"]
    random = parameters_of(MlpNeuronsConfig(model=ModelConfig(path="m", randomise=0)))
    assert random["model"]["randomise"] == 0
