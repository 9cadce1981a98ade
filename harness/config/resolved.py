"""A run as configuration describes it, ready to be executed: frozen, every parameter in its own dataclass."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from harness.config.schema import MemoryConfig
from harness.identity import fingerprint, parameters_of, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.config.schema import (
        BudgetConfig,
        CorpusTokens,
        EmbedderConfig,
        ExamplesConfig,
        ExecutionConfig,
        FeaturesConfig,
        LLMConfig,
        PathsConfig,
    )
    from harness.registry.catalogue import Registered
    from harness.registry.specs import Spec

__all__ = ["PACE", "ResolvedPlugin", "ResolvedRun"]

PACE = frozenset(
    {
        "api_key_env",
        "batch_tokens",
        "cache_answers",
        "cached_input_usd_per_mtok",
        "concurrency",
        "deadline_s",
        "device",
        "input_usd_per_mtok",
        "max_retries",
        "output_usd_per_mtok",
        "patience_s",
        "prompt_cache",
        "requests_per_minute",
        "slots",
        "threads",
        "timeout_s",
        "tokens_per_minute",
    }
)
"""Settings of a model that change how fast, at what price, under which key or from where an answer comes, not what."""


@dataclass(frozen=True)
class ResolvedPlugin:
    """A plugin as a run uses it.

    Attributes:
        name: Its name in this run.
        registered: What is registered, and from where.
        config: Its parameters, an instance of its own dataclass.
    """

    name: str
    registered: Registered[Spec]
    config: Any

    def plain(self) -> dict[str, Any]:
        """Return plugin, version and parameters as plain data."""
        spec = self.registered.spec
        return {"plugin": self.registered.qualified, "version": spec.version, **parameters_of(self.config)}


@dataclass(frozen=True)
class ResolvedRun:
    """A run, ready to be executed.

    Attributes:
        name: Its name; the beginning of its folder's.
        seed: Root of all draws.
        subjects: By name, in order of name.
        corpus: The reader of documents.
        corpus_tokens: How documents become tokens.
        examples: Windows, split, numbers of examples.
        features: Which features.
        explainer: What writes the real explanation set.
        explainer_llm: The explainer's language model, None if it needs none.
        set_name: Name of the real explanation set.
        judge: The judge, None if no scorer needs one.
        embedder: The embedding model, None if neither a scorer nor the choice of negatives needs one.
        scorers: By name, in order of name.
        controls: By name, in order of name.
        paths: Where results and cache lie.
        execution: How the run is executed; changes no number.
        budget: What it may spend; changes no number.
        memory: What it may hold in memory; changes no number.
        debug: Whether errors show tracebacks.
    """

    name: str
    seed: int
    subjects: Mapping[str, ResolvedPlugin]
    corpus: ResolvedPlugin
    corpus_tokens: CorpusTokens
    examples: ExamplesConfig
    features: FeaturesConfig
    explainer: ResolvedPlugin
    explainer_llm: LLMConfig | None
    set_name: str
    judge: LLMConfig | None
    embedder: EmbedderConfig | None
    scorers: Mapping[str, ResolvedPlugin]
    controls: Mapping[str, ResolvedPlugin]
    paths: PathsConfig
    execution: ExecutionConfig
    budget: BudgetConfig
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    debug: bool = False

    def plain(self) -> dict[str, Any]:
        """Return everything that can change a record as plain data: no paths of results, no concurrency, no key."""
        return {
            "name": self.name,
            "seed": self.seed,
            "subject": {name: subject.plain() for name, subject in self.subjects.items()},
            "corpus": {**self.corpus.plain(), **plain(self.corpus_tokens)},
            "examples": parameters_of(self.examples),
            "features": parameters_of(self.features),
            "explainer": {**self.explainer.plain(), "llm": _paceless(self.explainer_llm), "set_name": self.set_name},
            "judge": _paceless(self.judge),
            "embedder": plain(self.embedder),
            "scorers": {name: scorer.plain() for name, scorer in self.scorers.items()},
            "controls": {name: control.plain() for name, control in self.controls.items()},
        }

    def settings(self) -> dict[str, dict[str, Any]]:
        """Return the rest as plain data, by its config key: what a repetition takes over, and no number depends on.

        Folders are left out, as they are this machine's. The name of a key's variable is there, never a key.
        """
        models = {"explainer.llm": self.explainer_llm, "judge": self.judge}
        paces = {key: _pace(config) for key, config in models.items() if config is not None}
        return {
            **paces,
            "execution": plain(self.execution),
            "budget": plain(self.budget),
            "memory": plain(self.memory),
        }

    @cached_property
    def config_sha256(self) -> str:
        """Return the digest of ``plain()``: the same for two configurations exactly when they are the same run."""
        return fingerprint(self.plain(), length=64)


def _paceless(config: LLMConfig | None) -> dict[str, Any] | None:
    if config is None:
        return None
    return {key: value for key, value in plain(config).items() if key not in PACE}


def _pace(config: LLMConfig) -> dict[str, Any]:
    return {key: value for key, value in plain(config).items() if key in PACE}
