"""A GGUF model served in this process by llama.cpp (xllamacpp) on the loopback interface.

The same weights are loaded once per process, whichever roles use them.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import secrets
import threading
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from harness.errors import LLMError
from harness.llm.facts import EndpointFacts
from harness.llm.litellm_backend import Endpoint, LitellmBackend
from harness.llm.own_engine import OwnEngine
from harness.llm.price import FREE
from harness.llm.wire import ChoiceMode, StructuredMode
from harness.materials import resolve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.llm.backend import Reply
    from harness.llm.facts import StatedFacts
    from harness.llm.protocol import CompletionRequest, PromptLogprobsRequest
    from harness.llm.wire import WireFormat
    from harness.progress import Progress

__all__ = [
    "NUMERICS_VERSION",
    "LocalBackend",
    "LocalModel",
    "Server",
    "ServerPool",
    "ServerSettings",
    "launch",
    "process_servers",
]

NUMERICS_VERSION = 1
"""Raised when ``launch`` changes a setting that can change an answer; part of every local cache key."""

_PREFIX_CACHE_MIB = 256
_GGUF_MAGIC = b"GGUF"
# The first answer to a prompt is computed in other pieces than later ones, which find its beginning kept; above
# temperature 0 that can turn a draw, seed or no seed.
LLAMA_CPP_FACTS = EndpointFacts(StructuredMode.JSON_SCHEMA, ChoiceMode.GRAMMAR, logprobs=True, seeds=False)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How a model file is served.

    Attributes:
        path: The GGUF file.
        context_tokens: Prompt and answer of one sequence.
        slots: Sequences at once.
        threads: CPU threads, None for one per physical core.
    """

    path: Path
    context_tokens: int
    slots: int
    threads: int | None


class Server(Protocol):
    """A running server; stops when released."""

    @property
    def url(self) -> str:
        """Return ``http://127.0.0.1:PORT``."""

    @property
    def key(self) -> str:
        """Return the bearer key it wants."""

    def stop(self) -> None:
        """Stop it and free its memory."""


@dataclass
class _Shared:
    server: Server
    users: int


class ServerPool:
    """The servers of a process by (file, context), counted by their users. Its methods block; call them in a thread.

    Args:
        launch: Starts a server.
    """

    def __init__(self, launch: Callable[[ServerSettings], Server]) -> None:
        self._launch = launch
        self._lock = threading.Lock()
        self._servers: dict[tuple[Path, int], _Shared] = {}

    def acquire(self, settings: ServerSettings) -> Server:
        """Return the server of ``settings``, started by its first user with that user's slots and threads."""
        key = (settings.path.resolve(), settings.context_tokens)
        with self._lock:
            shared = self._servers.get(key)
            if shared is None:
                shared = self._servers[key] = _Shared(self._launch(settings), 0)
            shared.users += 1
            return shared.server

    def release(self, settings: ServerSettings) -> None:
        """Give a server back; the last user stops it."""
        key = (settings.path.resolve(), settings.context_tokens)
        with self._lock:
            shared = self._servers[key]
            shared.users -= 1
            if not shared.users:
                del self._servers[key]
                shared.server.stop()


class _LlamaServer:
    def __init__(self, server: Any, key: str) -> None:
        self._server = server
        self._key = key
        self._url = str(server.listening_address)

    @property
    def url(self) -> str:
        return self._url

    @property
    def key(self) -> str:
        return self._key

    def stop(self) -> None:
        # The server ends with its object: its destructor joins its threads and frees the weights.
        self._server = None


def launch(settings: ServerSettings) -> Server:
    """Return a started llama.cpp server.

    Raises:
        LLMError: If xllamacpp is not installed, or the file is not a model it can load.
    """
    library = _load_library()
    _check_gguf(settings.path)
    key = secrets.token_urlsafe(24)
    params = library.CommonParams()
    params.model.path = str(settings.path)
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    # Other users of this machine reach its loopback interface too.
    params.api_keys = [key]
    params.n_parallel = settings.slots
    params.n_ctx = settings.context_tokens * settings.slots
    params.n_gpu_layers = 0
    params.cache_prompt = True
    # Prompts that were pushed out of their slot wait here, in memory; the default would be 8 GiB.
    params.cache_ram_mib = _PREFIX_CACHE_MIB
    # The repacked kernels and flash attention add up in an order that depends on how many tokens are computed together,
    # so what a prompt shares with the one before it would change its answer: by up to 0.2 nats on the default judge,
    # enough to turn verdicts near one half. Without both, one slot gives the same answer to the last bit whatever was
    # asked before; that costs about 5 % of the speed. (Several slots still share a batch, and may differ a little.)
    params.no_extra_bufts = True
    params.flash_attn_type = library.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.ui = False
    params.verbosity = -1
    if settings.threads is not None:
        params.cpuparams.n_threads = settings.threads
        params.cpuparams_batch.n_threads = settings.threads
    try:
        return _LlamaServer(library.Server(params), key)
    except Exception as error:
        what = f"llama.cpp cannot load this model: {error}"
        raise LLMError(what, where=str(settings.path), hint="is it a complete GGUF file of a chat model?") from error


def _check_gguf(path: Path) -> None:
    with path.open("rb") as stream:
        if stream.read(len(_GGUF_MAGIC)) != _GGUF_MAGIC:
            raise LLMError("this is not a GGUF file", where=str(path), hint="backend: local serves GGUF files only")


def _load_library() -> Any:
    """Return xllamacpp.

    Its OpenMP threads are told to sleep at barriers instead of spinning: spinning wins nothing on idle cores and was
    measured to double the CPU time on busy ones. libgomp reads the setting once, while it is loaded, so the
    environment is put back at once.
    """
    before = os.environ.get("OMP_WAIT_POLICY")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        return importlib.import_module("xllamacpp")
    except ImportError as error:
        what = "the local backend needs xllamacpp, which is not installed here"
        raise LLMError(what, hint="pip install xllamacpp, or use an OpenAI-compatible server") from error
    finally:
        if before is None:
            os.environ.pop("OMP_WAIT_POLICY", None)


@lru_cache(maxsize=1)
def process_servers() -> ServerPool:
    """Return this process's servers: one pool on purpose, as roles that know nothing of each other share weights."""
    return ServerPool(launch)


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model file and how to serve it.

    Attributes:
        name: What the model is called in requests and records.
        path: The file, or the address of a material.
        sha256: Its digest.
        context_tokens: As in ``ServerSettings``.
        slots: As in ``ServerSettings``.
        threads: As in ``ServerSettings``.
    """

    name: str
    path: str
    sha256: str | None
    context_tokens: int
    slots: int
    threads: int | None


@dataclass
class LocalBackend(OwnEngine):
    """Serves a local model and asks it like any other OpenAI-compatible server.

    Attributes:
        model: What to serve.
        wire: How to ask.
        timeout_s: Seconds one attempt may take.
        connections: How many requests may be open at once.
        cache: Root of the harness's cache, where a fetched model lies.
        progress: Told when the model is being loaded.
        servers: The process's servers.
    """

    model: LocalModel
    wire: WireFormat
    timeout_s: float
    connections: int
    cache: Path
    progress: Progress
    servers: ServerPool = field(default_factory=process_servers)
    _settings: ServerSettings | None = None
    _asking: LitellmBackend | None = None

    @property
    def enters_late(self) -> bool:
        """Return whether requests go through the door of their call on our own connections."""
        return self._asking is not None and self._asking.enters_late

    async def start(self) -> None:
        """Fetch the file if need be, and start or join its server."""
        if self._asking is not None:
            return
        model = self.model
        path = await asyncio.to_thread(
            resolve, model.path, cache=self.cache, sha256=model.sha256, progress=self.progress
        )
        settings = ServerSettings(path, model.context_tokens, model.slots, model.threads)
        self.progress.say(f"loading {model.name}")
        server = await asyncio.to_thread(self.servers.acquire, settings)
        self._settings = settings
        endpoint = Endpoint(
            model=f"openai/{model.name}",
            api_base=f"{server.url}/v1",
            timeout_s=self.timeout_s,
            connections=self.connections,
            wire=self.wire,
            price=FREE,
        )
        self._asking = LitellmBackend(endpoint, lambda: server.key)
        await self._asking.start()

    async def learn(self, stated: StatedFacts) -> EndpointFacts:
        """Return what llama.cpp's server is known to do, without asking it."""
        return stated.over(replace(LLAMA_CPP_FACTS, context_tokens=self.model.context_tokens))

    def adopt(self, facts: EndpointFacts) -> None:
        """Ask from now on in the way ``facts`` allow."""
        self._started().adopt(facts)

    async def complete(self, request: CompletionRequest, seed: int | None) -> Reply:
        """Return the answer to ``request``."""
        return await self._started().complete(request, seed)

    async def prompt_logprobs(self, request: PromptLogprobsRequest) -> Reply:
        """Raise: llama.cpp's server reports no log-probabilities of prompt tokens."""
        return await self._started().prompt_logprobs(request)

    async def close(self) -> None:
        """Close the connections and give the server back; idempotent."""
        asking, settings = self._asking, self._settings
        self._asking = self._settings = None
        if asking is not None:
            await asking.close()
        if settings is not None:
            await asyncio.to_thread(self.servers.release, settings)

    def _started(self) -> LitellmBackend:
        if self._asking is None:
            message = "asked before it was started"
            raise RuntimeError(message)
        return self._asking
