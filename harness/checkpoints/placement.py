"""The type and the device of a model's weights, by the names a configuration gives them."""

from __future__ import annotations

import re

import torch

from harness.errors import ConfigError, UnknownNameError

__all__ = ["DEVICES", "DTYPES", "checked_dtype", "torch_device", "torch_dtype"]

DTYPES = ("bfloat16", "float16", "float32")
DEVICES = ("cpu", "cuda", "mps", "xpu")
_DEVICE = re.compile(rf"({'|'.join(DEVICES)})(?::(0|[1-9][0-9]{{0,8}}))?")
_SPREADING = ("auto", "balanced", "balanced_low_0", "sequential")  # as transformers' device_map calls them


def checked_dtype(name: str, where: str) -> str:
    """Return ``name`` if it is the name of a type that weights may have.

    Raises:
        UnknownNameError: If it is not; ``where`` is the config key it names.
    """
    if name not in DTYPES:
        raise UnknownNameError("dtype", name, DTYPES, where=where)
    return name


def torch_dtype(name: str, where: str) -> torch.dtype:
    """Return the type called ``name``.

    Raises:
        UnknownNameError: If there is none; ``where`` is the config key it names.
    """
    dtype: torch.dtype = getattr(torch, checked_dtype(name, where))
    return dtype


def torch_device(name: str, where: str) -> torch.device:
    """Return the device called ``name``: ``cpu``, ``cuda``, ``cuda:1``, ``mps``, ``xpu``.

    Raises:
        UnknownNameError: If there is no such kind, or what follows is no number; ``where`` is the config key it names.
        ConfigError: If this machine has none of that kind and number, or the name is that of a way to spread a model.
    """
    if name in _SPREADING:
        # What is read of a model and what reads it (an SAE's weights) must lie on one device.
        hint = "give one that holds it whole: cpu, cuda, cuda:1, mps or xpu, and a shorter dtype to make it fit"
        raise ConfigError(
            f"device '{name}' would spread the model over several, and it has one", where=where, hint=hint
        )
    match = _DEVICE.fullmatch(name)
    if match is None:
        raise UnknownNameError("device", name, DEVICES, where=where)
    kind, index = match.groups()
    backend = getattr(torch, kind)
    n_devices = 1 if kind == "cpu" else backend.device_count() if backend.is_available() else 0
    if int(index or 0) >= n_devices:
        raise ConfigError(f"device '{name}' is not there ({n_devices} of its kind)", where=where, hint=f"{where}=cpu")
    return torch.device(name)
