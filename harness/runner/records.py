"""Feature records on all processors of the machine, for selections that are large enough to pay for it."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from harness.activations.facts import FactReader
from harness.activations.located import Locator
from harness.activations.store import ActivationStore
from harness.activations.tokens import TokenStore
from harness.examples.ahead import BuildAhead, InTurn
from harness.examples.build import RecordBuilder
from harness.examples.select import judging
from harness.subjects.model import load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from harness.config.schema import ExamplesConfig, FeaturesConfig, ModelConfig
    from harness.decoded import Decoder
    from harness.examples.ahead import Result

__all__ = ["LEAST", "RecordTask", "building_on", "processes_for"]

LEAST = 2_000
"""Records from which on other processes are started: each takes seconds to import what it needs, in which one process
builds about a thousand."""


@dataclass(frozen=True)
class RecordTask:
    """All that a process needs to build the records of a subject by itself.

    Attributes:
        subject: The subject's name.
        tokens: Folder of the tokenised corpus.
        activations: Folder of the activation store.
        model: The subject model, for its tokenizer.
        cache: The cache folder.
        examples: Windows, split, numbers of examples.
        features: The selection, for its condition.
        seed: Root seed.
        embedder: Identity of what embeds windows, where negatives are chosen by it.
    """

    subject: str
    tokens: Path
    activations: Path
    model: ModelConfig
    cache: Path
    examples: ExamplesConfig
    features: FeaturesConfig
    seed: int
    embedder: Mapping[str, Any] | None = None

    def open(self) -> Callable[[int], Result]:
        """Return what gives the record of a feature, or why it has none, from newly opened stores."""
        tokens = TokenStore(self.tokens, cast("Decoder", load_tokenizer(self.model, self.cache)))
        store = ActivationStore(self.activations, context_starts=tokens.context_starts)
        locator = Locator(tokens)
        builder = RecordBuilder(self.subject, tokens, store, self.examples, self.seed, locator, self.embedder)
        return judging(self.features, builder, self.subject, FactReader(tokens, store, locator).facts)


def processes_for(wanted: int, asked: int | None) -> int:
    """Return how many processes build records, this one included.

    Args:
        wanted: How many records are wanted.
        asked: How many processes somebody asked for; None for one where that is as fast, else one a processor.
    """
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if asked is None:
        return processors if wanted >= LEAST else 1
    return max(1, min(asked, processors))


@contextmanager
def building_on(
    processes: int, opener: Callable[[], Callable[[int], Result]]
) -> Iterator[Callable[[Callable[[int], Result]], InTurn | BuildAhead]]:
    """Yield how ``select_features`` builds records on so many processes, this one included; they end with the block.

    Args:
        processes: How many.
        opener: What a process calls once to get what builds a record: importable there, as ``RecordTask.open`` is.
    """
    if processes == 1:
        yield InTurn
        return
    # Not forked: this process has threads, of torch and others, whose locks a child would inherit as they are.
    spawn = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(processes - 1, mp_context=spawn, initializer=_open, initargs=(opener,))
    try:
        yield partial(BuildAhead, executor=executor, many=_build, workers=processes - 1)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


_mine: list[Callable[[int], Result]] = []
"""In a process started here: what builds a record."""


def _open(opener: Callable[[], Callable[[int], Result]]) -> None:
    _mine[:] = [opener()]


def _build(features: list[int]) -> list[Result]:
    return [_mine[0](feature) for feature in features]
