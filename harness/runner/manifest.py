"""Keeps a run's manifest up to date while the run goes on, over as many processes as it takes."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import BudgetError
from harness.identity import plain
from harness.llm.modes import recorded_modes
from harness.llm.protocol import Spending
from harness.outcome import Usage
from harness.results.manifest import (
    CapabilityFacts,
    Charge,
    Counts,
    Manifest,
    PriceFacts,
    RoleUsage,
    collect_versions,
    host_free,
    read_manifest,
    write_manifest,
)
from harness.results.records import UsageLine
from harness.runner.bill import Bill, Taken, larger, last_bill
from harness.runner.manifest_facts import model_identities, plugin_versions, scorer_facts, set_facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.config.resolve import ResolvedRun
    from harness.llm.budget import Cost
    from harness.llm.protocol import LLM
    from harness.results.records import ExplanationLine, ScoreLine
    from harness.results.runfolder import RunFolder
    from harness.runner.data import SubjectData
    from harness.runner.explain import ExplanationSet
    from harness.runner.protocols import Protocol

__all__ = ["ManifestKeeper"]

_SPENDING_EVERY_S = 30.0
_STOPPED = (BudgetError, KeyboardInterrupt, asyncio.CancelledError)
"""What ends a run by the user's own wish."""


class ManifestKeeper:
    """Writes ``manifest.json`` at every turn of the run, so that a stopped run still says what it was.

    Attributes:
        recorded_modes: How earlier processes asked the language models, by role, as far as that was recorded.
    """

    def __init__(self, folder: RunFolder, resolved: ResolvedRun, cache: Path) -> None:
        self._folder = folder
        self._roots = {"$CACHE": cache, "$RESULTS": folder.path.parent.parent.resolve(), "~": Path.home()}
        earlier = read_manifest(folder.manifest) if folder.manifest.exists() else None
        known = Bill(earlier.usage, earlier.charged) if earlier else Bill()
        self._earlier = larger(known, last_bill(folder.events))
        self._resolved = resolved
        found = {role: recorded_modes(identity) for role, identity in (earlier.models if earlier else {}).items()}
        self.recorded_modes = {role: modes for role, modes in found.items() if modes is not None}
        self._earlier_timings = earlier.timings if earlier else {}
        self._written = time.monotonic()
        # What an earlier process of this run found out stays until this one knows better.
        self._manifest = dataclasses.replace(
            earlier
            or Manifest(
                run_id="", name="", status="running", config={}, config_sha256="", versions=collect_versions({})
            ),
            run_id=folder.run_id,
            name=resolved.name,
            status="running",
            finished=None,
            error=None,
            config=host_free(resolved.plain(), self._roots),
            config_sha256=resolved.config_sha256,
            settings=host_free(resolved.settings(), self._roots),
            versions=collect_versions(plugin_versions(resolved)),
            models=self._models(self.recorded_modes),
            seeds={"root": resolved.seed, "features": resolved.features.seed},
            started=earlier.started if earlier else _now(),
            scorers={name: scorer_facts(resolved, scorer) for name, scorer in resolved.scorers.items()},
        )

    @property
    def earlier_cost(self) -> Cost:
        """Return what the processes before this one spent of the budget."""
        return self._earlier.cost

    def start(self) -> None:
        """Write that the run is under way."""
        self._write(**self._bill(Taken()))

    def opened(self, models: Mapping[str, LLM]) -> None:
        """Note what the language models that were started cost and can do."""
        self._write(**self._model_facts(models))

    def asked(self, modes: Mapping[str, Mapping[str, Any]]) -> None:
        """Note how the language models are really asked, by role: part of what they are."""
        self._write(models={**self._manifest.models, **self._models(modes)})

    def data(self, subjects: Mapping[str, SubjectData]) -> None:
        """Note what was read and found of every subject."""
        facts = {name: dict(subject.facts) for name, subject in subjects.items()}
        models = {f"subject:{name}": plain(subject.facts["identity"]["model"]) for name, subject in subjects.items()}
        self._write(subjects=host_free(plain(facts), self._roots), models={**self._manifest.models, **models})

    def protocols(self, protocols: Mapping[str, Protocol]) -> None:
        """Note what each protocol is the fingerprint of."""
        self._write(protocols={protocol.fingerprint: protocol.fields for protocol in protocols.values()})

    def sets(self, sets: Sequence[ExplanationSet]) -> None:
        """Note the explanation sets."""
        self._write(explanation_sets={explanations.name: set_facts(explanations) for explanations in sets})

    def spent(self, taken: Taken) -> dict[str, Any]:
        """Note what was spent so far, now and then, and return it as plain data for an event.

        The event is what a killed run's bill is known by.
        """
        bill = self._bill(taken)
        if time.monotonic() - self._written > _SPENDING_EVERY_S:
            self._write(**bill)
        return Bill(**bill).plain()

    def stop(
        self,
        error: BaseException,
        models: Mapping[str, LLM],
        taken: Taken,
        seconds: Mapping[str, float],
    ) -> str:
        """Write that the run stopped before its end, and why; return its status."""
        self._write(
            **self._model_facts(models),
            status="stopped" if isinstance(error, _STOPPED) else "failed",
            error=str(error) or type(error).__name__,
            **self._bill(taken),
            timings=self._timings(seconds),
            finished=_now(),
        )
        return self._manifest.status

    def finish(
        self,
        status: str,
        explanations: Sequence[ExplanationLine],
        scores: Sequence[ScoreLine],
        models: Mapping[str, LLM],
        taken: Taken,
        seconds: Mapping[str, float],
    ) -> Manifest:
        """Write the finished run's manifest and return it."""
        answers = {
            "explainer": _total(line.usage for line in explanations),
            "judge": _total(line.usage for line in scores),
        }
        self._write(
            **self._model_facts(models),
            status=status,
            error=None,
            counts=self._counts(explanations, scores),
            **self._bill(taken, {role: usage for role, usage in answers.items() if usage.calls}),
            timings=self._timings(seconds),
            finished=_now(),
        )
        return self._manifest

    def _model_facts(self, models: Mapping[str, LLM]) -> dict[str, Any]:
        """Return the changes that note prices and capabilities; those of roles not asked this time stay."""
        prices = {role: PriceFacts(**llm.price_facts) for role, llm in models.items()}
        found = {role: CapabilityFacts(**plain(llm.capabilities)) for role, llm in models.items()}
        return {
            "prices": {**self._manifest.prices, **prices},
            "capabilities": {**self._manifest.capabilities, **found},
        }

    def _models(self, modes: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        identities: dict[str, dict[str, Any]] = host_free(model_identities(self._resolved, modes), self._roots)
        return identities

    def _timings(self, seconds: Mapping[str, float]) -> dict[str, float]:
        """Return the seconds per stage, those of earlier processes included."""
        stages = {**self._earlier_timings, **seconds}
        return {stage: round(self._earlier_timings.get(stage, 0.0) + seconds.get(stage, 0.0), 3) for stage in stages}

    def _bill(self, taken: Taken, answers: Mapping[str, UsageLine] | None = None) -> dict[str, Any]:
        """Return the bill as changes: what this process took added to what earlier ones did."""
        answers = answers or {}
        usage: dict[str, RoleUsage] = {}
        for role in sorted({*taken.roles, *answers, *self._earlier.usage}):
            before = self._earlier.usage.get(role, RoleUsage())
            now = taken.roles.get(role, Spending())
            usage[role] = dataclasses.replace(
                before,
                answers=answers.get(role, before.answers),
                billed=_add(before.billed, now.billed),
                from_cache=_add(before.from_cache, now.from_cache),
                cached_input_tokens=before.cached_input_tokens + now.cached_input_tokens,
                failed_attempts=before.failed_attempts + now.failed_attempts,
            )
        spent, now_usd = self._earlier.cost, taken.charged.usd
        usd = None if spent.usd is None or now_usd is None else spent.usd + now_usd
        return {"usage": usage, "charged": Charge(tokens=spent.tokens + taken.charged.tokens, usd=usd)}

    def _counts(self, explanations: Sequence[ExplanationLine], scores: Sequence[ScoreLine]) -> Counts:
        sets = self._manifest.explanation_sets
        broken = [line for line in explanations if line.outcome == "error"]
        # A control that had nothing to be made from is a consequence, not a failure of its own.
        bare = sum(sets[line.explanation_set].control is not None for line in broken)
        failed = len(broken) - bare + sum(line.status == "error" for line in scores)
        skipped = bare + sum(line.status == "no_explanation" for line in scores)
        total = len(explanations) + len(scores)
        return Counts(total=total, done=total - failed - skipped, failed=failed, skipped=skipped)

    def _write(self, **changes: Any) -> None:
        self._manifest = dataclasses.replace(self._manifest, **changes)
        self._written = time.monotonic()
        write_manifest(self._folder.manifest, self._manifest)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _total(lines: Iterable[UsageLine]) -> UsageLine:
    total = Usage()
    for line in lines:
        total += _usage_of(line)
    return UsageLine(**plain(total))


def _add(line: UsageLine, usage: Usage) -> UsageLine:
    return UsageLine(**plain(_usage_of(line) + usage))


def _usage_of(line: UsageLine) -> Usage:
    return Usage(line.calls, line.input_tokens, line.output_tokens, line.usd)
