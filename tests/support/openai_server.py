"""A small OpenAI-compatible HTTP server on the loopback interface, with set answers, faults and delays.

It speaks real HTTP over real sockets, so that what is tested is what a user's endpoint would meet.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Answer", "OpenAIServer", "Received", "chat_body"]

_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


@dataclass(frozen=True)
class Received:
    """One request as it came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What to send back; ``cut`` closes the connection after that many bytes of the body, 0 before any header."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    delay_s: float = 0.0
    cut: int | None = None


def chat_body(text: str | None = "Yes", **changes: Any) -> dict[str, Any]:
    """Return the body of a chat completion; ``changes`` replace fields of its one choice, ``message`` or ``usage``."""
    message = {"role": "assistant", "content": text, **changes.pop("message", {})}
    usage = changes.pop("usage", {"prompt_tokens": 11, "completion_tokens": 1, "total_tokens": 12})
    choice = {"index": 0, "finish_reason": "stop", "message": message, **changes}
    body = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return body if usage is None else {**body, "usage": usage}


class OpenAIServer:
    """Answers chat and text completions by ``plan``; lists ``models`` unless that is None (then 404).

    Args:
        plan: From the number of the completion request (from 0) and the request to the answer.
        models: Names under ``/v1/models``, or None for a server that has no such route.
        key: The only bearer key let in, or None to let in everybody.

    Attributes:
        received: Every request so far, model listings included.
        most_at_once: Most completion requests that were being answered at one time.
    """

    def __init__(
        self,
        plan: Callable[[int, Received], Answer] = lambda _number, _request: Answer(body=chat_body()),
        *,
        models: tuple[str, ...] | None = ("m",),
        key: str | None = None,
    ) -> None:
        self.plan = plan
        self.models = models
        self.key = key
        self.received: list[Received] = []
        self.most_at_once = 0
        self._at_once = 0
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}

    @property
    def completions(self) -> list[Received]:
        """Return the completion requests so far."""
        return [request for request in self.received if request.method == "POST"]

    @property
    def url(self) -> str:
        """Return the ``api_base``."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}/v1"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()
        for task in list(self._open.values()):
            task.cancel()
        await asyncio.gather(*self._open.values(), return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: the one asyncio would make complains when it is cancelled at the end of a test.
        self._open[writer] = asyncio.create_task(self._serve(reader, writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _read(reader)) is not None:
                self.received.append(request)
                if not await self._answer(request, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.pop(writer, None)
            writer.close()

    async def _answer(self, request: Received, writer: asyncio.StreamWriter) -> bool:
        if request.method == "GET":
            return await _send(writer, self._listing(request))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            answer = self._refusal(request) or self.plan(len(self.completions) - 1, request)
            await asyncio.sleep(answer.delay_s)
        finally:
            self._at_once -= 1
        return await _send(writer, answer)

    def _listing(self, request: Received) -> Answer:
        if refusal := self._refusal(request):
            return refusal
        if self.models is None or not request.path.endswith("/models"):
            return Answer(404, {"error": {"message": "no such route"}})
        return Answer(body={"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]})

    def _refusal(self, request: Received) -> Answer | None:
        if self.key is None or request.headers.get("authorization") == f"Bearer {self.key}":
            return None
        said = request.headers.get("authorization", "nothing")
        return Answer(401, {"error": {"message": f"Incorrect API key provided: {said}", "code": "invalid_api_key"}})


async def _read(reader: asyncio.StreamReader) -> Received | None:
    head = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
    if not head:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    raw = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, path, headers, json.loads(raw) if raw else {})


async def _send(writer: asyncio.StreamWriter, answer: Answer) -> bool:
    """Send ``answer`` and return whether the connection may be used again."""
    raw = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
    head = {"content-type": answer.content_type, "content-length": str(len(raw)), **answer.headers}
    reason = _REASONS.get(answer.status, "Status")
    lines = [f"HTTP/1.1 {answer.status} {reason}", *(f"{name}: {value}" for name, value in head.items())]
    if answer.cut != 0:
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        writer.write(raw if answer.cut is None else raw[: answer.cut])
        await writer.drain()
    return answer.cut is None
