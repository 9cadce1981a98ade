"""From a composed configuration to a frozen run: every plugin looked up, every parameter in its own dataclass."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, MissingMandatoryValue, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from harness.config.guard import refuse_targets
from harness.config.schema import (
    CorpusTokens,
    EmbedderConfig,
    ExamplesConfig,
    ExecutionConfig,
    FeaturesConfig,
    LLMConfig,
    PathsConfig,
    RunConfig,
)
from harness.errors import ConfigError, closest
from harness.identity import fingerprint, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.registry.catalogue import Catalogue, Registered
    from harness.registry.specs import Spec

__all__ = ["ResolvedPlugin", "ResolvedRun", "resolve_run"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SETTINGS_OF_A_MACHINE = frozenset({"concurrency", "timeout_s", "max_retries", "slots", "threads", "device"})
"""LLM and embedder settings that change how fast an answer comes, not what it is."""


@dataclass(frozen=True)
class ResolvedPlugin:
    """A plugin as a run uses it: the name it has in this run, what is registered, its parameters."""

    name: str
    registered: Registered[Spec]
    config: Any

    def plain(self) -> dict[str, Any]:
        """Return plugin, version and parameters as plain data."""
        spec = self.registered.spec
        return {"plugin": spec.name, "version": spec.version, **plain(self.config)}


@dataclass(frozen=True)
class ResolvedRun:
    """A run, ready to be executed. ``judge`` and ``embedder`` are None where no scorer needs them."""

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

    def plain(self) -> dict[str, Any]:
        """Return everything that can change a number as plain data: no paths of results, no concurrency."""
        return {
            "name": self.name,
            "seed": self.seed,
            "subject": {name: subject.plain() for name, subject in self.subjects.items()},
            "corpus": {**self.corpus.plain(), **plain(self.corpus_tokens)},
            "examples": plain(self.examples),
            "features": plain(self.features),
            "explainer": {**self.explainer.plain(), "llm": _portable(self.explainer_llm), "set_name": self.set_name},
            "judge": _portable(self.judge),
            "embedder": _portable(self.embedder),
            "scorers": {name: scorer.plain() for name, scorer in self.scorers.items()},
            "controls": {name: control.plain() for name, control in self.controls.items()},
        }

    @cached_property
    def config_sha256(self) -> str:
        """Return the digest of ``plain()``."""
        return fingerprint(self.plain(), length=64)


def resolve_run(config: DictConfig | RunConfig, catalogue: Catalogue) -> ResolvedRun:
    """Return the run that a composed configuration describes.

    Raises:
        ConfigError: If a key is unknown, a value is missing or of the wrong type, or a scorer's need is not met.
        PluginError: If a plugin is broken or switched off.
        UnknownNameError: If a plugin does not exist.
    """
    composed: Any = config if isinstance(config, DictConfig) else OmegaConf.structured(config)
    refuse_targets(OmegaConf.to_container(composed, resolve=False))
    run = _as_object(composed, "")
    if not _NAME.fullmatch(run.name):
        raise ConfigError(f"'{run.name}' cannot be the name of a run", where="name", hint="use letters, digits, '_', '.', '-'")
    subjects = _plugins(run.subject, "subjects", "subject", catalogue)
    if not subjects:
        raise ConfigError("no subject is chosen", where="subject", hint="for instance subject=demo_sae")
    corpus, tokens = _corpus(run.corpus, catalogue)
    explainer, llm, set_name = _explainer(run.explainer, catalogue)
    scorers = _plugins(run.scorers, "scorers", "scorers", catalogue)
    needs = {name: {str(need) for need in _needs(scorer)} for name, scorer in scorers.items()}
    return ResolvedRun(
        name=run.name,
        seed=run.seed,
        subjects=subjects,
        corpus=corpus,
        corpus_tokens=tokens,
        examples=run.examples,
        features=run.features,
        explainer=explainer,
        explainer_llm=llm,
        set_name=set_name,
        judge=_needed(run.judge, "judge", needs),
        embedder=_needed(run.embedder, "embedder", needs),
        scorers=scorers,
        controls=_plugins(run.controls, "controls", "controls", catalogue),
        paths=run.paths,
        execution=_checked_execution(run.execution),
    )


def _as_object(composed: DictConfig, where: str) -> Any:
    try:
        return OmegaConf.to_object(composed)
    except MissingMandatoryValue as error:
        key = getattr(error, "full_key", None) or where
        raise ConfigError("a value is needed", where=key, hint=f"give {key}=...") from error
    except OmegaConfBaseException as error:
        raise ConfigError(_said(error), where=getattr(error, "full_key", None) or where) from error


def _plugins(mapping: Mapping[str, Any], kind: str, group: str, catalogue: Catalogue) -> dict[str, ResolvedPlugin]:
    plugins = {}
    for name, params in mapping.items():
        where = f"{group}.{name}"
        if not _NAME.fullmatch(name):
            raise ConfigError(f"'{name}' cannot be a name", where=group, hint="use letters, digits, '_', '.', '-'")
        plugins[name] = _plugin(name, params, kind, where, catalogue)
    return plugins


def _plugin(name: str, params: Any, kind: str, where: str, catalogue: Catalogue) -> ResolvedPlugin:
    if not isinstance(params, dict) or not isinstance(params.get("plugin"), str):
        hint = f"for instance {where}.plugin={catalogue.names(kind)[0]}" if catalogue.names(kind) else None
        raise ConfigError("there is no plugin named here", where=where, hint=hint)
    registered = catalogue.get(kind, params["plugin"], where=f"{where}.plugin")
    given = {key: value for key, value in params.items() if key != "plugin"}
    return ResolvedPlugin(name, registered, _params(registered.spec.resolve_config(), given, where))


def _params(config_type: type, given: Mapping[str, Any], where: str) -> Any:
    """Return the parameters as an instance of a plugin's dataclass."""
    try:
        merged = OmegaConf.merge(OmegaConf.structured(config_type), dict(given))
    except ConfigKeyError as error:
        key = str(error.key) if error.key is not None else str(error.full_key)
        known = [found.name for found in dataclasses.fields(config_type)]
        near = closest(key, known)
        hint = f"did you mean {' or '.join(near)}?" if near else f"one of: {', '.join(known) or 'none, it has no parameters'}"
        raise ConfigError("there is no such parameter", where=f"{where}.{error.full_key or key}", hint=hint) from error
    except OmegaConfBaseException as error:
        raise ConfigError(_said(error), where=f"{where}.{error.full_key}" if error.full_key else where) from error
    missing = sorted(OmegaConf.missing_keys(merged))
    if missing:
        raise ConfigError("a value is needed", where=f"{where}.{missing[0]}", hint=f"give {where}.{missing[0]}=...")
    return OmegaConf.to_object(merged)


def _corpus(mapping: Mapping[str, Any], catalogue: Catalogue) -> tuple[ResolvedPlugin, CorpusTokens]:
    names = {found.name for found in dataclasses.fields(CorpusTokens)}
    tokens = _params(CorpusTokens, {key: value for key, value in mapping.items() if key in names}, "corpus")
    rest = {key: value for key, value in mapping.items() if key not in names}
    return _plugin("corpus", rest, "corpora", "corpus", catalogue), tokens


def _explainer(mapping: Mapping[str, Any], catalogue: Catalogue) -> tuple[ResolvedPlugin, LLMConfig | None, str]:
    rest = {key: value for key, value in mapping.items() if key not in {"llm", "set_name"}}
    explainer = _plugin("explainer", rest, "explainers", "explainer", catalogue)
    spec: Any = explainer.registered.spec
    llm = None
    if spec.needs_llm:
        if not mapping.get("llm"):
            raise ConfigError(
                f"explainer '{spec.name}' needs a language model", where="explainer.llm", hint="llm@explainer.llm=local"
            )
        llm = _params(LLMConfig, mapping["llm"], "explainer.llm")
    name = mapping.get("set_name") or (f"{spec.name}/{llm.model.rpartition('/')[2]}" if llm else spec.name)
    return explainer, llm, str(name)


def _needs(scorer: ResolvedPlugin) -> frozenset[Any]:
    spec: Any = scorer.registered.spec
    return frozenset(spec.needs)


def _needed(config: Any, resource: str, needs: Mapping[str, set[str]]) -> Any:
    """Return a resource's configuration if some scorer needs it, else None."""
    users = [name for name, wanted in needs.items() if resource in wanted]
    if not users:
        return None
    if config is None:
        raise ConfigError(
            f"scorer '{users[0]}' needs one, and none is configured", where=resource, hint=f"see conf/{resource}"
        )
    for found in dataclasses.fields(config):
        if getattr(config, found.name) == "???":
            raise ConfigError("a value is needed", where=f"{resource}.{found.name}", hint=f"give {resource}.{found.name}=...")
    return config


def _checked_execution(execution: ExecutionConfig) -> ExecutionConfig:
    for key in ("unit_concurrency", "collect_batch_tokens"):
        if getattr(execution, key) < 1:
            raise ConfigError("must be at least 1", where=f"execution.{key}")
    return execution


def _portable(config: Any) -> dict[str, Any] | None:
    if config is None:
        return None
    return {key: value for key, value in plain(config).items() if key not in _SETTINGS_OF_A_MACHINE}


def _said(error: OmegaConfBaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
