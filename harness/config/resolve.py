"""From a composed configuration to a frozen run: every plugin looked up, every parameter in its own dataclass."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from harness.config.checks import check_name, check_run
from harness.config.feature_file import listed_features
from harness.config.guard import refuse_targets
from harness.config.parameters import OF_THE_HARNESS, parameters, said, unknown_key
from harness.config.resolved import ResolvedPlugin, ResolvedRun
from harness.config.schema import (
    BudgetConfig,
    CorpusTokens,
    EmbedderConfig,
    ExamplesConfig,
    ExecutionConfig,
    FeaturesConfig,
    LLMConfig,
    MemoryConfig,
    PathsConfig,
    RunConfig,
)
from harness.errors import ConfigError, PluginError
from harness.examples.negative_sources import uses_embedder
from harness.registry.kinds import kind_named
from harness.scoring.protocol import Need

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.registry.catalogue import Catalogue
    from harness.registry.specs import ExplainerSpec, ScorerSpec

__all__ = ["ResolvedPlugin", "ResolvedRun", "resolve_run"]

T = TypeVar("T")

_SCALARS = ("name", "seed", "debug")


def resolve_run(config: DictConfig | RunConfig, catalogue: Catalogue) -> ResolvedRun:
    """Return the run that a composed configuration describes.

    Subjects, scorers and controls come out in order of name, so that a run is the same in whatever order they were
    given. What nothing needs (judge, embedder) is left out, so that it does not make a run a different one.

    Raises:
        ConfigError: If a key is unknown, a value is missing, of the wrong type or out of range, a name cannot be one, a
            scorer's need is not met, or there is a ``_target_`` anywhere.
        PluginError: If a plugin is broken or switched off.
        UnknownNameError: If a plugin does not exist.
    """
    given = _plain(config)
    refuse_targets(given)
    for key in given:
        if key not in _fields(RunConfig):
            raise unknown_key(key, _fields(RunConfig), "")
    scalars = parameters(RunConfig, {key: given[key] for key in _SCALARS if key in given}, "")
    subjects = _plugins(given, "subject", catalogue)
    if not subjects:
        raise ConfigError("no subject is chosen", where="subject", hint="for instance subject=demo_sae")
    corpus, tokens = _corpus(_mapping(given, "corpus"), catalogue)
    explainer, llm, set_name = _explainer(_mapping(given, "explainer"), catalogue)
    scorers = _plugins(given, "scorer", catalogue)
    examples = parameters(ExamplesConfig, _mapping(given, "examples"), "examples")
    others = ["examples.negatives.similar"] if uses_embedder(examples.negatives) else []
    run = ResolvedRun(
        name=scalars.name,
        seed=scalars.seed,
        subjects=subjects,
        corpus=corpus,
        corpus_tokens=tokens,
        examples=examples,
        features=listed_features(parameters(FeaturesConfig, _mapping(given, "features"), "features")),
        explainer=explainer,
        explainer_llm=llm,
        set_name=set_name,
        judge=_needed(given, LLMConfig, Need.JUDGE, scorers),
        embedder=_needed(given, EmbedderConfig, Need.EMBEDDER, scorers, others),
        scorers=scorers,
        controls=_plugins(given, "control", catalogue),
        paths=parameters(PathsConfig, _mapping(given, "paths"), "paths"),
        execution=parameters(ExecutionConfig, _mapping(given, "execution"), "execution"),
        budget=parameters(BudgetConfig, _mapping(given, "budget"), "budget"),
        memory=parameters(MemoryConfig, _mapping(given, "memory"), "memory"),
        debug=scalars.debug,
    )
    check_run(run)
    return run


def _plain(config: DictConfig | RunConfig) -> dict[str, Any]:
    """Return a configuration as plain data with its references filled in; what is missing stays ``???``."""
    composed = config if isinstance(config, DictConfig) else OmegaConf.structured(config)
    try:
        return cast("dict[str, Any]", OmegaConf.to_container(composed, resolve=True, throw_on_missing=False))
    except OmegaConfBaseException as error:
        raise ConfigError(said(error), where=error.full_key or None) from error


def _mapping(given: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = given.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        hint = f"choose an option with {key}=NAME, change a value with {key}.KEY=VALUE"
        raise ConfigError(f"'{value}' is no set of values", where=key, hint=hint)
    return value


def _plugins(given: Mapping[str, Any], kind: str, catalogue: Catalogue) -> dict[str, ResolvedPlugin]:
    group = kind_named(kind).group
    plugins = {}
    for name, values in sorted(_mapping(given, group).items()):
        check_name(name, group)
        plugins[name] = _plugin(name, values, kind, f"{group}.{name}", catalogue)
    return plugins


def _plugin(name: str, values: Any, kind: str, where: str, catalogue: Catalogue) -> ResolvedPlugin:
    if not isinstance(values, dict) or not isinstance(values.get("plugin"), str):
        names = ", ".join(catalogue.names(kind))
        raise ConfigError("no plugin is named here", where=where, hint=f"{where}.plugin=NAME, of {names or '(none)'}")
    registered = catalogue.get(kind, values["plugin"], where=f"{where}.plugin")
    config_type = registered.spec.resolve_config()
    reserved = {"plugin", "version", *OF_THE_HARNESS.get(kind, ())}
    clash = sorted(reserved & set(_fields(config_type)))
    if clash:
        message = f"parameter '{clash[0]}' of {kind} '{registered.spec.name}' has a name the harness uses itself"
        raise PluginError(message, where=where, hint=f"ask the authors of {registered.distribution} to rename it")
    rest = {key: value for key, value in values.items() if key != "plugin"}
    return ResolvedPlugin(name, registered, parameters(config_type, rest, where))


def _corpus(values: Mapping[str, Any], catalogue: Catalogue) -> tuple[ResolvedPlugin, CorpusTokens]:
    tokens = parameters(
        CorpusTokens, {key: value for key, value in values.items() if key in OF_THE_HARNESS["corpus"]}, "corpus"
    )
    rest = {key: value for key, value in values.items() if key not in OF_THE_HARNESS["corpus"]}
    return _plugin("corpus", rest, "corpus", "corpus", catalogue), tokens


def _explainer(values: Mapping[str, Any], catalogue: Catalogue) -> tuple[ResolvedPlugin, LLMConfig | None, str]:
    rest = {key: value for key, value in values.items() if key not in OF_THE_HARNESS["explainer"]}
    explainer = _plugin("explainer", rest, "explainer", "explainer", catalogue)
    spec = cast("ExplainerSpec", explainer.registered.spec)
    llm = None
    if spec.needs_llm:
        if not values.get("llm"):
            message = f"explainer '{spec.name}' needs a language model"
            raise ConfigError(message, where="explainer.llm", hint="+llm@explainer.llm=local")
        llm = parameters(LLMConfig, _mapping(values, "llm"), "explainer.llm")
    if values.get("set_name") is not None:
        set_name = str(values["set_name"])
        check_name(set_name, "explainer.set_name")
    else:
        set_name = f"{spec.name}/{llm.model.rpartition('/')[2]}" if llm else spec.name
    return explainer, llm, set_name


def _needed(
    given: Mapping[str, Any],
    config_type: type[T],
    need: Need,
    scorers: Mapping[str, ResolvedPlugin],
    others: Sequence[str] = (),
) -> T | None:
    """Return the configuration of what scorers, and whatever else is named, need; None if nothing needs it."""
    specs = {name: cast("ScorerSpec", scorer.registered.spec) for name, scorer in scorers.items()}
    users = [*(f"scorer '{name}'" for name, spec in specs.items() if need in spec.needs), *others]
    if not users:
        return None
    values = _mapping(given, need.value)
    if not values:
        article = "an" if need is Need.EMBEDDER else "a"
        message = f"{users[0]} needs {article} {need.value}, and none is configured"
        raise ConfigError(message, where=need.value, hint=f"choose one with {need.value}=NAME (`harness list configs`)")
    return parameters(config_type, values, need.value)


def _fields(config_type: Any) -> list[str]:
    return [found.name for found in dataclasses.fields(config_type)] if dataclasses.is_dataclass(config_type) else []
