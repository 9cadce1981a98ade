"""The verb ``show``."""

from __future__ import annotations

import dataclasses
import inspect
from typing import TYPE_CHECKING, Any, get_type_hints

from harness.cli.kinds import SHOWABLE, disabled_plugins
from harness.cli.output import warn_of_broken, write, write_json, write_table
from harness.config.parameters import parameters
from harness.config.schema import ExamplesConfig
from harness.errors import HarnessError, PluginError
from harness.identity import plain
from harness.registry.catalogue import load_catalogue
from harness.scoring.protocol import ExampleShape

if TYPE_CHECKING:
    import argparse

    from harness.registry.catalogue import Registered
    from harness.registry.specs import ScorerSpec, Spec
    from harness.scoring.protocol import Scorer

__all__ = ["show"]


def show(arguments: argparse.Namespace) -> int:
    """Show everything known of one registered thing; return the exit code."""
    kind = SHOWABLE[arguments.kind]
    catalogue = load_catalogue(disabled_plugins(arguments.plugins))
    warn_of_broken(catalogue)
    registered = catalogue.get(kind, arguments.name)
    facts = _facts(arguments.kind, registered)
    if arguments.json:
        write_json(facts)
    else:
        _write(arguments.kind, facts)
    return 0


def _facts(kind: str, registered: Registered[Spec]) -> dict[str, Any]:
    spec: Any = registered.spec
    config = spec.resolve_config()
    facts: dict[str, Any] = {
        "name": spec.name,
        "summary": spec.summary,
        "version": spec.version,
        "distribution": registered.distribution,
        "distribution_version": registered.version,
        "citation": spec.citation,
        "requires_extra": spec.requires_extra,
        "description": inspect.getdoc(config) or "",
        "parameters": _parameters(config),
    }
    if kind == "scorer":
        facts |= {"definition": _definition(spec), "primary_metric": spec.primary_metric, "cost": _cost(spec)}
    for name in ("metrics", "primary_metric", "needs", "needs_llm", "rank"):
        if hasattr(spec, name):
            facts[name] = plain(getattr(spec, name))
    return facts


def _definition(spec: ScorerSpec) -> str:
    """Return what a scorer says of itself, or "" where it cannot be loaded (an extra that is not installed)."""
    try:
        return inspect.getdoc(spec.resolve_factory()) or ""
    except PluginError:
        return ""


def _cost(spec: ScorerSpec) -> dict[str, Any] | None:
    """Return what one explanation takes at the default examples and parameters; None where that cannot be said."""
    examples = ExamplesConfig()
    shape = ExampleShape(examples.score_activating, examples.score_non_activating, examples.window_tokens)
    try:
        scorer: Scorer = spec.resolve_factory()(parameters(spec.resolve_config(), {}, spec.name))
    except HarnessError:
        return None
    asked = dataclasses.asdict(scorer.estimate(shape))
    given = {
        "activating_windows": shape.n_activating,
        "silent_windows": shape.n_non_activating,
        "window_tokens": shape.window_tokens,
        "explanation_tokens": shape.explanation_tokens,
    }
    return {**asked, **given}


def _parameters(config: type, prefix: str = "") -> list[dict[str, Any]]:
    """Return the parameters of a dataclass, nested ones by their dotted name."""
    hints = get_type_hints(config)
    found = []
    for parameter in dataclasses.fields(config):
        kind = hints[parameter.name]
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            found += _parameters(kind, f"{prefix}{parameter.name}.")
            continue
        default: Any = "???"
        if parameter.default is not dataclasses.MISSING:
            default = parameter.default
        elif parameter.default_factory is not dataclasses.MISSING:
            default = parameter.default_factory()
        name = kind.__name__ if isinstance(kind, type) else str(kind)
        found.append({"name": f"{prefix}{parameter.name}", "type": name, "default": plain(default)})
    return found


def _write(kind: str, facts: dict[str, Any]) -> None:
    write(f"{kind} {facts['name']} (version {facts['version']}): {facts['summary']}")
    write(f"from      {facts['distribution']} {facts['distribution_version']}")
    if facts["citation"]:
        write(f"citation  {facts['citation']}")
    if facts["requires_extra"]:
        write(f"needs the extra  {facts['requires_extra']}")
    if "needs" in facts:
        write(f"needs     {', '.join(facts['needs']) or 'nothing'}")
    if "rank" in facts:
        write(f"rank      {facts['rank']}")
    if facts.get("cost"):
        write(f"cost      {_cost_line(facts['cost'])}")
    if facts.get("definition"):
        write(f"\n{facts['definition']}")
    if facts["description"]:
        write(f"\n{facts['description']}")
    if facts["parameters"]:
        write("")
        rows = [
            (p["name"], p["type"], "(needed)" if p["default"] == "???" else str(p["default"]))
            for p in facts["parameters"]
        ]
        write_table(("parameter", "type", "default"), rows)
    if "metrics" in facts:
        write("")
        write_table(("metric", "range", "chance", "better", "what"), [_metric(m, facts) for m in facts["metrics"]])


def _cost_line(cost: dict[str, Any]) -> str:
    windows = f"{cost['activating_windows']} + {cost['silent_windows']} windows of {cost['window_tokens']} tokens"
    if not cost["calls"]:
        return f"no question to a judge ({windows})"
    tokens = f"{cost['input_tokens']:,} tokens read, {cost['output_tokens']:,} written"
    return f"about {cost['calls']} questions an explanation, {tokens} ({windows})"


def _metric(metric: dict[str, Any], facts: dict[str, Any]) -> tuple[str, ...]:
    primary = " *" if metric["name"] == facts["primary_metric"] else ""
    chance = "none" if metric["chance"] is None else f"{metric['chance']:g}"
    better = "higher" if metric["higher_is_better"] else "lower"
    low, high = ("none" if metric[end] is None else f"{metric[end]:g}" for end in ("low", "high"))
    bounds = "unbounded" if low == high == "none" else f"{low} .. {high}"
    return (f"{metric['name']}{primary}", bounds, chance, better, metric["description"])
