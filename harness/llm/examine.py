"""Looks at one role's endpoint: whether it answers, what it can do, how fast it is. For ``harness doctor``."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.errors import LLMError
from harness.llm.diagnosis import Place, diagnose
from harness.llm.facts import EndpointFacts, StatedFacts, stated_facts
from harness.llm.failures import AttemptError
from harness.llm.open import endpoint_memory, llm_identity, open_backend
from harness.llm.probe import learn_seeds
from harness.llm.speed import Speed, measure_speed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.config.schema import LLMConfig
    from harness.llm.backend import Backend
    from harness.progress import Progress

__all__ = ["Examination", "examine"]

_SECONDS = 60.0
_SPEED_SECONDS = 30.0
_STATED = ("structured", "choices", "logprobs", "prompt_logprobs")


@dataclass(frozen=True)
class Examination:
    """What one endpoint is like.

    Attributes:
        role: ``explainer`` or ``judge``.
        identity: What names the model in records.
        ready_s: Seconds until it was ready to be asked: a connection, or a model loaded.
        found: What it can do, whatever is configured.
        used: What a run goes by: what is configured, else what was found.
        disagreements: Where the configuration states what the endpoint did not show, a line each.
        speed: How fast it is.
    """

    role: str
    identity: Mapping[str, Any]
    ready_s: float
    found: EndpointFacts
    used: EndpointFacts
    disagreements: tuple[str, ...]
    speed: Speed


async def examine(config: LLMConfig, role: str, cache: Path, progress: Progress) -> Examination:
    """Return what the endpoint of ``role`` is like. Asks about thirty tiny questions within about a minute.

    What is found is remembered for runs, in place of what was found before.

    Raises:
        LLMError: If it cannot be reached, refuses the key, does not know the model or answers nothing in time.
        ConfigError: If a value makes no sense.
    """
    place = Place.of(config, role)
    backend = open_backend(config, role, cache, progress)
    try:
        began = time.perf_counter()
        await backend.start()
        await backend.check()
        ready_s = time.perf_counter() - began
        found, speed = await _ask(backend, config, place, progress)
    except AttemptError as error:
        raise diagnose(error.failure, place) from None
    finally:
        await backend.close()
    stated = stated_facts(config)
    used = stated.over(found)
    memory = endpoint_memory(config, cache)
    if memory is not None:
        memory.remember(used)
    return Examination(role, llm_identity(config), ready_s, found, used, _disagreements(stated, found, place), speed)


async def _ask(backend: Backend, config: LLMConfig, place: Place, progress: Progress) -> tuple[EndpointFacts, Speed]:
    began = time.perf_counter()
    try:
        async with asyncio.timeout(_SECONDS):
            progress.say(f"{place.role}: asking what it can do")
            found = await backend.learn(StatedFacts())
            backend.adopt(found)
            if found.seeds is None:
                found = replace(found, seeds=await learn_seeds(backend.complete))
    except TimeoutError:
        what = f"{place.endpoint} did not answer a few tiny questions within {_SECONDS:.0f} s"
        raise LLMError(what, where=place.key("model"), hint="try again when it is less busy") from None
    progress.say(f"{place.role}: measuring its speed")
    left = max(_SECONDS - (time.perf_counter() - began), _SPEED_SECONDS)
    speed = await measure_speed(
        lambda request: backend.complete(request, None),
        seconds=left,
        ceiling=config.concurrency,
        context_tokens=found.context_tokens,
    )
    return found, speed


def _disagreements(stated: StatedFacts, found: EndpointFacts, place: Place) -> tuple[str, ...]:
    lines = []
    for name in _STATED:
        said, shown = getattr(stated, name), getattr(found, name)
        if said is not None and said != shown:
            lines.append(f"{place.key(name)}={_word(said)} is configured; it showed {_word(shown)}")
    return tuple(lines)


def _word(value: object) -> str:
    return str(value).lower()
