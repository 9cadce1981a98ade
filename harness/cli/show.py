"""The verb ``show``."""

from __future__ import annotations

import dataclasses
import inspect
from typing import TYPE_CHECKING, Any, get_type_hints

from harness.cli.kinds import SHOWABLE, disabled_plugins
from harness.cli.output import warn_of_broken, write, write_json, write_table
from harness.config.options import list_options
from harness.config.parameters import parameters
from harness.config.schema import ExamplesConfig
from harness.errors import ConfigError, HarnessError, PluginError, UnknownNameError
from harness.identity import plain
from harness.registry.catalogue import load_catalogue
from harness.registry.kinds import kind_named
from harness.scoring.protocol import ExampleShape, Need

if TYPE_CHECKING:
    import argparse

    from harness.registry.catalogue import Catalogue, Registered
    from harness.registry.specs import ScorerSpec, Spec
    from harness.scoring.protocol import Scorer

__all__ = ["show"]


def show(arguments: argparse.Namespace) -> int:
    """Show everything known of one registered thing; return the exit code.

    Raises:
        ConfigError: If the name is that of a config option, which is shown by another verb.
        UnknownNameError: If nothing is called so.
    """
    kind = SHOWABLE[arguments.kind]
    catalogue = load_catalogue(disabled_plugins(arguments.plugins))
    warn_of_broken(catalogue)
    try:
        registered = catalogue.get(kind, arguments.name)
    except UnknownNameError as error:
        raise _of_option(kind, arguments.name, catalogue) or error from None
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
    for name in ("metrics", "primary_metric", "needs", "judge_reports", "fidelity", "aspect", "needs_llm", "rank"):
        if hasattr(spec, name):
            facts[name] = plain(getattr(spec, name))
    return facts


def _of_option(kind: str, name: str, catalogue: Catalogue) -> ConfigError | None:
    """Return what to say of a config option that sets parameters of something registered; None if there is none."""
    known = kind_named(kind)
    for option in list_options(catalogue):
        if (option.group, option.name) == (known.group, name):
            chosen = f"{known.group}=[{name}]" if known.group in {"scorers", "controls"} else f"{known.group}={name}"
            return ConfigError(
                f"'{name}' is a set of parameters of another {known.name}: {option.summary}",
                hint=f"harness run '{chosen}' --cfg job, which prints them",
            )
    return None


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
    for label, said in _head(facts).items():
        if said:
            write(f"{label:<10}{said}")
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


def _head(facts: dict[str, Any]) -> dict[str, str | None]:
    """Return the short facts by what stands before them."""
    aspect = f" (FADE's {facts['aspect']})" if facts.get("aspect") else ""
    return {
        "from": f"{facts['distribution']} {facts['distribution_version']}",
        "citation": facts["citation"],
        "extra": facts["requires_extra"],
        "needs": _needs(facts) if "needs" in facts else None,
        "looks at": f"{facts['fidelity']}s{aspect}" if facts.get("fidelity") else None,
        "rank": facts.get("rank"),
        "cost": _cost_line(facts["cost"]) if facts.get("cost") else None,
    }


def _needs(facts: dict[str, Any]) -> str:
    """Return in words what a scorer needs."""
    reports = f" that reports {facts['judge_reports']}" if facts["judge_reports"] else ""
    writes = Need.WRITES in facts["needs"]
    words = {
        Need.JUDGE: f"a judge{reports}",
        Need.SUBJECT: f"the subject{', with features that can be changed' if writes else ''}",
        Need.EMBEDDER: "an embedder",
    }
    return "; ".join(said for need, said in words.items() if need in facts["needs"]) or "nothing"


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
    bounds = _bounds(metric["low"], metric["high"])
    return (f"{metric['name']}{primary}", bounds, chance, better, metric["description"])


def _bounds(low: float | None, high: float | None) -> str:
    if low is None:
        return "unbounded" if high is None else f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"{low:g} .. {high:g}"
