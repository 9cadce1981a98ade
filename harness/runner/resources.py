"""What units may use: language models by role, the embedder, the subject; opened on first need, closed at the end."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from harness.embedding import open_embedder
from harness.llm.open import open_llm
from harness.scoring.protocol import Need, Resources

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.config.resolve import ResolvedPlugin, ResolvedRun
    from harness.llm.protocol import LLM, Spending
    from harness.progress import Progress
    from harness.runner.data import ModelPool
    from harness.scoring.protocol import Embedder

__all__ = ["RunResources"]


class RunResources:
    """The shared resources of one run."""

    def __init__(self, resolved: ResolvedRun, cache: Path, models: ModelPool, progress: Progress) -> None:
        self._resolved = resolved
        self._cache = cache
        self._models = models
        self._progress = progress
        self._llms: dict[str, LLM] = {}
        self._embedder: Embedder | None = None

    async def check(self) -> None:
        """Open every language model the run needs, so that a wrong address or key is told before any work is done.

        Raises:
            LLMError: If one cannot be reached, refuses the key or does not know the model.
        """
        await self.explainer_llm()
        if self._resolved.judge is not None:
            await self._judge()

    async def explainer_llm(self) -> LLM | None:
        """Return the explainer's language model, checked to answer; None if the explainer needs none."""
        config = self._resolved.explainer_llm
        if config is None or "explainer" in self._llms:
            return self._llms.get("explainer")
        return await self._open("explainer", config)

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
        return {role: llm.spending for role, llm in sorted(self._llms.items())}

    async def close(self) -> None:
        """Close what was opened, each whatever becomes of the others."""
        async with AsyncExitStack() as stack:
            for llm in self._llms.values():
                stack.push_async_callback(llm.close)

    async def _judge(self) -> LLM:
        if "judge" in self._llms:
            return self._llms["judge"]
        return await self._open("judge", self._resolved.judge)

    async def _open(self, role: str, config: Any) -> LLM:
        llm = open_llm(config, role, self._cache, self._progress)
        self._llms[role] = llm
        await llm.start()
        return llm

    def _open_embedder(self) -> Embedder | None:
        config = self._resolved.embedder
        if self._embedder is None and config is not None:
            self._embedder = open_embedder(config, self._cache)
        return self._embedder
