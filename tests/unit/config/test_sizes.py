from __future__ import annotations

import pytest

from harness.config.sizes import size_in_bytes
from harness.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512MB", 512_000_000),
        ("1GiB", 1 << 30),
        (" 1.5 gib ", 3 << 29),
        ("2000000000", 2_000_000_000),
        ("10kB", 10_000),
        ("7B", 7),
        ("0.5TiB", 1 << 39),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert size_in_bytes(text, "memory.budget") == size


@pytest.mark.parametrize("text", ["", "much", "1 PB", "-1GB", "1e9", "GB", "1GB2", "\u0661GB"])
def test_what_is_no_size_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match=r"memory\.budget: '.*' is no size.* Try: a number and a unit"):
        size_in_bytes(text, "memory.budget")
