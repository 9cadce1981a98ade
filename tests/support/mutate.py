"""Damage to files of weights and their configs: what torn downloads and careless scripts leave, and enemies make.

A mutation takes a file's bytes and returns others. Where it strikes comes from the generator it is given.
"""

from __future__ import annotations

import copy
import io
import json
import math
import pickle
import struct
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

__all__ = ["Mutation", "mutations_of"]

if TYPE_CHECKING:
    Mutation = Callable[[bytes, Random], bytes]

_HEAD = 512  # bytes at a file's start in which most of what readers look at lies
_DEEP = 50_000
_HUGE = (2**31, 2**40, 2**62, 2**63, 2**64 - 1)
_BOMB = 1 << 28  # bytes of zeros, which deflate to a thousandth
_DTYPES = (
    torch.int64, torch.uint8, torch.bool, torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn,
)  # fmt: skip
_KEYS = (
    "architecture", "activation_fn", "normalize_activations", "norm_scaling_factor", "k", "act_fn", "activation",
    "norm_activation", "rescale_acts_by_decoder_norm", "expansion_factor", "top_k", "hook_name", "d_in",
)  # fmt: skip
_NAMES = (
    "../../etc/passwd",
    "/etc/passwd",
    "a\nb\x1b[31m",
    "",
    "x" * 5000,
    "W_enc",
    "encoder.weight",
    "k",
    "threshold",
)


def mutations_of(name: str) -> list[Mutation]:
    """Return what can be done to a file of this name."""
    kinds: list[tuple[tuple[str, ...], list[Mutation]]] = [
        ((".safetensors",), [_tensors_safe, _tensors_safe, _header_safe, _header_safe, _numbers]),
        ((".npz",), [_tensors_npz, _tensors_npz, _header_npy, _zip_members, _numbers]),
        ((".pt", ".pth"), [_tensors_torch, _tensors_torch, _odd_torch, _pickle_bytes, _zip_members, _numbers]),
        ((".json",), [_config_json, _config_json, _config_json, _text]),
        ((".yaml",), [_config_yaml, _config_yaml, _text, _aliases]),
    ]
    special = next(found for endings, found in kinds if name.endswith(endings))
    return [*special, *special, _truncate, _flip_head, _flip_anywhere, _whatever]


def _truncate(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _flip_head(data: bytes, random: Random) -> bytes:
    return _flip(data, random, min(len(data), _HEAD))


def _flip_anywhere(data: bytes, random: Random) -> bytes:
    return _flip(data, random, len(data))


def _flip(data: bytes, random: Random, most: int) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 8)) if most else 0):
        changed[random.randrange(most)] ^= 1 << random.randrange(8)
    return bytes(changed)


def _whatever(data: bytes, random: Random) -> bytes:
    cut = random.randrange(len(data) + 1)
    return random.choice(
        (
            b"",
            b"\0" * 100,
            random.randbytes(200),
            data + data,
            data[cut:] + data[:cut],
            data[:cut] + random.randbytes(9),
        )
    )


def _numbers(data: bytes, random: Random) -> bytes:
    """Put numbers that are none, or nearly none, among the others."""
    changed = bytearray(data)
    value = random.choice((math.nan, math.inf, -math.inf, 3e38, -3e38, 1e-45, 0.0))
    place = random.randrange(max(1, len(data) // 4)) * 4
    changed[place : place + 4] = struct.pack("<f", value)
    return bytes(changed)


def _change(tensors: dict[str, Any], random: Random) -> dict[str, Any]:
    """Change one tensor, or which there are."""
    names = [name for name, value in tensors.items() if isinstance(value, torch.Tensor)]
    if not names:
        return {**tensors, "W_enc": torch.zeros(2, 2)}
    name, other = random.choice(names), random.choice(names)
    if random.random() < 0.1:
        return {key: value for key, value in tensors.items() if key != name}
    tensor = tensors[name].detach().clone()
    changes: list[Callable[[], dict[str, torch.Tensor]]] = [
        lambda: {random.choice(_NAMES): torch.ones(random.randrange(4), random.randrange(4))},
        lambda: {random.choice(_NAMES): tensor.clone()},
        lambda: {name: torch.ones(_other_shape(tensor, random))},
        lambda: {name: tensor.to(random.choice(_DTYPES))},
        lambda: {name: _with_odd_number(tensor, random)},
        lambda: {name: tensor.double() * 1e300},
        lambda: {name: torch.zeros_like(tensor)},
        lambda: {name: tensors[other], other: tensor},
        lambda: {name: tensor.float().neg()},
    ]
    return {**tensors, **random.choice(changes)()}


def _other_shape(tensor: torch.Tensor, random: Random) -> tuple[int, ...]:
    shape = tuple(tensor.shape)
    grown, shrunk = tuple(size + 1 for size in shape), tuple(max(0, size - 1) for size in shape)
    others = [(), (0,), (1,), (0, 0), (3,), (3, 5), (0, 2**40), shape[::-1], (*shape, 1), (1, *shape), grown, shrunk]
    return random.choice(others)


def _with_odd_number(tensor: torch.Tensor, random: Random) -> torch.Tensor:
    flat = tensor.to(torch.float32).reshape(-1)
    if flat.numel():
        flat[random.randrange(flat.numel())] = random.choice((math.nan, math.inf, -math.inf, 3.4e38))
    return flat.reshape(tensor.shape)


def _tensors_safe(data: bytes, random: Random) -> bytes:
    try:
        return save({name: tensor.contiguous() for name, tensor in _change(load(data), random).items()})
    except (SafetensorError, RuntimeError, KeyError):
        return _truncate(data, random)


def _header_safe(data: bytes, random: Random) -> bytes:
    """Change the table of contents of a safetensors file, its length along with it."""
    (length,) = struct.unpack("<Q", data[:8])
    header: dict[str, Any] = json.loads(data[8 : 8 + length])
    kind = random.randrange(7)
    if kind == 0:
        return struct.pack("<Q", random.choice((*_HUGE[:4], 0, 1, len(data), 99_999_999))) + data[8:]
    name = random.choice([key for key in header if key != "__metadata__"])
    if kind == 1:
        header[name][random.choice(("shape", "dtype", "data_offsets"))] = _odd(random)
    elif kind == 2:
        header[name]["shape"] = [random.choice((*_HUGE, 0, -1, 1, "4", 1.5)) for _ in range(random.randrange(4))]
    elif kind == 3:
        header[name]["data_offsets"] = [random.choice((0, 4, *_HUGE)), random.choice((4, 0, *_HUGE))]
    elif kind == 4:
        header[name] = _odd(random)
    elif kind == 5:
        header[random.choice(_NAMES)] = header.pop(name)
    else:
        header[name]["dtype"] = random.choice(("BOOL", "I64", "F64", "F16", "BF16", "F8_E8M0", "F4", "C64", "X", 7))
    text = _dumped(header)
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def _tensors_npz(data: bytes, random: Random) -> bytes:
    with np.load(io.BytesIO(data)) as archive:
        tensors = {name: torch.from_numpy(archive[name]) for name in archive.files}
    changed = {
        name: (value.float() if value.dtype in {torch.bfloat16, torch.float8_e4m3fn} else value).numpy()
        for name, value in _change(tensors, random).items()
    }
    name = random.choice(list(changed))
    kind = random.randrange(6)
    if kind == 0:
        with np.errstate(all="ignore"):
            changed[name] = changed[name].astype(random.choice((">f4", "<c8", "S3", "O", "M8[s]", "f2", "g", "V4")))
    elif kind == 1:
        changed[name] = np.asfortranarray(changed[name])
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as made:
        for member, array in changed.items():
            raw = io.BytesIO()
            np.lib.format.write_array(raw, array, allow_pickle=True)
            made.writestr(f"{member or 'none'}.npy", raw.getvalue())
    return out.getvalue()


def _header_npy(data: bytes, random: Random) -> bytes:
    """Change what an array of an archive says of itself."""

    def change(name: str, content: bytes) -> bytes:
        del name
        length = struct.unpack("<H", content[8:10])[0]
        texts = [
            f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({random.choice(_HUGE)}, {random.choice(_HUGE)})}}",
            f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({random.choice(_HUGE)}, 1)}}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4)}",
            f"{{'descr': 'V{2**31 - 1}', 'fortran_order': False, 'shape': (4,)}}",
            "{'descr': [('a', '<f4')], 'fortran_order': True, 'shape': (4,)}",
            "(" * 5000,
            "__import__('os').mkdir('made')",
        ]
        text = random.choice(texts).encode()
        return content[:6] + b"\1\0" + struct.pack("<H", len(text)) + text + content[10 + length :]

    return _rezip(data, random, change)


def _zip_members(data: bytes, random: Random) -> bytes:
    """Change an archive's members: gone, twice, elsewhere, deflated, or far larger than the file."""
    kind = random.randrange(6)
    if kind == 0:
        return _rezip(data, random, lambda _, content: content[: random.randrange(len(content) + 1)])
    if kind == 1:
        return _rezip(data, random, lambda _, content: content, rename="../../../up")
    if kind == 2:
        return _rezip(data, random, lambda _, content: content, method=zipfile.ZIP_DEFLATED)
    if kind == 3:
        return _rezip(data, random, lambda _, content: content + b"\0" * (1 << 20), method=zipfile.ZIP_DEFLATED)
    if kind == 4 and random.random() < 0.05:
        return _rezip(data, random, lambda _, content: content + b"\0" * _BOMB, method=zipfile.ZIP_DEFLATED)
    return _rezip(data, random, lambda _, content: content, drop=True)


def _rezip(
    data: bytes,
    random: Random,
    change: Callable[[str, bytes], bytes],
    *,
    rename: str | None = None,
    drop: bool = False,
    method: int = zipfile.ZIP_STORED,
) -> bytes:
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return _flip_head(data, random)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(out, "w", method) as made:
        names = archive.namelist()
        struck = random.choice(names)
        for name in names:
            content = archive.read(name)
            if name != struck:
                made.writestr(name, content)
            elif not drop:
                made.writestr(rename or name, change(name, content))
    return out.getvalue()


def _load_torch(data: bytes) -> Any:
    return torch.load(io.BytesIO(data), weights_only=True)


def _save_torch(value: Any, random: Random) -> bytes:
    out = io.BytesIO()
    torch.save(value, out, _use_new_zipfile_serialization=random.random() < 0.8)
    return out.getvalue()


def _tensors_torch(data: bytes, random: Random) -> bytes:
    try:
        value = _load_torch(data)
        return _save_torch(_change(value, random), random)
    except (pickle.UnpicklingError, RuntimeError):
        return _pickle_bytes(data, random)


def _odd_torch(data: bytes, random: Random) -> bytes:
    """Put something that is no plain tensor in a tensor's place, or beside it."""
    try:
        value = _load_torch(data)
    except (pickle.UnpicklingError, RuntimeError):
        return _pickle_bytes(data, random)
    names = [key for key, entry in value.items() if isinstance(entry, torch.Tensor)]
    name = random.choice(names)
    tensor = value[name].detach().float()
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    nested: Any = {}
    for _ in range(60):
        nested = {"a": nested, "b": nested}
    odd: list[Any] = [
        torch.nn.Parameter(tensor),
        torch.ones(1).expand(2**20, 2**14),
        torch.zeros(()).expand(tensor.shape),
        tensor.to(torch.complex64),
        tensor.to_sparse(),
        torch.empty(tensor.shape, device="meta"),
        loop,
        nested,
        10**30,
        math.nan,
        "text",
        None,
        [tensor],
        True,
    ]
    made = copy.copy(value)
    made[random.choice([name, name, name, *_NAMES, 7, (1, 2), None])] = random.choice(odd)
    if random.random() < 0.1:
        made = random.choice(([made], tensor, None, "text", {"state_dict": made}))
    return _save_torch(made, random)


def _pickle_bytes(data: bytes, random: Random) -> bytes:
    """Flip bytes of the pickle itself, with the archive's checksums right."""
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return _flip_head(data, random)
    return _rezip(data, random, lambda _, content: _flip(content, random, len(content)))


def _odd(random: Random) -> Any:
    deep: Any = []
    for _ in range(random.choice((3, 300))):
        deep = [deep]
    return random.choice(
        (
            None, True, False, 0, -1, 1, 2, 7, 1.5, -0.0, math.nan, math.inf, 10**30, 10**400, 1e308, 2**63,
            "", "x", "topk", "relu", "none", "../../x", "a\nb\x1b[31m\u202e", "y" * 100_000,
            [], {}, [1], {"a": {"b": []}}, deep, ["topk"],
        )
    )  # fmt: skip


def _dumped(value: Any) -> bytes:
    try:
        return json.dumps(value).encode("utf-8", "surrogatepass")
    except RecursionError:
        return b"{" * _DEEP


def _changed_config(config: Any, random: Random) -> Any:
    """Put something odd at a random place of a config."""
    places: list[tuple[Any, Any]] = []
    rest = [config]
    while rest:
        value = rest.pop()
        keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
        places += [(value, key) for key in keys]
        rest += [value[key] for key in keys]
    if not places or random.random() < 0.05:
        return _odd(random)
    for _ in range(random.choice((1, 1, 2))):
        holder, key = random.choice(places)
        if isinstance(holder, dict) and random.random() < 0.2:
            holder.pop(key, None)
        else:
            holder[key] = _odd(random)
    if isinstance(config, dict) and random.random() < 0.4:
        config[random.choice(_KEYS)] = _odd(random)
    return config


def _config_json(data: bytes, random: Random) -> bytes:
    return _dumped(_changed_config(json.loads(data), random))


def _config_yaml(data: bytes, random: Random) -> bytes:
    import yaml

    return yaml.safe_dump(_changed_config(yaml.safe_load(data), random)).encode()


def _aliases(data: bytes, random: Random) -> bytes:
    """Lists of lists of lists, whose text would not fit into any memory."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, 20)]
    key = random.choice(("model_kind", "feature_input_hook", "feature_output_hook", "saes"))
    return "\n".join([*lines, f"{key}: *a19"]).encode() + b"\n" + (data if random.random() < 0.5 else b"")


def _text(data: bytes, random: Random) -> bytes:
    return random.choice(
        (b"[" * _DEEP, b'{"a":' * _DEEP, b"\xff\xfe\x00", b"\xef\xbb\xbf" + data, b"nul\0l", b"[]", b"null", b"{}",
         b'"x"', b"!!python/object/apply:os.mkdir [made]", b"a: b: c", b"&a [*a]", data.replace(b"\n", b"\r\n"))
    )  # fmt: skip
