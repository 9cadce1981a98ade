"""The server of a local model kept between tests: loading 1.1 GB again for each of them shows nothing more."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from harness.llm.local import ServerSettings, process_servers
from harness.materials import cache_root, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.config.schema import LLMConfig

__all__ = ["kept_server"]


@contextmanager
def kept_server(config: LLMConfig) -> Iterator[None]:
    """Be one more user of the server of ``config``, so that it outlives those who come and go."""
    assert config.path is not None
    path = resolve(config.path, cache=cache_root(None), sha256=config.sha256)
    settings = ServerSettings(path, config.context_tokens, config.slots, config.threads)
    process_servers().acquire(settings)
    try:
        yield
    finally:
        process_servers().release(settings)
