"""Keeping transformers' own progress bars and advice out of the harness's output."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from transformers.utils import logging as _untyped

if TYPE_CHECKING:
    from collections.abc import Iterator

# transformers' logging helpers carry no types.
logging: Any = _untyped

__all__ = ["quiet_transformers"]


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Hold a context in which transformers reports errors only, without bars; its settings come back afterwards."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
