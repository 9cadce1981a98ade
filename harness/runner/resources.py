"""What units may use: language models by role, the embedder, the subject; opened on first need, closed at the end."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from harness.embedding import open_embedder
from harness.llm.open import open_llm
from harness.llm.traffic import Traffic
from harness.runner.bill import Taken
from harness.scoring.protocol import Need, Resources

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.config.resolve import ResolvedPlugin, ResolvedRun
    from harness.llm.budget import Budget
    from harness.llm.protocol import LLM, Spending
    from harness.progress import Progress
    from harness.runner.data import ModelPool
    from harness.scoring.protocol import Embedder

__all__ = ["RunResources"]


class RunResources:
    """The shared resources of one run.

    Args:
        resolved: The run.
        cache: Root of the cache.
        models: Subject models.
        progress: Told what is loaded.
        budget: What all roles together may spend.
    """

    def __init__(
        self, resolved: ResolvedRun, cache: Path, models: ModelPool, progress: Progress, budget: Budget | None = None
    ) -> None:
        self._resolved = resolved
        self._cache = cache
        self._models = models
        self._progress = progress
        self._traffic = Traffic(budget)
        self._opening = asyncio.Lock()
        self._opened: dict[str, LLM] = {}
        self._ready: dict[str, LLM] = {}
        self._embedder: Embedder | None = None

    async def check(self) -> None:
        """Open every language model the run needs, so that what is wrong with one is told before any work is done.

        Raises:
            LLMError: If one cannot be reached, refuses the key, does not know the model, or lacks what a scorer needs.
            BudgetError: If a budget in dollars cannot be kept for want of a price.
        """
        await self.explainer_llm()
        if self._resolved.judge is not None:
            await self._judge()

    async def explainer_llm(self) -> LLM | None:
        """Return the explainer's language model, checked to answer; None if the explainer needs none."""
        config = self._resolved.explainer_llm
        return None if config is None else await self._open("explainer", config)

    async def for_scorer(self, scorer: ResolvedPlugin, subject: ResolvedPlugin, seed: int) -> Resources:
        """Return what one scorer may use on one subject.

        Raises:
            LLMError: If the judge cannot be reached or lacks what is needed.
        """
        spec: Any = scorer.registered.spec
        return Resources(
            seed=seed,
            judge=await self._judge() if Need.JUDGE in spec.needs else None,
            embedder=self._open_embedder() if Need.EMBEDDER in spec.needs else None,
            subject=self._models.load(subject) if Need.SUBJECT in spec.needs else None,
        )

    def spending(self) -> Mapping[str, Spending]:
        """Return the spending of every role used so far."""
        return {role: llm.spending for role, llm in sorted(self._opened.items())}

    def taken(self) -> Taken:
        """Return what this process has taken so far."""
        return Taken(self.spending(), self._traffic.budget.spent)

    def started(self) -> Mapping[str, LLM]:
        """Return the language models that were started, by role: their prices and capabilities are final."""
        return dict(sorted(self._ready.items()))

    async def close(self) -> None:
        """Close what was opened, each whatever becomes of the others."""
        async with AsyncExitStack() as stack:
            for llm in self._opened.values():
                stack.push_async_callback(llm.close)

    async def _judge(self) -> LLM:
        return await self._open("judge", self._resolved.judge)

    async def _open(self, role: str, config: Any) -> LLM:
        if role in self._ready:
            return self._ready[role]
        async with self._opening:  # nobody may see what is not started: it does not know yet what it can do
            if role not in self._ready:
                if role not in self._opened:
                    self._opened[role] = open_llm(config, role, self._cache, self._progress, self._traffic)
                await self._opened[role].start()
                if role == "judge":
                    self._check_scorers(self._opened[role])
                self._ready[role] = self._opened[role]
        return self._ready[role]

    def _check_scorers(self, judge: LLM) -> None:
        """Let every scorer say what the judge lacks, before the first question is paid for."""
        for scorer in self._resolved.scorers.values():
            spec: Any = scorer.registered.spec
            check = spec.resolve_check()
            if check is not None and Need.JUDGE in spec.needs:
                check(scorer.config, judge)

    def _open_embedder(self) -> Embedder | None:
        config = self._resolved.embedder
        if self._embedder is None and config is not None:
            self._embedder = open_embedder(config, self._cache)
        return self._embedder
