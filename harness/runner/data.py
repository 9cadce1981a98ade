"""The first stages of a run: corpus, activation stores and feature records of every subject."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from harness.activations.collect import StoreRequest, open_stores
from harness.activations.corpus import open_tokens
from harness.activations.facts import FactReader
from harness.activations.located import Locator
from harness.config.sizes import size_in_bytes
from harness.decoded import token_texts
from harness.examples.build import RecordBuilder
from harness.examples.select import NoUsableFeatureError, candidates, select_features
from harness.runner.negatives import Negatives, choosing_embedder, negatives_facts, split_by_silent
from harness.runner.records import RecordTask, building_on, processes_for
from harness.subjects.logit_weights import bottom_logit_tokens, top_logit_tokens
from harness.subjects.model import load_model, load_tokenizer, model_identity, require_bos
from harness.subjects.open_access import ModelAccess, model_thread
from harness.subjects.told_tokens import LOGIT_TOKENS, PROMOTED_LOOKED_AT, told_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path

    from harness.activations.corpus import TokenStore
    from harness.activations.store import ActivationStore
    from harness.config.resolve import ResolvedPlugin, ResolvedRun
    from harness.decoded import Decoder
    from harness.examples.ahead import Result
    from harness.examples.record import FeatureRecord, SkippedFeature
    from harness.progress import Progress
    from harness.subjects.model import SubjectModel
    from harness.subjects.protocol import FeatureSource

__all__ = ["ModelPool", "SubjectData", "opened", "prepare"]


@dataclass(frozen=True)
class SubjectData:
    """One subject with its feature records. ``activations`` is the fingerprint of its activation store."""

    name: str
    plugin: ResolvedPlugin
    activations: str
    examples: str
    records: tuple[FeatureRecord, ...]
    skipped: tuple[SkippedFeature, ...]
    facts: Mapping[str, Any]


class ModelPool:
    """Loads each subject model and each feature source at most once, and only when something needs it."""

    def __init__(self, cache: Path, progress: Progress) -> None:
        self._cache = cache
        self._progress = progress
        self._models: dict[str, SubjectModel] = {}
        self._sources: dict[str, FeatureSource] = {}
        self._accesses: dict[str, ModelAccess] = {}
        self._threads: dict[str, ThreadPoolExecutor] = {}

    def load(self, plugin: ResolvedPlugin) -> tuple[SubjectModel, FeatureSource]:
        """Return a subject's model and feature source."""
        config: Any = plugin.config
        key = repr(config.model)
        if key not in self._models:
            self._models[key] = load_model(config.model, self._cache, self._progress)
        model = self._models[key]
        if plugin.name not in self._sources:
            self._sources[plugin.name] = plugin.registered.spec.resolve_factory()(config, model)
        return model, self._sources[plugin.name]

    def access(self, plugin: ResolvedPlugin, bos: str) -> ModelAccess:
        """Return what scorers may do with a subject: one object a subject, one thread a model.

        Args:
            plugin: The subject.
            bos: The corpus's BOS policy, which is that of every text and prompt.

        Raises:
            HarnessError: If the model or the feature source cannot be loaded.
        """
        if plugin.name not in self._accesses:
            model, source = self.load(plugin)
            config: Any = plugin.config
            key = repr(config.model)
            if key not in self._threads:
                self._threads[key] = model_thread()
            self._accesses[plugin.name] = ModelAccess(
                model,
                source,
                bos=None if bos == "none" else require_bos(model.tokenizer),
                texts=partial(token_texts, cast("Decoder", model.tokenizer)),
                identity=_subject_identity(plugin, self._cache),
                thread=self._threads[key],
            )
        return self._accesses[plugin.name]

    def close(self) -> None:
        """End the threads; what runs on one runs to its end."""
        for thread in self._threads.values():
            thread.shutdown(wait=False, cancel_futures=True)
        self._threads.clear()
        self._accesses.clear()


def prepare(resolved: ResolvedRun, cache: Path, models: ModelPool, progress: Progress) -> dict[str, SubjectData]:
    """Return every subject's feature records, computing what the cache does not have.

    All subjects of one model share one forward pass over the corpus. A subject without a usable feature is told of and
    has no records.

    Raises:
        HarnessError: If something cannot be loaded, or no subject has a usable feature.
    """
    negatives = Negatives(resolved, models, cache, progress)
    negatives.check()
    embedder = choosing_embedder(resolved)
    prepared: dict[str, SubjectData] = {}
    unusable: list[NoUsableFeatureError] = []
    for tokens, stores in opened(resolved, cache, models, progress):
        for name, store in stores.items():
            subject = resolved.subjects[name]
            locator = Locator(tokens)
            builder = RecordBuilder(subject.name, tokens, store, resolved.examples, resolved.seed, locator, embedder)
            progress.say(f"{subject.name}: choosing features and building their records")
            records: Sequence[FeatureRecord] = ()
            skipped: Sequence[SkippedFeature]
            try:
                with building_on(*_processes(resolved, subject, tokens, store, cache, embedder)) as building:
                    records, skipped = select_features(
                        resolved.features,
                        builder,
                        store.n_features,
                        subject.name,
                        counts=store.counts(),
                        facts=FactReader(tokens, store, locator).facts,
                        building=building,
                    )
            except NoUsableFeatureError as error:
                progress.say(str(error))
                unusable.append(error)
                skipped = error.skipped
            added = negatives.added(subject, tokens, store, builder, records)
            records, without = split_by_silent(resolved, added)
            skipped = (*skipped, *without)
            if without and not records:
                unusable.append(NoUsableFeatureError(skipped, subject.name))
                progress.say(str(unusable[-1]))
            named = _with_logit_tokens(resolved, subject, records, models)
            found = negatives_facts(resolved, records)
            prepared[subject.name] = SubjectData(
                name=subject.name,
                plugin=subject,
                activations=store.fingerprint,
                examples=builder.protocol,
                records=tuple(named),
                skipped=tuple(skipped),
                facts={
                    "identity": dict(_subject_identity(subject, cache)),
                    "activations": store.fingerprint,
                    "corpus": tokens.fingerprint,
                    "n_tokens": store.n_tokens,
                    "n_features": store.n_features,
                    "dropped": dict(store.dropped),
                    "examples": builder.protocol,
                    "features_used": len(records),
                    "features_skipped": len(skipped),
                    **({"negatives": found} if found else {}),
                },
            )
    if len(unusable) == len(prepared):
        raise unusable[0]
    return {name: prepared[name] for name in resolved.subjects}


def _processes(
    resolved: ResolvedRun,
    subject: ResolvedPlugin,
    tokens: TokenStore,
    store: ActivationStore,
    cache: Path,
    embedder: Mapping[str, Any] | None,
) -> tuple[int, Callable[[], Callable[[int], Result]]]:
    """Return how many processes build a subject's records, and how each gets what it needs."""
    config: Any = subject.config
    _, wanted = candidates(resolved.features, store.n_features, subject.name, store.counts())
    task = RecordTask(
        subject.name,
        tokens.folder,
        store.folder,
        config.model,
        cache,
        resolved.examples,
        resolved.features,
        resolved.seed,
        embedder,
    )
    return processes_for(wanted, resolved.execution.record_processes), task.open


def opened(
    resolved: ResolvedRun, cache: Path, models: ModelPool, progress: Progress
) -> Iterator[tuple[TokenStore, dict[str, ActivationStore]]]:
    """Yield the tokenised corpus of each subject model with the activation stores of its subjects, by name.

    What the cache does not have is computed; all subjects of one model share one forward pass over the corpus.

    Raises:
        HarnessError: If something cannot be loaded.
    """
    for subjects in _by_tokenizer(resolved).values():
        tokens = _open_tokens(resolved, subjects[0], cache, progress)
        requests = [
            StoreRequest(subject.name, _subject_identity(subject, cache), partial(models.load, subject))
            for subject in subjects
        ]
        memory = size_in_bytes(resolved.memory.budget, "memory.budget")
        yield tokens, open_stores(requests, tokens, cache, resolved.execution.collect_batch_tokens, progress, memory)


def _by_tokenizer(resolved: ResolvedRun) -> dict[str, list[ResolvedPlugin]]:
    """Return the subjects grouped by subject model, which decides the tokenizer."""
    groups: dict[str, list[ResolvedPlugin]] = {}
    for subject in resolved.subjects.values():
        config: Any = subject.config
        model = config.model
        groups.setdefault(repr((model.path, model.revision, model.sha256)), []).append(subject)
    return groups


def _open_tokens(resolved: ResolvedRun, subject: ResolvedPlugin, cache: Path, progress: Progress) -> TokenStore:
    config: Any = subject.config
    spec: Any = resolved.corpus.registered.spec
    return open_tokens(
        spec,
        resolved.corpus.config,
        resolved.corpus_tokens,
        load_tokenizer(config.model, cache),
        # Weights drawn anew have the same tokenizer, and the same tokens, as those they stand in for.
        model_identity(replace(config.model, randomise=None), cache),
        cache,
        progress,
    )


def _subject_identity(subject: ResolvedPlugin, cache: Path) -> Mapping[str, Any]:
    config: Any = subject.config
    spec: Any = subject.registered.spec
    return {
        "kind": spec.name,
        "version": spec.version,
        "model": model_identity(config.model, cache),
        "source": spec.resolve_source_identity()(config),
    }


def _with_logit_tokens(
    resolved: ResolvedRun, subject: ResolvedPlugin, records: Sequence[FeatureRecord], models: ModelPool
) -> Sequence[FeatureRecord]:
    """Return the records with tokens each feature promotes, where the explainer asks and the source writes any.

    Of the promoted ones it is told every second word (``told_tokens``), as scorers ask about the others. Those it
    suppresses are added where the explainer asks for them as well.
    """
    config = resolved.explainer.config
    if not records or not getattr(config, "logit_weights", False):
        return records
    model, source = models.load(subject)
    if source.write_directions([records[0].feature]) is None:
        return records  # it writes nothing to the residual stream, and so promotes no token
    features = [record.feature for record in records]
    ranked = top_logit_tokens(model, source, features, PROMOTED_LOOKED_AT)
    promoted = [
        tuple(texts[place] for place in told_tokens(texts, feature))
        for feature, texts in zip(features, ranked, strict=True)
    ]
    suppressed: list[tuple[str, ...]] = [()] * len(features)
    if getattr(config, "suppressed_tokens", False):
        suppressed = bottom_logit_tokens(model, source, features, LOGIT_TOKENS)
    return [
        replace(record, statistics=replace(record.statistics, top_logit_tokens=top, bottom_logit_tokens=bottom))
        for record, top, bottom in zip(records, promoted, suppressed, strict=True)
    ]
