"""The verb ``features``: what a corpus shows of a subject's features, before anything is explained."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from harness.cli.kinds import disabled_plugins
from harness.cli.output import warn_of_broken, write, write_json, write_table
from harness.cli.progress import terminal_progress
from harness.errors import ConfigError, UnknownNameError
from harness.materials import cache_root
from harness.registry.catalogue import load_catalogue
from harness.text import for_terminal

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from harness.activations.facts import FeatureFacts
    from harness.runner.overview import Overview

__all__ = ["features", "with_subjects"]

_UNSCORED = ("scorers=[]", "controls=[]")
_NOT_A_CHOICE = "features.where"
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_TOKENS_SHOWN = 5
_TOKEN_WIDTH = 16
_WAYS = ("replaced", "reordered")  # what the words before a token were, the harder test first


def features(arguments: argparse.Namespace) -> int:
    """Show the features that the overrides choose; return the exit code.

    Raises:
        HarnessError: If the overrides describe no subjects, or something cannot be loaded.
    """
    catalogue = load_catalogue(disabled_plugins(arguments.plugins))
    warn_of_broken(catalogue)
    from harness.activations.facts import NUMBERS
    from harness.config.compose import compose_run
    from harness.config.resolve import resolve_run
    from harness.runner.overview import Wanted, overview

    if arguments.sort not in NUMBERS:
        raise UnknownNameError("fact", arguments.sort, NUMBERS, where="--sort")
    for option in ("top", "neighbours", "logits", "scrambled"):
        if getattr(arguments, option) < 0:
            raise ConfigError("must not be negative", where=f"--{option}")
    overrides = with_subjects(arguments.overrides)
    # Nothing is scored here, so that no judge is needed.
    resolved = resolve_run(compose_run([*overrides, *_UNSCORED], catalogue), catalogue)
    chooses = any(_chooses(override) for override in overrides)
    found = overview(
        resolved,
        cache_root(resolved.paths.cache),
        terminal_progress(),
        Wanted(arguments.neighbours, arguments.logits, arguments.scrambled),
        everything=not chooses,
    )
    if arguments.json:
        write_json([each.plain() for each in found])
        return 0
    for place, each in enumerate(found):
        if place:
            write("")
        _write_overview(each, arguments.sort, arguments.top)
    return 0


def with_subjects(overrides: Sequence[str]) -> list[str]:
    """Return the overrides with bare words as the choice of subjects: ``demo_sae`` as ``subject=demo_sae``.

    Raises:
        ConfigError: If subjects are also chosen by an override.
    """
    names = [override for override in overrides if "=" not in override and not override.startswith("~")]
    others = [override for override in overrides if override not in names]
    if not names:
        return others
    for name in names:
        if not _NAME.fullmatch(name):
            raise ConfigError(f"'{name}' is neither a subject's name nor KEY=VALUE", hint="harness list subjects")
    for override in others:
        if override.partition("=")[0].lstrip("+") == "subject":
            raise ConfigError(f"'{names[0]}' and '{override}' both choose subjects", hint="use one of the two ways")
    return [f"subject={names[0]}" if len(names) == 1 else f"subject=[{','.join(names)}]", *others]


def _chooses(override: str) -> bool:
    """Return whether an override says which features to look at; without one, all are looked at."""
    key = override.partition("=")[0].lstrip("+~")
    return key in {"features", "experiment"} or (key.startswith("features.") and key != _NOT_A_CHOICE)


def _write_overview(found: Overview, sort: str, top: int) -> None:
    flags = ", ".join(f"{count:,} {name}" for name, count in found.flagged.items() if count) or "none flagged"
    write(f"{for_terminal(found.subject)}: {found.n_features:,} features on {found.n_tokens:,} tokens")
    write(f"looked at {found.looked_at:,}: {flags}")
    chosen = sorted(found.features, key=lambda facts: _sort_key(facts, sort))
    shown = chosen[:top] if top else chosen
    if not shown:
        write("none of them meets the condition")
        return
    write("")
    header = ("feature", "density", "max", "mean", "token", "previous", "position", "unigram", "flags", "fires on")
    write_table(header, [_row(facts, found) for facts in shown])
    if len(shown) < len(chosen):
        write(f"... and {len(chosen) - len(shown):,} more (--top 0 shows all, --json all there is to say)")


def _sort_key(facts: FeatureFacts, sort: str) -> tuple[bool, float, int]:
    """Largest first, those without a value last; of equal ones the lower number first."""
    value = getattr(facts, sort)
    sign = 1.0 if sort == "feature" else -1.0
    return value is None, 0.0 if value is None else sign * float(value), facts.feature


def _row(facts: FeatureFacts, found: Overview) -> tuple[str, ...]:
    tokens = [_quoted(entry.text) for entry in facts.top_tokens[:_TOKENS_SHOWN]]
    more = found.more.get(facts.feature, {})
    parts = [" ".join(tokens)]
    for verb, key in (("promotes", "promoted_tokens"), ("suppresses", "suppressed_tokens")):
        if more.get(key):
            parts.append(f"{verb} " + " ".join(_quoted(text) for text in more[key][:_TOKENS_SHOWN]))
    if more.get("nearest_by_direction"):
        parts.append(f"like {_numbers(more['nearest_by_direction'], 'cosine')}")
    if more.get("nearest_by_tokens"):
        parts.append(f"with {_numbers(more['nearest_by_tokens'], 'jaccard')}")
    if more.get("scrambled"):
        parts.append(_left(more["scrambled"]))
    return (
        str(facts.feature),
        f"{facts.density:.2%}" if facts.density >= 1e-4 else f"{facts.density:.1e}",  # noqa: PLR2004 -- 0.01 %
        _number(facts.max),
        _number(facts.mean),
        _share(facts.token_share),
        _share(facts.previous_share),
        _share(facts.positional_share),
        _share(facts.unigram_share),
        " ".join(facts.flags),
        "; ".join(part for part in parts if part),
    )


def _numbers(neighbours: Sequence[dict[str, Any]], measure: str) -> str:
    return " ".join(f"{near['feature']} ({near[measure]:.2f})" for near in neighbours[:_TOKENS_SHOWN])


def _left(scrambled: dict[str, Any]) -> str:
    """Return what is left of the activations in scrambled contexts, with the ends of the interval in brackets."""
    ways = [way for way in _WAYS if scrambled[way]["share"]["mean"] is not None]
    shares = [scrambled[way]["share"] for way in ways]
    said = [
        f"{_share(share['mean'])} ({_share(share['low'])}-{_share(share['high'])}) {way}"
        for way, share in zip(ways, shares, strict=True)
    ]
    return f"keeps {', '.join(said)} of {scrambled['n']}" if said else ""


def _quoted(text: str) -> str:
    return repr(for_terminal(text, limit=_TOKEN_WIDTH))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"
