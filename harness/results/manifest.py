"""The manifest of a run: what was run, with what, how it went and what it cost. One JSON file, replaced as a whole."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from harness._version import __version__
from harness.errors import ResultsError
from harness.results.codec import InvalidRecordError, encode, parse
from harness.results.files import write_whole
from harness.results.records import SCHEMA_VERSION, UsageLine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = [
    "LIBRARIES",
    "CapabilityFacts",
    "Charge",
    "Counts",
    "ExplanationSetFacts",
    "Manifest",
    "MetricFacts",
    "PluginVersion",
    "PriceFacts",
    "RoleUsage",
    "ScorerFacts",
    "Versions",
    "collect_versions",
    "host_free",
    "read_manifest",
    "write_manifest",
]

LIBRARIES = (
    "datasets",
    "gguf",
    "hydra-core",
    "jsonschema",
    "litellm",
    "numpy",
    "omegaconf",
    "pluggy",
    "safetensors",
    "scipy",
    "tokenizers",
    "torch",
    "transformers",
    "xllamacpp",
)
"""Distributions whose versions can change a number, or explain why one changed."""


@dataclass(frozen=True, kw_only=True)
class PluginVersion:
    """Where a plugin came from. ``distribution`` and ``version`` are None for one that no distribution owns."""

    distribution: str | None
    version: str | None


@dataclass(frozen=True, kw_only=True)
class Versions:
    """The software a run was made with. ``libraries`` names only those installed."""

    harness: str
    python: str
    plugins: dict[str, PluginVersion] = field(default_factory=dict)
    libraries: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RoleUsage:
    """What one role (``explainer``, ``judge``) took.

    ``answers`` is the usage of all answers in the run's records, wherever they came from, and does not depend on the
    state of a cache. ``billed`` and ``from_cache`` are what the processes that made the run paid for and did not.
    """

    answers: UsageLine = field(default_factory=UsageLine)
    billed: UsageLine = field(default_factory=UsageLine)
    from_cache: UsageLine = field(default_factory=UsageLine)
    cached_input_tokens: int = 0
    failed_attempts: int = 0


@dataclass(frozen=True, kw_only=True)
class Charge:
    """What was charged to a run's budget: answers, and the most that calls without one may have been billed.

    ``usd`` is None where the price of an endpoint was unknown.
    """

    tokens: int = 0
    usd: float | None = 0.0


@dataclass(frozen=True, kw_only=True)
class PriceFacts:
    """What one role's tokens cost, in US dollars per million; None where unknown.

    ``source`` is ``config``, ``litellm table`` (whose digest is ``table_sha256``; litellm's version is among the
    libraries), ``free`` for a model run by the user, or ``unknown``. ``cached_input_usd_per_mtok`` is for prompt tokens
    that the endpoint had in its own cache; None where they cost like any other.
    """

    input_usd_per_mtok: float | None = None
    output_usd_per_mtok: float | None = None
    cached_input_usd_per_mtok: float | None = None
    source: str = "unknown"
    table_sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class CapabilityFacts:
    """What one role's endpoint can do. ``seeds`` and ``context_tokens`` are None where that was not found out."""

    json_schema: bool = False
    choices: bool = False
    logprobs: bool = False
    prompt_logprobs: bool = False
    seeds: bool | None = None
    context_tokens: int | None = None


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Units of a run: ``total`` planned, ``done``, ``failed`` with an error, ``skipped`` for want of an explanation."""

    total: int = 0
    done: int = 0
    failed: int = 0
    skipped: int = 0


@dataclass(frozen=True, kw_only=True)
class MetricFacts:
    """One metric of a scorer.

    ``low``/``high`` None: unbounded on that side; ``chance`` None: there is none. ``published`` is as the plugin
    declares it; False as well in runs of before it was recorded.
    """

    name: str
    low: float | None = 0.0
    high: float | None = 1.0
    chance: float | None = None
    higher_is_better: bool = True
    published: bool = False


@dataclass(frozen=True, kw_only=True)
class ScorerFacts:
    """One scorer of a run.

    ``judge`` is the name to show for its judge, None if it asks none. ``fidelity`` (``input``, ``output`` or None) and
    ``aspect`` (one of FADE's four or None) are as the plugin declares them; None as well in runs of before they were
    recorded.
    """

    plugin: str
    version: int
    metrics: list[MetricFacts]
    primary_metric: str
    judge: str | None = None
    fidelity: str | None = None
    aspect: str | None = None


@dataclass(frozen=True, kw_only=True)
class ExplanationSetFacts:
    """One explanation set of a run. ``control`` is the control's name, None for a real set."""

    control: str | None = None
    explainer: str | None = None
    explainer_model: str | None = None


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """manifest.json. Holds no key, no environment and, as far as the configuration allows, no path of a machine.

    Attributes:
        run_id: Name of the run's folder.
        name: Name given by the user.
        status: ``running``, ``success``, ``partial`` (some of it failed), ``failed`` (nothing came of it, or an error
            ended it) or ``stopped`` (a budget or the user ended it; the same command goes on).
        config: The resolved configuration.
        settings: What of the configuration changes no number: pace and prices of the models, execution, budget.
        config_sha256: Its digest.
        versions: Software.
        models: Identity of every model, by role (``explainer``, ``judge``, ``embedder``, ``subject:NAME``).
        seeds: Root seed and whatever else was seeded, by purpose.
        started: Time of the first start, ISO 8601 in UTC.
        finished: Time of the end, likewise; None while running.
        timings: Seconds per stage, of all processes that worked on the run.
        usage: Usage per role.
        charged: What was charged to the budget, by all processes and roles; None in manifests of before it was noted.
        prices: What tokens cost, per role that asked anything.
        capabilities: What each of these roles' endpoints can do.
        counts: Units by fate.
        subjects: Protocol facts of every subject (identity, corpus and store fingerprints, what was dropped).
        protocols: What each protocol fingerprint of ``scores.jsonl`` is the fingerprint of.
        explanation_sets: The real set and the controls, by name.
        scorers: The scorers, by the name they have in ``scores.jsonl``.
        error: Why the run stopped before its end, if it did.
    """

    run_id: str
    name: str
    status: str = field(metadata={"enum": ("running", "success", "partial", "failed", "stopped")})
    config: dict[str, Any]
    config_sha256: str
    versions: Versions
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    seeds: dict[str, int] = field(default_factory=dict)
    started: str | None = None
    finished: str | None = None
    timings: dict[str, float] = field(default_factory=dict)
    usage: dict[str, RoleUsage] = field(default_factory=dict)
    charged: Charge | None = None
    prices: dict[str, PriceFacts] = field(default_factory=dict)
    capabilities: dict[str, CapabilityFacts] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)
    subjects: dict[str, dict[str, Any]] = field(default_factory=dict)
    protocols: dict[str, dict[str, Any]] = field(default_factory=dict)
    explanation_sets: dict[str, ExplanationSetFacts] = field(default_factory=dict)
    scorers: dict[str, ScorerFacts] = field(default_factory=dict)
    error: str | None = None
    schema_version: int = SCHEMA_VERSION


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Replace the manifest at ``path`` by ``manifest``, indented for the reader; readers see the old one or the new.

    Raises:
        ResultsError: If the manifest is not valid or the file cannot be written.
    """
    try:
        text = encode(manifest, indent=2)
    except InvalidRecordError as error:
        raise ResultsError(f"not a valid manifest: {error}", where=str(path)) from error
    write_whole(path, [text, "\n"])


def read_manifest(path: Path) -> Manifest:
    """Return the manifest at ``path``.

    Raises:
        ResultsError: If there is none, it cannot be read, is not valid, or a newer harness wrote it.
    """
    try:
        return parse(Manifest, path.read_bytes())
    except FileNotFoundError as error:
        raise ResultsError("there is no manifest here", where=str(path), hint="name the folder of a run") from error
    except OSError as error:
        raise ResultsError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except InvalidRecordError as error:
        raise ResultsError(f"not a valid manifest: {error}", where=str(path)) from error


def collect_versions(plugins: Mapping[str, PluginVersion]) -> Versions:
    """Return the versions of the harness, Python, the given plugins and the installed ones of ``LIBRARIES``.

    Versions come from the installed metadata; no library is imported.
    """
    libraries = {}
    for name in LIBRARIES:
        try:
            libraries[name] = version(name)
        except PackageNotFoundError:
            continue
    return Versions(harness=__version__, python=platform.python_version(), plugins=dict(plugins), libraries=libraries)


def host_free(value: Any, roots: Mapping[str, Path]) -> Any:
    """Return JSON data with the folders of this machine replaced by names.

    Args:
        value: JSON data, for instance a resolved configuration.
        roots: The name to write for each folder, for instance ``{"$CACHE": cache, "~": Path.home()}``. The longest
            folder that a text starts with is the one replaced.
    """
    if isinstance(value, dict):
        return {key: host_free(item, roots) for key, item in value.items()}
    if isinstance(value, list):
        return [host_free(item, roots) for item in value]
    if isinstance(value, str):
        for name, root in sorted(roots.items(), key=lambda pair: -len(str(pair[1]))):
            prefix = str(root).rstrip("/")
            if prefix and (value == prefix or value.startswith(prefix + "/")):
                return name + value[len(prefix) :]
    return value
