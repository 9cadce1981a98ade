"""A fast OpenAI-compatible endpoint on the loopback interface, with a set latency, a ceiling and faults.

Made to be started in a process of its own (``tests.support.loopback.process``), so that what it costs is not counted as
the client's, and what kills the client leaves its counts alone. Beside the API it has ``GET /stats``, ``POST /reset``
and ``POST /storm`` (``{"seconds": 10}``: nothing but 429 for so long).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.loopback.answers import prompt_tokens
from tests.support.loopback.counters import Counters
from tests.support.loopback.faults import Fault, FaultPlan
from tests.support.loopback.replies import RawReply, answer_to, error_reply, json_reply, wrong_reply

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Endpoint", "EndpointSettings"]

_ROOT = "/v1/"


@dataclass(frozen=True)
class EndpointSettings:
    """How the endpoint behaves.

    Attributes:
        latency_s: From the start of the work on a request to its reply, right or wrong; refusals come at once.
        most_in_flight: Requests worked on at once; None for no ceiling.
        queues: Whether a request above the ceiling waits for its turn; else it is refused with 429.
        faults: What goes wrong.
        models: Names it lists, and the only ones it answers to.
        key: The only bearer key let in, or None to let in everybody.
        logprobs: Whether it reports log-probabilities; where not, it ignores the wish as many servers do.
        context_tokens: The longest prompt it takes, by its own count.
    """

    latency_s: float = 0.0
    most_in_flight: int | None = None
    queues: bool = False
    faults: FaultPlan = field(default_factory=FaultPlan)
    models: tuple[str, ...] = ("m",)
    key: str | None = None
    logprobs: bool = True
    context_tokens: int = 32768

    def to_json(self) -> str:
        """Return the settings as one line."""
        return json.dumps({**vars(self), "faults": self.faults.to_json()})

    @classmethod
    def from_json(cls, text: str) -> EndpointSettings:
        """Return the settings that ``to_json`` wrote."""
        fields = json.loads(text)
        return cls(**{**fields, "faults": FaultPlan.from_json(fields["faults"]), "models": tuple(fields["models"])})


class Endpoint:
    """What all connections share. Used from one event loop only."""

    def __init__(self, settings: EndpointSettings) -> None:
        self.settings = settings
        self.counters = Counters()
        self.storm_until = 0.0
        self.working = 0
        self.waiting: deque[_Connection] = deque()
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        """Listen and return the ``api_base``."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self, loop), "127.0.0.1", 0, backlog=1024)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    def refusal(self, head: str, now: float) -> tuple[str, RawReply] | None:
        """Return why a request is turned away at once, or None if it is let in."""
        if self.settings.key is not None and f"authorization: bearer {self.settings.key}".lower() not in head.lower():
            return "key", error_reply(401, "Incorrect API key provided", code="invalid_api_key")
        if now < self.storm_until:
            return "storm", error_reply(429, "rate limit reached")
        ceiling = self.settings.most_in_flight
        if ceiling is not None and not self.settings.queues and self.working >= ceiling:
            return "too many", error_reply(429, "too many requests at once")
        return None

    def full(self) -> bool:
        """Return whether a request must wait for its turn."""
        return self.settings.most_in_flight is not None and self.working >= self.settings.most_in_flight

    def free(self) -> None:
        """Let the next one in."""
        self.working -= 1
        while self.waiting and not self.full():
            self.waiting.popleft().work()

    def control(self, path: str, body: dict[str, Any], now: float) -> RawReply:
        """Answer what is no completion."""
        if path == f"{_ROOT}models":
            facts = {"object": "model", "max_model_len": self.settings.context_tokens}
            return json_reply(200, {"object": "list", "data": [{"id": name, **facts} for name in self.settings.models]})
        if path == "/reset":
            self.counters = self.counters.emptied()
        elif path == "/storm":
            self.storm_until = now + float(body["seconds"])
        elif path != "/stats":
            return error_reply(404, "no such route")
        return json_reply(200, self.counters.to_json())


class _Connection(asyncio.Protocol):
    """One connection: one request at a time, as HTTP/1.1 clients send them."""

    def __init__(self, endpoint: Endpoint, loop: asyncio.AbstractEventLoop) -> None:
        self._endpoint = endpoint
        self._loop = loop
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pending: tuple[str, RawReply | None, bytes] | None = None
        self._works = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._timer is not None:
            self._timer.cancel()
        self._transport = None
        if self._pending is not None:
            self._pending = None
            self._endpoint.counters.abandon()
            self._leave()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        text = head.decode("latin-1")
        length = _content_length(text)
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        self._take(text, rest[:length])

    def work(self) -> None:
        """Start to work on the request; its reply goes out after the latency."""
        self._endpoint.working += 1
        self._works = True
        if self._pending is not None and self._pending[1] is None:
            return  # a time-out: the client has to give up
        latency = self._endpoint.settings.latency_s
        if latency > 0:
            self._timer = self._loop.call_later(latency, self._reply)
        else:
            self._reply()

    def _take(self, head: str, raw: bytes) -> None:
        method, path, _ = head.split(" ", 2)
        now = self._loop.time()
        if method != "POST" or not (path.startswith(_ROOT) and path.endswith("/completions")):
            self._send(self._endpoint.control(path, json.loads(raw) if raw else {}, now))
            return
        digest = hashlib.blake2b(raw, digest_size=16).digest()
        attempt = self._endpoint.counters.receive(digest)
        refused = self._endpoint.refusal(head, now)
        if refused is not None:
            kind, reply = refused
            self._pending = (kind, reply, digest)
            self._reply()
            return
        body = json.loads(raw)
        self._pending = self._unfit(body, digest)
        if self._pending is not None:
            self._reply()
            return
        self._plan(path, body, digest, attempt)
        if self._endpoint.full():
            self._endpoint.waiting.append(self)
        else:
            self.work()

    def _unfit(self, body: Mapping[str, Any], digest: bytes) -> tuple[str, RawReply | None, bytes] | None:
        """Return the refusal of a request that could never be answered."""
        settings = self._endpoint.settings
        if body.get("model") not in settings.models:
            message = f"The model `{body.get('model')}` does not exist"
            return "model", error_reply(404, message, code="model_not_found"), digest
        tokens = prompt_tokens(body)
        if tokens > settings.context_tokens:
            message = (
                f"This model's maximum context length is {settings.context_tokens} tokens. "
                f"However, your messages resulted in {tokens} tokens."
            )
            return "context", error_reply(400, message, code="context_length_exceeded"), digest
        return None

    def _plan(self, path: str, body: Mapping[str, Any], digest: bytes, attempt: int) -> None:
        faults = self._endpoint.settings.faults
        fault = faults.draw(digest, attempt)
        body = body if self._endpoint.settings.logprobs else {**body, "logprobs": None}
        if fault is None:
            self._pending = ("ok", answer_to(path, dict(body), digest), digest)
        elif fault is Fault.TIMEOUT:
            self._pending = (fault.value, None, digest)
            self._endpoint.counters.by_kind[fault.value] += 1
        else:
            reply = wrong_reply(fault, path, dict(body), digest, faults.retry_after_s)
            self._pending = (fault.value, reply, digest)

    def _reply(self) -> None:
        self._timer = None
        if self._pending is None:
            return
        kind, reply, digest = self._pending
        self._pending = None
        assert reply is not None
        self._endpoint.counters.reply(kind, digest, reply.status)
        self._send(reply)
        self._leave()

    def _leave(self) -> None:
        if self._works:
            self._works = False
            self._endpoint.free()
        elif self in self._endpoint.waiting:
            self._endpoint.waiting.remove(self)

    def _send(self, reply: RawReply) -> None:
        if self._transport is not None:
            self._transport.write(reply.raw)
            if reply.closes:
                self._transport.close()


def _content_length(head: str) -> int:
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            return int(value)
    return 0
