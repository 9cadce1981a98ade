"""What a manifest says of plugins, models, scorers and explanation sets, from the resolved run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.embedding import embedder_identity
from harness.examples.negative_sources import uses_embedder
from harness.identity import plain
from harness.llm.open import llm_identity
from harness.results.manifest import ExplanationSetFacts, MetricFacts, PluginVersion, ScorerFacts
from harness.scoring.protocol import Need

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.config.resolve import ResolvedPlugin, ResolvedRun
    from harness.runner.explain import ExplanationSet

__all__ = ["model_identities", "plugin_versions", "scorer_facts", "set_facts"]


def plugin_versions(resolved: ResolvedRun) -> dict[str, PluginVersion]:
    """Return which distribution every plugin of a run is from, by kind and name."""
    used = {
        "subject": resolved.subjects.values(),
        "corpus": [resolved.corpus],
        "explainer": [resolved.explainer],
        "scorer": resolved.scorers.values(),
        "control": resolved.controls.values(),
    }
    return {
        f"{kind}:{plugin.registered.spec.name}": PluginVersion(
            distribution=plugin.registered.distribution, version=plugin.registered.version
        )
        for kind, plugins in used.items()
        for plugin in plugins
    }


def model_identities(resolved: ResolvedRun, modes: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the identity of every model that the run's configuration names and needs, by role.

    Args:
        resolved: The run.
        modes: How the language models are really asked, by role, as far as that is known.
    """
    models: dict[str, Any] = {}
    if resolved.explainer_llm is not None:
        models["explainer"] = llm_identity(resolved.explainer_llm, modes.get("explainer"))
    if resolved.judge is not None and _needed(resolved, Need.JUDGE):
        models["judge"] = llm_identity(resolved.judge, modes.get("judge"))
    chooses = uses_embedder(resolved.examples.negatives)
    if resolved.embedder is not None and (chooses or _needed(resolved, Need.EMBEDDER)):
        models["embedder"] = embedder_identity(resolved.embedder)
    return {role: plain(identity) for role, identity in models.items()}


def _needed(resolved: ResolvedRun, need: Need) -> bool:
    specs: list[Any] = [scorer.registered.spec for scorer in resolved.scorers.values()]
    return any(need in spec.needs for spec in specs)


def scorer_facts(resolved: ResolvedRun, scorer: ResolvedPlugin) -> ScorerFacts:
    """Return what a leaderboard has to know of one scorer."""
    spec: Any = scorer.registered.spec
    made = spec.resolve_factory()(scorer.config)
    judge = str(llm_identity(resolved.judge)["model"]) if resolved.judge and Need.JUDGE in spec.needs else None
    metrics = [
        MetricFacts(
            name=m.name,
            low=m.low,
            high=m.high,
            chance=m.chance,
            higher_is_better=m.higher_is_better,
            published=m.published,
        )
        for m in spec.metrics
    ]
    return ScorerFacts(
        plugin=spec.name,
        version=spec.version,
        metrics=metrics,
        primary_metric=made.primary_metric,
        judge=judge,
        fidelity=spec.fidelity,
        aspect=spec.aspect,
    )


def set_facts(explanations: ExplanationSet) -> ExplanationSetFacts:
    """Return who wrote one explanation set."""
    first = explanations.lines[0] if explanations.lines else None
    model = first.model if first else None
    return ExplanationSetFacts(
        control=explanations.control,
        explainer=first.explainer if first else None,
        explainer_model=str(model["model"]) if model else None,
    )
