"""What the hub client raises and says by itself: its HTTP library has had several names, its downloader another."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MISSHAPEN", "answer_errors", "download_errors", "hub_errors", "quiet_hub"]

MISSHAPEN: tuple[type[Exception], ...] = (LookupError, TypeError, AttributeError)
"""What the hub client raises where an answer is JSON, but not of the form it expects."""

_LIBRARIES = ("httpx", "httpx2")


def hub_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that mean that the hub could not be asked, or did not answer."""
    libraries: list[Any] = [import_module(name) for name in _LIBRARIES if find_spec(name) is not None]
    return (*(library.HTTPError for library in libraries), OSError, ValueError)


def answer_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that mean that the hub gave no answer, or none that is understood."""
    return hub_errors() + MISSHAPEN


def download_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that mean that a file could not be fetched.

    Beside those of the HTTP library there are those of ``hf_xet``, which raises ``RuntimeError`` itself.
    """
    # Older clients have no such name.
    xet: type[Exception] | None = getattr(import_module("huggingface_hub.errors"), "XetDownloadError", None)
    return (*hub_errors(), RuntimeError, *(() if xet is None else (xet,)))


@contextmanager
def quiet_hub() -> Iterator[None]:
    """Hold a context in which the hub client logs nothing: its warnings hold addresses, which may be signed."""
    logger = logging.getLogger("huggingface_hub")
    import_module("huggingface_hub.utils.logging")  # sets the level when it is first imported
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
