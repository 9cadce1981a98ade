"""What units may use: language models by role, the embedder, the subject; opened on first need, closed at the end."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from harness.config.checks import reads_only
from harness.embedding import open_embedder
from harness.errors import LLMError
from harness.llm.diagnosis import Place
from harness.llm.modes import known_modes
from harness.llm.open import open_llm
from harness.llm.traffic import Traffic
from harness.runner.bill import Taken
from harness.scoring.protocol import Need, Resources

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.config.resolve import ResolvedPlugin, ResolvedRun
    from harness.config.schema import LLMConfig
    from harness.llm.budget import Budget
    from harness.llm.protocol import LLM, Spending
    from harness.progress import Progress
    from harness.runner.data import ModelPool
    from harness.scoring.protocol import Embedder
    from harness.subjects.access import SubjectAccess

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
        self._recorded: Mapping[str, Mapping[str, Any]] = {}
        self._embedder: Embedder | None = None

    async def check(self) -> None:
        """Open every language model the run needs, and every subject that a scorer runs texts through.

        So what is wrong with one is told before any work is done.

        Raises:
            ConfigError: If the features of a subject can only be read, and a scorer changes them.
            LLMError: If one cannot be reached, refuses the key, does not know the model, or lacks what a scorer needs.
            BudgetError: If a budget in dollars cannot be kept for want of a price.
        """
        await self.explainer_llm()
        if self._resolved.judge is not None:
            await self._judge()
        for scorer in self._resolved.scorers.values():
            spec: Any = scorer.registered.spec
            if Need.SUBJECT in spec.needs:
                for subject in self._resolved.subjects.values():
                    self._subject(scorer, subject)

    def expect(self, modes: Mapping[str, Mapping[str, Any]]) -> None:
        """Let no language model be asked in another way than earlier processes of the run did, by role."""
        self._recorded = modes

    async def modes(self) -> dict[str, Mapping[str, Any]]:
        """Return how each role's language model is really asked (``harness.llm.modes``).

        A model is started for it only if that is neither known of its backend or configuration nor was recorded.

        Raises:
            LLMError: If a model that has to be asked cannot be.
        """
        configs = {"explainer": self._resolved.explainer_llm, "judge": self._resolved.judge}
        modes: dict[str, Mapping[str, Any]] = {}
        for role, config in configs.items():
            if config is not None:
                known = known_modes(config) or self._recorded.get(role)
                modes[role] = (await self._open(role, config)).modes if known is None else known
        return modes

    async def explainer_llm(self) -> LLM | None:
        """Return the explainer's language model, checked to answer; None if the explainer needs none."""
        config = self._resolved.explainer_llm
        return None if config is None else await self._open("explainer", config)

    async def for_scorer(self, scorer: ResolvedPlugin, subject: ResolvedPlugin, seed: int) -> Resources:
        """Return what one scorer may use on one subject.

        Raises:
            ConfigError: If the features of the subject can only be read, and the scorer changes them.
            LLMError: If the judge cannot be reached or lacks what is needed.
        """
        spec: Any = scorer.registered.spec
        return Resources(
            seed=seed,
            judge=await self._judge() if Need.JUDGE in spec.needs else None,
            embedder=self._open_embedder() if Need.EMBEDDER in spec.needs else None,
            subject=self._subject(scorer, subject) if Need.SUBJECT in spec.needs else None,
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
            stack.callback(self._models.close)

    def _subject(self, scorer: ResolvedPlugin, subject: ResolvedPlugin) -> SubjectAccess:
        access = self._models.access(subject, self._resolved.corpus_tokens.bos)
        spec: Any = scorer.registered.spec
        if Need.WRITES in spec.needs and not access.steers:
            raise reads_only(scorer.name, subject.name)
        return access

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
                self._check_modes(role, config, self._opened[role].modes)
                if role == "judge":
                    self._check_scorers(self._opened[role])
                self._ready[role] = self._opened[role]
        return self._ready[role]

    def _check_modes(self, role: str, config: LLMConfig, found: Mapping[str, Any]) -> None:
        """Refuse a model that is not what it was: the scores of one run would be of two."""
        recorded = self._recorded.get(role, {}) if known_modes(config) is None else {}
        changed = [name for name, value in recorded.items() if found[name] != value]
        if not changed:
            return
        place = Place.of(config, role)
        was, now = (", ".join(f"{name}={_shown(modes[name])}" for name in changed) for modes in (recorded, found))
        stated = " ".join(f"{place.key(name)}={_shown(recorded[name])}" for name in changed)
        raise LLMError(
            f"the {role}'s endpoint is not what it was when this run began: {was} then, {now} now",
            where=place.key("model"),
            hint=f"{stated} if it still can, or another name for the run (name=...)",
        )

    def _check_scorers(self, judge: LLM) -> None:
        """Let every scorer say what the judge lacks, before the first question is paid for.

        Raises:
            LLMError: What the first of them said; where others can go on, also how to leave out those that cannot.
        """
        refused: dict[str, LLMError] = {}
        for name, scorer in self._resolved.scorers.items():
            spec: Any = scorer.registered.spec
            check = spec.resolve_check()
            if check is not None and Need.JUDGE in spec.needs:
                try:
                    check(scorer.config, judge)
                except LLMError as error:
                    refused[name] = error
        if refused:
            raise _with_way_out(refused, len(self._resolved.scorers))

    def _open_embedder(self) -> Embedder | None:
        config = self._resolved.embedder
        if self._embedder is None and config is not None:
            self._embedder = open_embedder(config, self._cache)
        return self._embedder


def _with_way_out(refused: Mapping[str, LLMError], of: int) -> LLMError:
    """Return the first of the errors; its hint also says how to go on without the scorers, if any is left."""
    first = next(iter(refused.values()))
    if len(refused) == of:
        return first
    without = " ".join(f"'~scorers.{name}'" for name in refused)
    hint = f"{first.hint}; or go on without: {without}" if first.hint else f"to go on without: {without}"
    return LLMError(first.what, where=first.where, hint=hint)


def _shown(value: Any) -> str:
    """Return a value as it is written in an override."""
    return str(value).lower() if isinstance(value, bool) else str(value)
