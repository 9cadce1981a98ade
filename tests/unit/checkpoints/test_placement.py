from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.checkpoints.placement import torch_device, torch_dtype
from harness.errors import ConfigError, UnknownNameError


def test_names_become_types_and_devices() -> None:
    assert torch_dtype("bfloat16", "judge.dtype") is torch.bfloat16
    assert torch_device("cpu", "judge.device") == torch.device("cpu")


@pytest.mark.parametrize(
    "name",
    [
        "cpu:",
        "cpu:00",
        "cpu:01",
        "cpu:²",
        "cpu:٣",
        "cpu:-1",
        "cpu:0:0",
        " cpu",
        "cpu\n",
        "",
        ":0",
        "cuda:" + "9" * 5000,
    ],
)
def test_what_is_no_name_of_a_device_is_refused(name: str) -> None:
    with pytest.raises(UnknownNameError, match=r"judge\.device: unknown device"):
        torch_device(name, "judge.device")


@given(st.text("0123456789:²٣ cpudamsx-\n", max_size=8))
def test_a_name_is_a_device_or_an_error_of_ours(name: str) -> None:
    for text in (name, f"cpu:{name}", f"cuda:{name}"):
        try:
            device = torch_device(text, "judge.device")
        except ConfigError:
            continue
        assert str(device) == text


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
