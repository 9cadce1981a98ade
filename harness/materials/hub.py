"""What the hub client's HTTP library raises: it has had several."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

__all__ = ["hub_errors"]

_LIBRARIES = ("httpx", "httpx2")


def hub_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that mean that the hub could not be asked, or did not answer."""
    libraries: list[Any] = [import_module(name) for name in _LIBRARIES if find_spec(name) is not None]
    return (*(library.HTTPError for library in libraries), OSError, ValueError)
