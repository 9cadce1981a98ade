"""What can be said of a subject's features without any language model: ``harness features``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.activations.cooccurrence import cooccurring
from harness.activations.facts import FLAGS, FactReader
from harness.activations.scrambled import WAYS, scrambled
from harness.errors import ConfigError
from harness.examples.select import Candidates, candidates
from harness.examples.where import Condition
from harness.identity import plain
from harness.runner.data import ModelPool, opened
from harness.subjects.logit_weights import bottom_logit_tokens, top_logit_tokens
from harness.subjects.neighbours import nearest_directions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.activations.facts import FeatureFacts
    from harness.activations.store import ActivationStore
    from harness.activations.tokens import TokenStore
    from harness.config.resolve import ResolvedRun
    from harness.progress import Progress

__all__ = ["Overview", "Wanted", "overview"]

_MOST_WITH_NEIGHBOURS = 5_000
_MOST_SCRAMBLED = 200_000
"""Contexts the model may be asked to read for this: with contexts of 256 tokens, some 25 million tokens."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to work out beside the facts of the store; each loads the subject model.

    Attributes:
        neighbours: How many of the nearest features, by write direction and by shared tokens.
        logits: How many of the tokens each feature promotes most, and suppresses most, by the direct path.
        scrambled: How many of each feature's activations the model reads again in scrambled contexts.
    """

    neighbours: int = 0
    logits: int = 0
    scrambled: int = 0


@dataclass(frozen=True)
class Overview:
    """A subject's features.

    Attributes:
        subject: Its name.
        n_features: How many it has.
        n_tokens: Corpus tokens looked at.
        looked_at: How many of its features were looked at.
        flagged: How many of those have each flag.
        features: The facts of those that meet the condition, in the order of the selection.
        more: What was worked out beside, by feature number.
    """

    subject: str
    n_features: int
    n_tokens: int
    looked_at: int
    flagged: Mapping[str, int]
    features: tuple[FeatureFacts, ...]
    more: Mapping[int, Mapping[str, Any]]

    def plain(self) -> dict[str, Any]:
        """Return all of it as plain data, flags by name."""
        return {
            "subject": self.subject,
            "n_features": self.n_features,
            "n_tokens": self.n_tokens,
            "looked_at": self.looked_at,
            "flagged": dict(self.flagged),
            "features": [
                {**plain(facts), "flags": list(facts.flags), **plain(dict(self.more.get(facts.feature, {})))}
                for facts in self.features
            ],
        }


def overview(
    resolved: ResolvedRun, cache: Path, progress: Progress, wanted: Wanted | None = None, *, everything: bool = False
) -> list[Overview]:
    """Return what the corpus shows of every subject's features, computing the activations the cache does not have.

    Args:
        resolved: Subjects, corpus and selection.
        cache: The cache folder.
        progress: Where the work is shown.
        wanted: What to work out beside the facts.
        everything: Look at all features, whatever the selection says.

    Raises:
        HarnessError: If something cannot be loaded, or the selection cannot be honoured.
    """
    models = ModelPool(cache, progress)
    wanted = wanted or Wanted()
    found = {}
    for tokens, stores in opened(resolved, cache, models, progress):
        for name, store in stores.items():
            reader = FactReader(tokens, store)
            chosen, looked_at = _chosen(resolved, name, store, reader, progress, everything=everything)
            numbers = [facts.feature for facts in chosen]
            more = _more(resolved, name, store, numbers, models, wanted)
            if numbers and wanted.scrambled:
                _scramble(resolved, name, (tokens, store), more, models, wanted.scrambled, progress)
            found[name] = Overview(
                subject=name,
                n_features=store.n_features,
                n_tokens=store.n_tokens,
                looked_at=len(looked_at),
                flagged={flag: sum(flag in facts.flags for facts in looked_at) for flag in FLAGS},
                features=tuple(chosen),
                more=more,
            )
    return [found[name] for name in resolved.subjects]


def _chosen(
    resolved: ResolvedRun,
    name: str,
    store: ActivationStore,
    reader: FactReader,
    progress: Progress,
    *,
    everything: bool,
) -> tuple[list[FeatureFacts], list[FeatureFacts]]:
    """Return the facts of the features that meet the condition, and those of all that were looked at."""
    features = resolved.features
    numbers, enough = candidates(features, store.n_features, name, store.counts())
    if everything:
        numbers, enough = Candidates([range(store.n_features)]), store.n_features
    condition = None if features.where is None else Condition(features.where)
    chosen: list[FeatureFacts] = []
    looked_at: list[FeatureFacts] = []
    with progress.task(f"looking at features ({name})", store.n_features if everything else None, "features") as bar:
        for number in numbers:
            if len(chosen) == enough:
                break
            facts = reader.facts(number)
            looked_at.append(facts)
            if condition is None or condition.holds(facts):
                chosen.append(facts)
                numbers.used()
            bar.advance(1)
    return chosen, looked_at


def _more(
    resolved: ResolvedRun,
    name: str,
    store: ActivationStore,
    numbers: Sequence[int],
    models: ModelPool,
    wanted: Wanted,
) -> dict[int, dict[str, Any]]:
    more: dict[int, dict[str, Any]] = {number: {} for number in numbers}
    if not numbers or not (wanted.neighbours or wanted.logits):
        return more
    if wanted.neighbours and len(numbers) > _MOST_WITH_NEIGHBOURS:
        what = f"neighbours of {len(numbers):,} features at once; {_MOST_WITH_NEIGHBOURS:,} is the most"
        raise ConfigError(what, where="--neighbours", hint="choose fewer, with features=... or features.where=...")
    model, source = models.load(resolved.subjects[name])
    # What writes nothing to the residual stream moves no token's logit and has no neighbours by direction.
    writes = source.write_directions(numbers[:1]) is not None
    if wanted.logits and writes:
        for key, found in (("promoted_tokens", top_logit_tokens), ("suppressed_tokens", bottom_logit_tokens)):
            for number, tokens in zip(numbers, found(model, source, numbers, wanted.logits), strict=True):
                more[number][key] = tokens
    if wanted.neighbours and writes:
        for number, near in zip(numbers, nearest_directions(source, numbers, wanted.neighbours), strict=True):
            more[number]["nearest_by_direction"] = [{"feature": other, "cosine": cosine} for other, cosine in near]
    if wanted.neighbours:
        near_by_tokens = cooccurring(store, numbers, wanted.neighbours, store.kept_of_all())
        for number, together in zip(numbers, near_by_tokens, strict=True):
            more[number]["nearest_by_tokens"] = [
                {"feature": neighbour.feature, "jaccard": neighbour.similarity} for neighbour in together
            ]
    return more


def _scramble(
    resolved: ResolvedRun,
    name: str,
    stored: tuple[TokenStore, ActivationStore],
    more: Mapping[int, dict[str, Any]],
    models: ModelPool,
    n: int,
    progress: Progress,
) -> None:
    """Add to ``more`` what is left of each feature's activations in scrambled contexts."""
    asked = len(more) * n * len(WAYS)
    if asked > _MOST_SCRAMBLED:
        what = (
            f"{n} activations of {len(more):,} features are {asked:,} contexts to read; {_MOST_SCRAMBLED:,} is the most"
        )
        hint = "choose fewer features, with features=... or features.where=..., or fewer activations of each"
        raise ConfigError(what, where="--scrambled", hint=hint)
    model, source = models.load(resolved.subjects[name])
    batch_tokens = resolved.execution.collect_batch_tokens
    for result in scrambled(
        model, source, *stored, list(more), n, seed=resolved.seed, batch_tokens=batch_tokens, progress=progress
    ):
        more[result.feature]["scrambled"] = result.plain()
