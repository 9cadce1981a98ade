"""Whether the values of a run make sense by themselves and together, before anything is loaded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from harness.config.example_counts import check_example_counts
from harness.config.sizes import size_in_bytes
from harness.errors import ConfigError, UnknownNameError
from harness.examples.checks import check_examples
from harness.examples.negative_sources import BY_DIRECTION, DECODER, hard_sources
from harness.examples.select import SELECTIONS
from harness.examples.where import Condition
from harness.llm.checks import check_llm
from harness.llm.diagnosis import Place
from harness.scoring.protocol import Need

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.config.resolved import ResolvedRun
    from harness.config.schema import BudgetConfig, CorpusTokens, ExecutionConfig, FeaturesConfig, MemoryConfig
    from harness.registry.specs import ExplainerSpec

__all__ = ["check_name", "check_run", "no_directions", "reads_only"]

BOS_POLICIES = ("none", "prepend")
_LEAST_MEMORY = 384_000_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_NAME_HINT = "letters, digits, '_', '.' and '-', not beginning with a sign, at most 128"


def check_name(name: str, where: str) -> None:
    """Check the name of a run, subject, scorer or control: it becomes a part of paths and tables.

    Raises:
        ConfigError: If it holds anything but letters, digits, ``_``, ``.`` and ``-``, or begins with a sign.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"'{name}' cannot be a name", where=where, hint=_NAME_HINT)


def check_run(run: ResolvedRun) -> None:
    """Check the values of a run.

    Raises:
        ConfigError: If one is out of its range, is no name that exists, or contradicts another.
    """
    check_name(run.name, "name")
    check_examples(run.examples)
    _check_corpus(run.corpus_tokens)
    _check_features(run.features)
    _check_execution(run.execution)
    _check_memory(run.memory)
    _check_budget(run.budget)
    _check_writing(run)
    _check_directions(run)
    check_example_counts(run)
    # Before a manifest holds the configuration: what looks like a credential must not get that far.
    for role, config in (("explainer", run.explainer_llm), ("judge", run.judge)):
        if config is not None:
            check_llm(config, Place.of(config, role))
    if run.examples.window_tokens > run.corpus_tokens.context_length:
        raise ConfigError(
            f"windows of {run.examples.window_tokens} tokens do not fit into contexts of "
            f"{run.corpus_tokens.context_length}",
            where="examples.window_tokens",
            hint="a smaller window, or a larger corpus.context_length",
        )
    spec = cast("ExplainerSpec", run.explainer.registered.spec)
    if spec.needs_silent and run.examples.explain_non_activating < 1:
        raise ConfigError(
            f"explainer '{spec.name}' compares with silent windows, and the explain half gets none",
            where="examples.explain_non_activating",
            hint="examples.explain_non_activating=10",
        )
    if run.set_name in run.controls:
        raise ConfigError(
            f"the explanation set and a control are both named '{run.set_name}'",
            where="controls",
            hint="leave the control out, or give explainer.set_name=...",
        )


def reads_only(scorer: str, subject: str) -> ConfigError:
    """Return the error of a scorer that changes features, in a run with a subject whose features can only be read."""
    return ConfigError(
        f"the scorer changes features, and those of subject '{subject}' can only be read",
        where=f"scorers.{scorer}",
        hint="leave out the scorer or the subject",
    )


def no_directions(source: str, subject: str) -> ConfigError:
    """Return the error of negatives by direction, in a run with a subject whose features have no such directions."""
    verb = "write" if source == DECODER else "are read along"
    return ConfigError(
        f"negatives of this source compare directions, and the features of subject '{subject}' {verb} none",
        where=f"examples.negatives.{source}",
        hint=f"examples.negatives.{source}=0, and cooccurring or similar instead",
    )


def _check_writing(run: ResolvedRun) -> None:
    needs: dict[str, Any] = {name: plugin.registered.spec for name, plugin in run.scorers.items()}
    kinds: dict[str, Any] = {name: plugin.registered.spec for name, plugin in run.subjects.items()}
    for scorer, spec in needs.items():
        for subject, kind in kinds.items():
            if Need.WRITES in spec.needs and not kind.writes:
                raise reads_only(scorer, subject)


def _check_directions(run: ResolvedRun) -> None:
    kinds: dict[str, Any] = {name: plugin.registered.spec for name, plugin in run.subjects.items()}
    for source in hard_sources(run.examples.negatives):
        for subject, kind in kinds.items():
            if source in BY_DIRECTION and not kind.has_directions:
                raise no_directions(source, subject)


def _check_corpus(tokens: CorpusTokens) -> None:
    _at_least(vars(tokens), {"n_tokens": 1, "context_length": 1, "min_document_tokens": 1}, "corpus")
    if tokens.bos not in BOS_POLICIES:
        raise UnknownNameError("BOS policy", tokens.bos, BOS_POLICIES, where="corpus.bos")


def _check_features(features: FeaturesConfig) -> None:
    if features.select not in SELECTIONS:
        raise UnknownNameError("selection", features.select, SELECTIONS, where="features.select")
    _at_least(vars(features), {"n": 1, "start": 0}, "features")
    if features.strata is not None:
        _at_least(vars(features), {"strata": 2}, "features")
        if features.select != "sample":
            raise ConfigError("strata are of a sample", where="features.strata", hint="features.select=sample")
    if features.where is not None:
        Condition(features.where)
    if features.stop is not None and features.stop <= features.start:
        raise ConfigError(
            f"the range ends at {features.stop}, before it starts ({features.start})", where="features.stop"
        )
    if features.select == "list" and not features.ids:
        raise ConfigError("the list is empty", where="features.ids", hint="give 'features.ids=[12,77]'")
    if min(features.ids, default=0) < 0:
        raise ConfigError(f"there is no feature {min(features.ids)}", where="features.ids", hint="count from 0")
    doubled = sorted({feature for feature in features.ids if features.ids.count(feature) > 1})
    if doubled:
        raise ConfigError(f"feature {doubled[0]} is named more than once", where="features.ids")


def _check_execution(execution: ExecutionConfig) -> None:
    least = {"collect_batch_tokens": 1}
    if execution.unit_concurrency is not None:
        least["unit_concurrency"] = 1
    if execution.record_processes is not None:
        least["record_processes"] = 1
    _at_least(vars(execution), least, "execution")
    if not 0 <= execution.max_failed_share <= 1:
        raise ConfigError(f"must be from 0 to 1, and is {execution.max_failed_share:g}", where="execution")


def _check_budget(budget: BudgetConfig) -> None:
    for name, limit in vars(budget).items():
        if limit is not None and not limit > 0:
            raise ConfigError(f"a budget of {limit:g} allows nothing", where=f"budget.{name}", hint="null for no limit")


def _check_memory(memory: MemoryConfig) -> None:
    if (size := size_in_bytes(memory.budget, "memory.budget")) < _LEAST_MEMORY:
        raise ConfigError(f"{size:,} bytes are too few to work with", where="memory.budget", hint="at least 384MB")


def _at_least(values: Mapping[str, int], least: Mapping[str, int], where: str) -> None:
    for name, smallest in least.items():
        if values[name] < smallest:
            raise ConfigError(f"must be at least {smallest}, and is {values[name]}", where=f"{where}.{name}")
