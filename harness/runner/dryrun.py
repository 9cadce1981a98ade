"""What a run would do, said before it is done: units, calls, tokens and price, without loading or asking a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.examples.negative_sources import RANDOM, hard_sources, shares
from harness.llm.counting import APPROXIMATE, TokenCounter
from harness.llm.price import FREE, Price
from harness.llm.tokenizers import listed_price, open_counter
from harness.materials import cache_root
from harness.runner.identity import control_set_name, run_id
from harness.scoring.protocol import ExampleShape, ScorerEstimate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.config.resolve import ResolvedPlugin, ResolvedRun
    from harness.config.schema import LLMConfig
    from harness.explainers.protocol import ExplainerEstimate

__all__ = ["RoleEstimate", "describe", "estimate"]

EXPLAINER, JUDGE = "explainer", "judge"


@dataclass(frozen=True)
class RoleEstimate:
    """What one part of a run is expected to take. ``usd`` is None where no price is known."""

    part: str
    role: str | None
    units: int
    calls: int
    input_tokens: int
    output_tokens: int
    usd: float | None


@dataclass(frozen=True)
class _Model:
    """What counts a role's tokens, and what they cost."""

    counter: TokenCounter = APPROXIMATE
    price: Price = FREE

    @classmethod
    def of(cls, config: LLMConfig | None, resolved: ResolvedRun) -> _Model:
        if config is None:
            return cls()
        return cls(open_counter(config, cache_root(resolved.paths.cache)), listed_price(config))


def estimate(resolved: ResolvedRun) -> list[RoleEstimate]:
    """Return the estimate of each part: the explainer, then each scorer over all explanation sets.

    Features that cannot be used and explanations that cannot be had, which would make it less, and questions asked
    again, which would make it more, are not foreseen.
    """
    return _Estimator(resolved).parts()


class _Estimator:
    """Estimates one run. Opens each role's tokenizer once."""

    def __init__(self, resolved: ResolvedRun) -> None:
        self.resolved = resolved
        self.features = feature_count(resolved)
        llm, judge = resolved.explainer_llm, resolved.judge
        self.explainer = _Model.of(llm, resolved)
        self.judge = self.explainer if judge == llm else _Model.of(judge, resolved)

    def parts(self) -> list[RoleEstimate]:
        """Return one estimate per part."""
        one = self._explanations(self.resolved.explainer, self.explainer)
        role = EXPLAINER if one.calls else None
        asked = ScorerEstimate(one.calls, one.input_tokens, one.output_tokens)
        parts = [_part("explaining", role, self.features, asked, self.explainer.price)]
        lengths = self._explanation_tokens()
        for name, plugin in self.resolved.scorers.items():
            scorer = plugin.registered.spec.resolve_factory()(plugin.config)
            total = ScorerEstimate()
            for length in lengths:
                per_unit = scorer.estimate(self._shape(length))
                total = ScorerEstimate(
                    total.calls + per_unit.calls,
                    total.input_tokens + per_unit.input_tokens,
                    total.output_tokens + per_unit.output_tokens,
                )
            scored = _part(f"scoring: {name}", JUDGE if total.calls else None, self.features, total, self.judge.price)
            parts.append(replace(scored, units=self.features * len(lengths)))
        return parts

    def _shape(self, explanation_tokens: int) -> ExampleShape:
        examples = self.resolved.examples
        return ExampleShape(
            examples.score_activating,
            examples.score_non_activating,
            examples.window_tokens,
            explanation_tokens,
            self.judge.counter,
        )

    def _explanation_tokens(self) -> list[int]:
        """Return how long the explanations of each set are expected to be: the real one, then the controls."""
        real = self._explanations(self.resolved.explainer, self.judge).explanation_tokens
        return [real, *(self._control_tokens(control, real) for control in self.resolved.controls.values())]

    def _control_tokens(self, control: ResolvedPlugin, real: int) -> int:
        spec: Any = control.registered.spec
        if spec.uses_explanations or not hasattr(spec.resolve_factory()(control.config), "estimate"):
            return real
        return self._explanations(control, self.judge).explanation_tokens

    def _explanations(self, plugin: ResolvedPlugin, model: _Model) -> ExplainerEstimate:
        examples = self.resolved.examples
        windows = examples.explain_activating + examples.explain_non_activating
        made: Any = plugin.registered.spec.resolve_factory()(plugin.config)
        found: ExplainerEstimate = made.estimate(windows, examples.window_tokens, model.counter)
        return found

    def sources(self) -> list[str]:
        """Return one line per role: how its tokens were counted, and where its price is from."""
        models = {EXPLAINER: (self.resolved.explainer_llm, self.explainer), JUDGE: (self.resolved.judge, self.judge)}
        return [
            f"{role:<11}{config.model}: tokens by {model.counter.source}; price: {model.price.source}"
            for role, (config, model) in models.items()
            if config is not None
        ]


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
    estimator = _Estimator(resolved)
    parts = estimator.parts()
    base = resolved.set_name
    sets = [base, *(control_set_name(control, base) for control in resolved.controls.values())]
    lines = [
        f"run        {run_id(resolved)}",
        f"subjects   {', '.join(resolved.subjects)}",
        f"features   {_features(resolved)}",
        f"sets       {', '.join(sets)}",
        f"examples   {_examples(resolved)}",
        *([] if resolved.scorers else ["scorers    none: explanations are written, and nothing is scored"]),
        *estimator.sources(),
        "",
        f"{'part':<28}{'units':>8}{'calls':>10}{'tokens in':>12}{'tokens out':>12}{'usd':>10}",
    ]
    lines += [_row(part) for part in parts]
    for role in (EXPLAINER, JUDGE):
        mine = [part for part in parts if part.role == role]
        if mine:
            lines.append(_row(_total(f"all of the {role}'s", mine)))
    lines.append(_row(_total("total", parts)))
    lines.append(
        "An estimate: windows and answers of usual length, every feature usable, no question asked twice. "
        "Answers already in the cache and finished units cost nothing."
    )
    return "\n".join(lines)


def _features(resolved: ResolvedRun) -> str:
    select = resolved.features.select
    if select == "all":
        # How many a source has is known once it is read, and a dry run reads nothing.
        return f"all of each source; the estimate is for {resolved.features.n} of each (features.n)"
    return f"{feature_count(resolved)} at most ({select})"


def _examples(resolved: ResolvedRun) -> str:
    examples = resolved.examples
    counts = f"{examples.score_activating} activating and {examples.score_non_activating} non-activating"
    sources = hard_sources(examples.negatives)
    given = shares(examples.negatives, examples.score_non_activating)
    mixed = f" ({', '.join(f'{given[source]} {source}' for source in (RANDOM, *sources))})" if sources else ""
    return f"{counts}{mixed} to score with per feature, windows of {examples.window_tokens} tokens"


def _part(name: str, role: str | None, units: int, one: ScorerEstimate, price: Price) -> RoleEstimate:
    """Return what ``units`` times ``one`` takes."""
    tokens = (units * one.input_tokens, units * one.output_tokens)
    usd = 0.0 if role is None else price.usd(*tokens)
    return RoleEstimate(name, role, units, units * one.calls, *tokens, usd)


def _total(name: str, parts: Sequence[RoleEstimate]) -> RoleEstimate:
    prices = [part.usd for part in parts]
    return RoleEstimate(
        part=name,
        role=None,
        units=sum(part.units for part in parts),
        calls=sum(part.calls for part in parts),
        input_tokens=sum(part.input_tokens for part in parts),
        output_tokens=sum(part.output_tokens for part in parts),
        usd=None if None in prices else sum(price for price in prices if price is not None),
    )


def _row(part: RoleEstimate) -> str:
    price = "unknown" if part.usd is None else f"{part.usd:.2f}"
    counts = f"{part.units:>8,}{part.calls:>10,}{part.input_tokens:>12,}{part.output_tokens:>12,}"
    return f"{part.part:<28}{counts}{price:>10}"
