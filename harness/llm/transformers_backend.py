"""A checkpoint run in this process by transformers: the reference for log-probabilities."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from harness.errors import ConfigError
from harness.llm.batching import Batcher, Job
from harness.llm.checkpoint_model import device_kind, library_versions
from harness.llm.facts import EndpointFacts
from harness.llm.failures import AttemptError, Failure, FailureKind, brief
from harness.llm.generated import room_for_answer
from harness.llm.own_engine import OwnEngine
from harness.llm.shared import SharedPool
from harness.llm.wire import ChoiceMode, StructuredMode

if TYPE_CHECKING:
    from pathlib import Path

    from harness.config.schema import LLMConfig
    from harness.llm.backend import Reply
    from harness.llm.chat_tokens import ChatTokens
    from harness.llm.checkpoint_model import CheckpointModel
    from harness.llm.diagnosis import Place
    from harness.llm.facts import StatedFacts
    from harness.llm.protocol import CompletionRequest, PromptLogprobsRequest
    from harness.llm.transformers_engine import Asked
    from harness.progress import Progress

__all__ = ["NUMERICS_VERSION", "TransformersBackend", "check_transformers", "transformers_key_fields"]

NUMERICS_VERSION = 2
"""Raised when the engine changes in a way that can change an answer; part of every cache key of this backend."""

# Choices are enforced by masking every other token, which is what a grammar does.
TRANSFORMERS_FACTS = EndpointFacts(
    StructuredMode.NONE, ChoiceMode.GRAMMAR, logprobs=True, prompt_logprobs=True, seeds=True
)

_UNENFORCEABLE = frozenset({StructuredMode.JSON_SCHEMA, StructuredMode.GRAMMAR, StructuredMode.JSON_OBJECT})


def check_transformers(config: LLMConfig, place: Place) -> None:
    """Check what is special to this backend.

    Raises:
        ConfigError: If something is asked for that it cannot do.
    """
    if config.structured in _UNENFORCEABLE:
        what = "backend 'transformers' cannot make an answer follow a schema; it is parsed tolerantly instead"
        raise ConfigError(what, where=place.key("structured"), hint="auto, or backend: vllm")
    if config.engine:
        what = "these are arguments of vLLM's engine, and the backend is 'transformers'"
        raise ConfigError(what, where=place.key("engine"), hint=f"{place.key('backend')}=vllm")


def transformers_key_fields(config: LLMConfig) -> dict[str, Any]:
    """Return what of an engine can change an answer: its libraries and the kind of device."""
    versions = library_versions("transformers", "torch")
    return {"engine": versions, "device": device_kind(config.device), "numerics": NUMERICS_VERSION}


@dataclass
class _Service:
    """A loaded model, shared by the roles that use the same weights."""

    tokens: ChatTokens
    batcher: Batcher[Asked, Reply]
    context_tokens: int


@lru_cache(maxsize=1)
def process_services() -> SharedPool[tuple[str, str | None, str, str], _Service]:
    """Return this process's loaded models: one pool on purpose, as roles that know nothing of each other share them."""
    return SharedPool(lambda service: service.batcher.close())


@dataclass
class TransformersBackend(OwnEngine):
    """Answers in this process, batch by batch, in one thread beside the event loop.

    Attributes:
        model: What to load.
        batch_tokens: Tokens of one batch, padding and answers counted in.
        cache: Root of the harness's cache.
        progress: Told when the model is being loaded.
    """

    model: CheckpointModel
    batch_tokens: int
    cache: Path
    progress: Progress
    _service: _Service | None = None
    _key: tuple[str, str | None, str, str] | None = None
    _facts: EndpointFacts = TRANSFORMERS_FACTS

    async def start(self) -> None:
        """Fetch and convert the checkpoint if need be, and load it or join those who have."""
        if self._service is None:
            self._service = await asyncio.to_thread(self._open)

    async def learn(self, stated: StatedFacts) -> EndpointFacts:
        """Return what this backend can do."""
        return stated.over(replace(TRANSFORMERS_FACTS, context_tokens=self._context_tokens()))

    def adopt(self, facts: EndpointFacts) -> None:
        """Enforce choices only if ``facts`` say so."""
        self._facts = facts

    async def complete(self, request: CompletionRequest, seed: int | None) -> Reply:
        """Return the answer to ``request``."""
        service = self._started()
        tokens = service.tokens.chat(request.messages)
        limit = room_for_answer(len(tokens), request.max_tokens, self._context_tokens())
        enforced = request.choices if self._facts.choices is not ChoiceMode.NONE else ()
        choices = tuple(service.tokens.answer(choice) for choice in enforced)
        engine: Any = import_module("harness.llm.transformers_engine")
        asked: Asked = engine.Asked(request, limit=limit, choices=choices, seed=seed)
        # A verdict must not wait for the end of a long answer.
        kind = "verdict" if limit == 1 or choices else "answer"
        return await self._ask(Job(asked, tokens, len(tokens) + limit, kind))

    async def prompt_logprobs(self, request: PromptLogprobsRequest) -> Reply:
        """Return the log-probabilities of the prompt's tokens, the tokens the model begins a text with counted in."""
        service = self._started()
        tokens = service.tokens.prompt(request.prompt)
        room_for_answer(len(tokens), 0, self._context_tokens())
        engine: Any = import_module("harness.llm.transformers_engine")
        asked: Asked = engine.Asked(None, top_logprobs=request.top_logprobs)
        return await self._ask(Job(asked, tokens, len(tokens), "prompt"))

    async def close(self) -> None:
        """Give the model back; idempotent."""
        key = self._key
        self._service = self._key = None
        if key is not None:
            await asyncio.to_thread(process_services().release, key)

    async def _ask(self, job: Job[Asked]) -> Reply:
        try:
            return await asyncio.wrap_future(self._started().batcher.submit(job))
        except (RuntimeError, MemoryError) as error:
            # What torch raises when memory runs out; a smaller batch may do, and the same one will not.
            what = f"the model failed on this batch: {brief(str(error) or type(error).__name__)}"
            raise AttemptError(Failure(FailureKind.BAD_REQUEST, what)) from error

    def _open(self) -> _Service:
        model = self.model
        checkpoint = model.open(self.cache, self.progress)
        key = (checkpoint.name, checkpoint.revision, model.dtype, model.device)
        service = process_services().acquire(key, lambda: self._load(checkpoint))
        self._key = key
        return service

    def _load(self, checkpoint: Any) -> _Service:
        placement: Any = import_module("harness.checkpoints.placement")
        engine: Any = import_module("harness.llm.transformers_engine")
        chat_tokens: Any = import_module("harness.llm.chat_tokens")
        base = self.model.where.rpartition(".")[0]
        dtype = placement.torch_dtype(self.model.dtype, f"{base}.dtype")
        device = placement.torch_device(self.model.device, f"{base}.device")
        self.progress.say(f"loading {self.model.name}")
        tokens = chat_tokens.ChatTokens(checkpoint, self.model.where)
        loaded = engine.load_model(checkpoint, dtype, device, self.model.where)
        running = engine.TransformersEngine(loaded, tokens, kept_tokens=self.batch_tokens)
        return _Service(tokens, Batcher(running.answer, self.batch_tokens), engine.context_of(loaded))

    def _context_tokens(self) -> int:
        return min(self.model.context_tokens, self._started().context_tokens)

    def _started(self) -> _Service:
        if self._service is None:
            message = "asked before it was started"
            raise RuntimeError(message)
        return self._service
