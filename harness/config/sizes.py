"""Sizes as people write them: ``512MB``, ``1.5 GiB``, ``2000000000``."""

from __future__ import annotations

import re

from harness.errors import ConfigError

__all__ = ["size_in_bytes"]

_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "tib": 1 << 40,
}
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*([a-z]*)", re.IGNORECASE | re.ASCII)


def size_in_bytes(text: str, where: str) -> int:
    """Return a written size in bytes.

    Args:
        text: A number and a unit (B, kB, MB, GB, TB in thousands, KiB, MiB, GiB, TiB in 1,024s; none is bytes).
        where: The config key, for messages.

    Raises:
        ConfigError: If it is no size.
    """
    found = _SIZE.fullmatch(text.strip())
    unit = _UNITS.get(found[2].lower()) if found else None
    if found is None or unit is None:
        raise ConfigError(f"'{text}' is no size", where=where, hint="a number and a unit, as in 512MB or 1.5GiB")
    return int(float(found[1]) * unit)
