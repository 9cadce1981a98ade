"""Hard negatives of a run: what their sources need is worked out once for all features of a subject.

They are added when the features are chosen, by this process alone, so that neighbours are looked up for those features
in few passes and windows are embedded once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.activations.cooccurrence import Neighbour, cooccurring
from harness.config.checks import no_directions
from harness.embedding import embedder_identity, open_embedder
from harness.embedding.stored import stored_vectors
from harness.errors import FeatureSourceError
from harness.examples.hard_negatives import MOST_NEIGHBOURS, FiringNeighbours, HardNegatives, SimilarTexts, pooled
from harness.examples.negative_sources import (
    BY_DIRECTION,
    COOCCURRING,
    DECODER,
    KINDS,
    RANDOM,
    found_of,
    hard_sources,
    shares,
    uses_embedder,
)
from harness.examples.record import SkippedFeature
from harness.subjects.neighbours import nearest_directions, require_directions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.activations.store import ActivationStore
    from harness.activations.tokens import TokenStore
    from harness.config.resolve import ResolvedPlugin, ResolvedRun
    from harness.examples.build import RecordBuilder
    from harness.examples.hard_negatives import Finder
    from harness.examples.record import FeatureRecord
    from harness.progress import Progress
    from harness.runner.data import ModelPool
    from harness.subjects.neighbours import DirectionSide

__all__ = ["Negatives", "choosing_embedder", "negatives_facts", "split_by_silent"]

_AT_ONCE = 512  # features whose directions are compared with all others' at once


def choosing_embedder(resolved: ResolvedRun) -> Mapping[str, Any] | None:
    """Return the identity of what embeds windows to choose negatives, or None if nothing does.

    Raises:
        MaterialError: If the model does not exist.
        UnknownNameError: If its pooling is unknown.
    """
    if resolved.embedder is None or not uses_embedder(resolved.examples.negatives):
        return None
    return embedder_identity(resolved.embedder)


def negatives_facts(resolved: ResolvedRun, records: Sequence[FeatureRecord]) -> dict[str, dict[str, int]]:
    """Return of each source how many windows were asked for and found, over all features; nothing if all are random."""
    config = resolved.examples.negatives
    hard = hard_sources(config)
    if not hard:
        return {}
    wanted = shares(config, resolved.examples.score_non_activating)
    return {
        source: {"asked": wanted[source] * len(records), "found": sum(found_of(records, source))}
        for source in (RANDOM, *hard)
    }


def split_by_silent(
    resolved: ResolvedRun, records: Sequence[FeatureRecord]
) -> tuple[list[FeatureRecord], list[SkippedFeature]]:
    """Return the records that have a negative, and the features for which no source found any though some are wanted.

    A feature that is silent nowhere has no record in the first place; these are silent, but where no source looks.
    """
    config, count = resolved.examples.negatives, resolved.examples.score_non_activating
    wanted = shares(config, count)
    asked = " and ".join(source for source in KINDS if wanted[source])
    verb = "finds" if sum(map(bool, wanted.values())) == 1 else "find"
    detail = f"{asked} {verb} no silent window for it; examples.negatives.{RANDOM}=1 draws some at random besides"
    kept, without = [], []
    for record in records:
        if record.score.non_activating or not count:
            kept.append(record)
        else:
            without.append(SkippedFeature(record.subject, record.feature, "no_silent_windows", detail))
    return kept, without


@dataclass(frozen=True)
class Negatives:
    """Adds the negatives that are not random to the records of a run's subjects.

    Attributes:
        resolved: The run.
        models: Loads the sources whose directions are compared.
        cache: The cache folder.
        progress: Where the work is shown.
    """

    resolved: ResolvedRun
    models: ModelPool
    cache: Path
    progress: Progress

    def check(self) -> None:
        """Load every source whose directions are compared, so that one without any is told of before work is done.

        Raises:
            ConfigError: If the features of a subject have no such directions.
            HarnessError: If a subject cannot be loaded.
        """
        for source in self._sources:
            if source in BY_DIRECTION:
                for subject in self.resolved.subjects.values():
                    _, loaded = self.models.load(subject)
                    try:
                        require_directions(loaded, _side(source))
                    except FeatureSourceError as error:
                        raise no_directions(source, subject.name) from error

    def added(
        self,
        subject: ResolvedPlugin,
        tokens: TokenStore,
        store: ActivationStore,
        builder: RecordBuilder,
        records: Sequence[FeatureRecord],
    ) -> list[FeatureRecord]:
        """Return the records of a subject with their negatives; a source that has too few is told of.

        Raises:
            HarnessError: If the subject or the embedder cannot be loaded.
        """
        if not self._sources or not records:
            return list(records)
        wanted = shares(self.resolved.examples.negatives, self.resolved.examples.score_non_activating)
        features = [record.feature for record in records]
        finders: dict[str, Finder] = {}
        for source in self._sources:
            if not wanted[source]:
                continue
            if source in BY_DIRECTION:
                finders[source] = FiringNeighbours(builder, self._by_direction(source, subject, features))
            elif source == COOCCURRING:
                found = cooccurring(store, features, MOST_NEIGHBOURS, store.kept_of_all())
                finders[source] = FiringNeighbours(builder, dict(zip(features, found, strict=True)))
            else:
                finders[source] = self._similar(tokens, builder)
        hard = HardNegatives(builder, finders, wanted)
        added = []
        with self.progress.task(f"choosing negatives ({subject.name})", len(records), "features") as bar:
            for record in records:
                added.append(hard.added(record))
                bar.advance(1)
        for source in finders:
            self._tell(subject, source, wanted[source], added)
        return added

    @property
    def _sources(self) -> tuple[str, ...]:
        return hard_sources(self.resolved.examples.negatives)

    def _by_direction(
        self, source: str, subject: ResolvedPlugin, features: Sequence[int]
    ) -> dict[int, list[Neighbour]]:
        _, loaded = self.models.load(subject)
        near: dict[int, list[Neighbour]] = {}
        for start in range(0, len(features), _AT_ONCE):
            some = features[start : start + _AT_ONCE]
            found = nearest_directions(loaded, some, MOST_NEIGHBOURS, _side(source))
            near |= {one: [Neighbour(*pair) for pair in pairs] for one, pairs in zip(some, found, strict=True)}
        return near

    def _similar(self, tokens: TokenStore, builder: RecordBuilder) -> SimilarTexts:
        config = self.resolved.embedder
        if config is None:
            message = "similar negatives, and no embedder"
            raise ValueError(message)
        embedder = open_embedder(config, self.cache)
        pool = pooled(builder.score_windows, self.resolved.seed)
        starts = builder.starts(pool)
        identity = {
            "corpus": tokens.fingerprint,
            "windows": hashlib.sha256(starts.astype("<i8").tobytes()).hexdigest(),
            "window_tokens": self.resolved.examples.window_tokens,
            "embedder": embedder.identity,
        }
        vectors = stored_vectors(
            identity,
            lambda: (builder.text(ids) for ids in builder.token_ids(pool).tolist()),
            pool.size,
            embedder.vectors,
            self.cache,
            self.progress,
        )
        return SimilarTexts(builder, pool, vectors, embedder.vectors)

    def _tell(self, subject: ResolvedPlugin, source: str, wanted: int, records: Sequence[FeatureRecord]) -> None:
        found = found_of(records, source)
        fewer = sum(number < wanted for number in found)
        if fewer:
            self.progress.say(
                f"{subject.name}: {fewer} of {len(records)} features have fewer {source} than the {wanted} asked for"
                f" ({sum(found)} of {wanted * len(records)} in all); nothing takes their place"
            )


def _side(source: str) -> DirectionSide:
    return "write" if source == DECODER else "read"
