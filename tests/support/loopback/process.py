"""The loopback endpoint in a process of its own, and the handle that tests and benchmarks have on it.

``python -m tests.support.loopback.process '{"latency_s": 1, ...}'`` prints its URL and serves until its standard input
ends, which it does with the process that started it, however that ends.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from tests.support.loopback.server import Endpoint, EndpointSettings

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["EndpointProcess"]

_ROOT = Path(__file__).resolve().parents[3]
_CONTROL_S = 30.0


class EndpointProcess:
    """Starts the endpoint and stops it again; a context manager.

    Args:
        settings: How it behaves.

    Attributes:
        url: The ``api_base``.
    """

    def __init__(self, settings: EndpointSettings | None = None) -> None:
        self._settings = settings or EndpointSettings()
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.support.loopback.process", self._settings.to_json()]
        self._process = subprocess.Popen(
            command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            message = "the loopback endpoint did not start"
            raise RuntimeError(message)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.communicate()

    def stats(self) -> dict[str, Any]:
        """Return its counts; see ``tests.support.loopback.counters``."""
        return self._control("/stats")

    def reset(self) -> None:
        """Start counting anew."""
        self._control("/reset", {})

    def storm(self, seconds: float) -> None:
        """Let it answer nothing but 429 for so long."""
        self._control("/storm", {"seconds": seconds})

    def _control(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        raw = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url.removesuffix("/v1") + path, data=raw)  # noqa: S310 -- our own loopback
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=_CONTROL_S) as answer:
            return cast("dict[str, Any]", json.load(answer))


async def _serve(settings: EndpointSettings) -> None:
    sys.stdout.write(f"{await Endpoint(settings).start()}\n")
    sys.stdout.flush()
    parent_gone = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), parent_gone.set)
    await parent_gone.wait()


if __name__ == "__main__":
    asyncio.run(_serve(EndpointSettings.from_json(sys.argv[1])))
