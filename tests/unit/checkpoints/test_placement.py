from __future__ import annotations

import pytest
import torch

from harness.checkpoints.placement import torch_device, torch_dtype
from harness.errors import ConfigError, UnknownNameError


def test_names_become_types_and_devices() -> None:
    assert torch_dtype("bfloat16", "judge.dtype") is torch.bfloat16
    assert torch_device("cpu", "judge.device") == torch.device("cpu")


def test_unknown_names_say_which_key() -> None:
    with pytest.raises(UnknownNameError, match=r"judge\.dtype.*did you mean float32"):
        torch_dtype("float23", "judge.dtype")
    with pytest.raises(UnknownNameError, match=r"judge\.device.*did you mean cuda"):
        torch_device("cudo:1", "judge.device")
    with pytest.raises(UnknownNameError):
        torch_device("cuda:x", "judge.device")
    with pytest.raises(ConfigError, match=r"device 'cuda:99' is not there.*judge\.device=cpu"):
        torch_device("cuda:99", "judge.device")
    for name in ("auto", "balanced", "sequential"):
        with pytest.raises(
            ConfigError, match=rf"judge\.device: device '{name}' would spread .*cpu, cuda, cuda:1"
        ) as caught:
            torch_device(name, "judge.device")
        assert "\n" not in str(caught.value)
    with pytest.raises(UnknownNameError, match=r"unknown device 'gaudi'.*one of: cpu, cuda, mps, xpu"):
        torch_device("gaudi", "judge.device")
