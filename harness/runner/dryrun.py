"""What a run would do, said before it is done: units, calls, tokens and price, without loading a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.runner.identity import control_set_name, run_id
from harness.scoring.protocol import ExampleShape

if TYPE_CHECKING:
    from harness.config.resolve import ResolvedRun
    from harness.config.schema import LLMConfig

__all__ = ["RoleEstimate", "describe", "estimate"]


@dataclass(frozen=True)
class RoleEstimate:
    """What one part of a run is expected to take. ``usd`` is None where no price is configured."""

    part: str
    role: str | None
    units: int
    calls: int
    input_tokens: int
    output_tokens: int
    usd: float | None


def estimate(resolved: ResolvedRun) -> list[RoleEstimate]:
    """Return the estimate of each part: the explainer, then each scorer over all explanation sets.

    Counts of units are upper bounds: features that cannot be used, and explanations that cannot be had, drop out.
    """
    features = feature_count(resolved)
    sets = 1 + len(resolved.controls)
    parts = [_explainer(resolved, features)]
    examples = resolved.examples
    shape = ExampleShape(examples.score_activating, examples.score_non_activating, examples.window_tokens)
    for name, plugin in resolved.scorers.items():
        one = plugin.registered.spec.resolve_factory()(plugin.config).estimate(shape)
        units = features * sets
        role = "judge" if one.calls else None
        parts.append(
            _part(f"scoring: {name}", role, units, one.calls, one.input_tokens, one.output_tokens, resolved.judge)
        )
    return parts


def feature_count(resolved: ResolvedRun) -> int:
    """Return how many features the run will use at most, over all subjects; those of ``all`` count as ``n``."""
    features = resolved.features
    per_subject = {
        "list": len(features.ids),
        "range": max(0, (features.stop or features.start) - features.start),
    }.get(features.select, features.n)
    return per_subject * len(resolved.subjects)


def describe(resolved: ResolvedRun) -> str:
    """Return the plan as text for a terminal."""
    parts = estimate(resolved)
    base = resolved.set_name
    sets = [base, *(control_set_name(control, base) for control in resolved.controls.values())]
    lines = [
        f"run        {run_id(resolved)}",
        f"subjects   {', '.join(resolved.subjects)}",
        f"features   {feature_count(resolved)} at most ({resolved.features.select})",
        f"sets       {', '.join(sets)}",
        f"examples   {_examples(resolved)}",
        "",
        f"{'part':<28}{'units':>8}{'calls':>10}{'tokens in':>12}{'tokens out':>12}{'usd':>10}",
    ]
    lines += [_row(p.part, p.units, p.calls, p.input_tokens, p.output_tokens, p.usd) for p in parts]
    prices = [part.usd for part in parts]
    lines.append(
        _row(
            "total",
            sum(part.units for part in parts),
            sum(part.calls for part in parts),
            sum(part.input_tokens for part in parts),
            sum(part.output_tokens for part in parts),
            None if None in prices else sum(price for price in prices if price is not None),
        )
    )
    lines.append("Counts are upper bounds; answers already in the cache and finished units cost nothing.")
    return "\n".join(lines)


def _examples(resolved: ResolvedRun) -> str:
    examples = resolved.examples
    counts = f"{examples.score_activating} activating and {examples.score_non_activating} non-activating"
    return f"{counts} to score with per feature, windows of {examples.window_tokens} tokens"


def _explainer(resolved: ResolvedRun, features: int) -> RoleEstimate:
    spec: Any = resolved.explainer.registered.spec
    examples = resolved.examples
    one = spec.resolve_factory()(resolved.explainer.config).estimate(
        examples.explain_activating + examples.explain_non_activating, examples.window_tokens
    )
    role = "explainer" if one.calls else None
    return _part("explaining", role, features, one.calls, one.input_tokens, one.output_tokens, resolved.explainer_llm)


def _part(
    name: str, role: str | None, units: int, calls: int, tokens_in: int, tokens_out: int, llm: LLMConfig | None
) -> RoleEstimate:
    usd: float | None = 0.0
    if role is not None:
        usd = _price(llm, units * tokens_in, units * tokens_out)
    return RoleEstimate(name, role, units, units * calls, units * tokens_in, units * tokens_out, usd)


def _price(llm: LLMConfig | None, tokens_in: int, tokens_out: int) -> float | None:
    if llm is None:
        return None
    if llm.backend == "local":
        return 0.0
    if llm.input_usd_per_mtok is None or llm.output_usd_per_mtok is None:
        return None
    return (tokens_in * llm.input_usd_per_mtok + tokens_out * llm.output_usd_per_mtok) / 1e6


def _row(name: str, units: int, calls: int, tokens_in: int, tokens_out: int, usd: float | None) -> str:
    price = "unknown" if usd is None else f"{usd:.2f}"
    return f"{name:<28}{units:>8,}{calls:>10,}{tokens_in:>12,}{tokens_out:>12,}{price:>10}"
