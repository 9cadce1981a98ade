"""From stored activations to feature records."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.activations.located import Locator
from harness.errors import CorpusError
from harness.examples.checks import check_examples
from harness.examples.deciles import Deciles, strongest_first
from harness.examples.negative_sources import KINDS, RANDOM, hard_sources, shares
from harness.examples.negatives import draw_silent, halves_of
from harness.examples.record import (
    Example,
    ExampleKind,
    ExampleSet,
    FeatureRecord,
    FeatureStatistics,
    Origin,
    Sampling,
    SkippedFeature,
)
from harness.examples.sample import choose
from harness.examples.split import explain_documents
from harness.examples.top_tokens import TextTable, top_tokens
from harness.examples.windows import peak_windows, ranges, tile_grid, tile_windows
from harness.identity import fingerprint, parameters_of
from harness.seeding import generator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.activations.located import Located
    from harness.activations.protocol import ActivationReader, ContextSample, FeatureActivations, TokenReader
    from harness.config.schema import ExamplesConfig
    from harness.examples.windows import FeatureWindows

__all__ = ["HARD_RULES", "RULES", "RecordBuilder"]

RULES = 1
"""Version of the rules by which records are built; raised whenever a record could change."""
HARD_RULES = 1
"""The same of the rules by which negatives that are not random are chosen (``harness.examples.hard_negatives``)."""

_HALVES = ("explain", "score")


class RecordBuilder:
    """Builds the feature records of one subject. What does not depend on the feature is computed once, at the start.

    Args:
        subject: The subject's name; draws depend on it.
        tokens: The corpus.
        activations: The subject's activations on it.
        config: Windows, split, numbers of examples.
        seed: Root seed of the split and of all draws.
        locator: Locates activations; given if somebody else looks at the same features, so that it is done once.
        embedder: Identity of what embeds windows, where negatives are chosen by it.

    Raises:
        ConfigError: If the configuration contradicts itself.
        CorpusError: If no context of the corpus is as long as a window.
    """

    def __init__(
        self,
        subject: str,
        tokens: TokenReader,
        activations: ActivationReader,
        config: ExamplesConfig,
        seed: int,
        locator: Locator | None = None,
        embedder: Mapping[str, Any] | None = None,
    ) -> None:
        check_examples(config)
        self._locator = locator or Locator(tokens)
        self._subject, self._tokens, self._activations = subject, tokens, activations
        self._config, self._seed, self._embedder = config, seed, embedder
        self._grid = tile_grid(tokens, config.window_tokens, self._locator.index)
        if not self._grid.starts.size:
            longest = int(np.diff(tokens.context_starts).max(initial=0))
            raise CorpusError(
                f"the corpus is shorter than a window: its longest context has {longest} tokens, and"
                f" examples.window_tokens is {config.window_tokens}",
                hint="use a longer corpus or shorter windows",
            )
        self._explain = explain_documents(tokens, seed, config.explain_share)
        self._halves = halves_of(self._explain[self._grid.documents])
        self._texts = TextTable(tokens)
        self._quiet = (0.0,) * config.window_tokens

    @cached_property
    def protocol(self) -> str:
        """Return the fingerprint of all that determines which windows are shown: corpus, split, windows, rules, seed.

        The subject is not part of it, and neither is the preset's name, which only says where the numbers come from.
        """
        config = {key: value for key, value in parameters_of(self._config).items() if key != "preset"}
        corpus = self._tokens.fingerprint
        fields: dict[str, Any] = {"corpus": corpus, "examples": config, "seed": self._seed, "rules": RULES}
        if hard_sources(self._config.negatives):
            fields |= {"hard_rules": HARD_RULES, "embedder": self._embedder}
        return fingerprint(fields)

    @property
    def leftover_tokens(self) -> int:
        """Return how many corpus tokens are in no full window of the grid."""
        return self._grid.leftover_tokens

    def build(self, feature: int) -> FeatureRecord | SkippedFeature:
        """Return the record of ``feature``, or why it has none.

        Raises:
            FeatureSourceError: If there is no such feature.
        """
        activations = self._activations.feature(feature)
        if not activations.positions.size:
            return self._skip(feature, "dead", f"it never fires on {self._activations.n_tokens} tokens")
        located = self._locator.of(activations)
        windows = self._windows(located)
        in_explain = self._explain[windows.documents]
        drawable = self._drawable(activations.sample, windows)
        if (problem := self._too_few(in_explain, drawable)) is not None:
            return self._skip(feature, *problem)
        known = None if activations.sample is None else self._grid.windows_in(activations.sample.uniform)
        whole, levels = _deciles(windows.strengths, drawable)
        sets: list[ExampleSet] = []
        for name, mine in zip(_HALVES, (in_explain, ~in_explain), strict=True):
            chosen = self._choose(feature, name, mine, windows.strengths, levels, drawable)
            silent, found = self._silent(feature, name, windows.touched, known)
            if self._silent_wanted(name) and not found:
                detail = f"it fires in every window of the {name} half, so there is none that does not activate it"
                return self._skip(feature, "no_silent_windows", detail)
            sets.append(
                ExampleSet(
                    activating=self._activating(windows, chosen, activations, levels[chosen].tolist()),
                    non_activating=self.non_activating(silent),
                )
            )
        told = in_explain if drawable is None else in_explain & drawable
        statistics = self._statistics(located, windows, told, whole.edges)
        return FeatureRecord(self._subject, feature, statistics, sets[0], sets[1], self.protocol)

    @property
    def score_windows(self) -> np.ndarray:
        """Return the numbers of the windows of the grid that are in the score half, int64, ascending."""
        return self._halves["score"].windows

    def starts(self, windows: np.ndarray) -> np.ndarray:
        """Return the first positions of windows of the grid, int64."""
        starts: np.ndarray = self._grid.starts[windows]
        return starts

    def token_ids(self, windows: np.ndarray) -> np.ndarray:
        """Return the token ids of windows of the grid, [n, window_tokens]."""
        ids: np.ndarray = self._tokens.tokens[self._grid.starts[windows][:, None] + np.arange(self._grid.width)]
        return ids

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of a window, as its example has it."""
        return "".join(self._tokens.token_texts(ids))

    def free_windows(self, record: FeatureRecord) -> np.ndarray:
        """Return which windows of the grid may still become negatives of a feature's score half, bool [grid].

        Those of the half in which the feature is known to be silent, without the ones that the record has already. Of a
        feature of which contexts are sampled, it is known in the contexts that are kept.
        """
        found = self._activations.feature(record.feature)
        free = self._halves["score"].members.copy()
        if found.sample is not None:
            known = np.zeros_like(free)
            known[self._grid.windows_in(np.union1d(found.sample.uniform, found.sample.strongest))] = True
            free &= known
        free[self._windows(self._locator.of(found)).touched] = False
        taken = [example.start for example in record.score.non_activating]
        free[np.searchsorted(self._grid.starts, taken)] = False
        return free

    def strongest_windows(self, feature: int) -> np.ndarray:
        """Return the numbers of the windows of the grid in which a feature fires, strongest first, int64.

        Of a feature of which contexts are sampled, those that are kept; the strongest are among them.

        Raises:
            FeatureSourceError: If there is no such feature.
        """
        windows = tile_windows(self._grid, self._locator.of(self._activations.feature(feature)))
        order = strongest_first(windows.strengths)
        numbers: np.ndarray = np.searchsorted(self._grid.starts, windows.starts[order])
        return numbers

    def non_activating(
        self, windows: np.ndarray, source: str = RANDOM, origins: Sequence[Origin] | None = None
    ) -> tuple[Example, ...]:
        """Return windows of the grid as examples that do not activate the feature.

        Args:
            windows: Their numbers, int64 [n].
            source: What chose them.
            origins: What each is near.
        """
        quiet = [self._quiet] * windows.size
        shown = self._examples(
            self._grid.starts[windows], self._grid.documents[windows], KINDS[source], quiet, [None] * windows.size
        )
        if origins is None:
            return shown
        return tuple(replace(example, origin=origin) for example, origin in zip(shown, origins, strict=True))

    def _windows(self, located: Located) -> FeatureWindows:
        if self._config.align == "peak":
            return peak_windows(self._grid, self._tokens, located, self._config.peak_offset)
        return tile_windows(self._grid, located)

    def _drawable(self, sample: ContextSample | None, windows: FeatureWindows) -> np.ndarray | None:
        """Return which windows stand for the corpus, bool [n]: those in uniform contexts; None for all of them."""
        if sample is None:
            return None
        kept = np.zeros(self._grid.first.size - 1, dtype=np.bool_)
        kept[sample.uniform] = True
        drawable: np.ndarray = kept[self._grid.contexts.of(windows.starts)]
        return drawable

    def _too_few(self, in_explain: np.ndarray, drawable: np.ndarray | None) -> tuple[str, str] | None:
        total, least = in_explain.size, self._config.min_activating_windows
        if total < least:
            return "too_few_windows", f"it fires in {total} windows, and {least} are asked for"
        # Only windows that may be drawn are sure to give every strategy its examples.
        usable = in_explain if drawable is None else in_explain[drawable]
        explain = int(np.count_nonzero(usable))
        for name, number in zip(_HALVES, (explain, usable.size - explain), strict=True):
            if number < self._config.min_half_windows:
                asked = self._config.min_half_windows
                detail = (
                    f"it fires in {number} windows of the {name} half (of {usable.size}), and {asked} are asked for"
                )
                return f"too_few_{name}_windows", detail
        return None

    def _wanted(self, half: str) -> tuple[int, int]:
        config = self._config
        if half == "explain":
            return config.explain_activating, config.explain_non_activating
        return config.score_activating, shares(config.negatives, config.score_non_activating)[RANDOM]

    def _silent_wanted(self, half: str) -> int:
        """Return how many non-activating windows a half is to get from all sources together."""
        return self._config.explain_non_activating if half == "explain" else self._config.score_non_activating

    def _choose(
        self,
        feature: int,
        half: str,
        mine: np.ndarray,
        strengths: np.ndarray,
        levels: np.ndarray,
        drawable: np.ndarray | None,
    ) -> np.ndarray:
        """Return the numbers of the windows that become examples of a half; ``mine`` are those that are in it."""
        strategy = self._config.explain_strategy if half == "explain" else self._config.score_strategy
        draws = generator(self._seed, "examples", self._subject, feature, half, "activating")
        pool = np.flatnonzero(mine)
        windows: np.ndarray = pool[
            choose(
                strategy,
                strengths[pool],
                levels[pool],
                self._wanted(half)[0],
                draws,
                mix_top=self._config.mix_top,
                drawable=None if drawable is None else np.flatnonzero(drawable[pool]),
            )
        ]
        return windows

    def _silent(self, feature: int, half: str, touched: np.ndarray, known: np.ndarray | None) -> tuple[np.ndarray, int]:
        """Return drawn silent windows of a half, and how many silent ones there are; if none are wanted, neither.

        Where all that are wanted are to come from other sources none is drawn, and those that are there are counted.
        """
        if not self._silent_wanted(half):
            return np.zeros(0, dtype=np.int64), 0
        draws = generator(self._seed, "examples", self._subject, feature, half, "silent")
        return draw_silent(self._halves[half], touched, self._wanted(half)[1], draws, known=known)

    def _activating(
        self, windows: FeatureWindows, chosen: np.ndarray, activations: FeatureActivations, levels: list[int]
    ) -> tuple[Example, ...]:
        """Return the chosen windows as examples; ``levels`` are their deciles."""
        starts, low, high = windows.starts[chosen], windows.low[chosen], windows.high[chosen]
        inside = ranges(low, high)
        rows = np.repeat(np.arange(starts.size), high - low)
        places = activations.positions[inside] - starts[rows]
        values = [list(self._quiet) for _ in levels]
        for row, place, value in zip(rows.tolist(), places.tolist(), activations.values[inside].tolist(), strict=True):
            values[row][place] = value
        shown = [tuple(row) for row in values]
        return self._examples(starts, windows.documents[chosen], ExampleKind.ACTIVATING, shown, levels)

    def _examples(
        self,
        starts: np.ndarray,
        documents: np.ndarray,
        kind: ExampleKind,
        values: Sequence[tuple[float, ...]],
        levels: Sequence[int | None],
    ) -> tuple[Example, ...]:
        ids = self._tokens.tokens[starts[:, None] + np.arange(self._config.window_tokens)].tolist()
        return tuple(
            Example(document, start, self._tokens.token_texts(row), tuple(row), activations, kind, level)
            for document, start, row, activations, level in zip(
                documents.tolist(), starts.tolist(), ids, values, levels, strict=True
            )
        )

    def _statistics(
        self, located: Located, windows: FeatureWindows, told: np.ndarray, edges: tuple[float, ...]
    ) -> FeatureStatistics:
        """Return the statistics; ``told`` are the windows whose tokens an explainer may be told of, bool [n]."""
        activations, sample = located.found, located.found.sample
        numbers = ranges(windows.low[told], windows.high[told])
        return FeatureStatistics(
            n_tokens=self._activations.n_tokens,
            n_active_tokens=int(activations.positions.size) if sample is None else sample.n_active,
            n_activating_windows=int(windows.starts.size),
            max_activation=float(activations.values.max()) if sample is None else sample.max,
            decile_edges=edges,
            top_tokens=top_tokens(located, numbers, self._texts),
            sampling=None if sample is None else Sampling(sample.rate, sample.uniform.size, sample.strongest.size),
        )

    def _skip(self, feature: int, reason: str, detail: str) -> SkippedFeature:
        return SkippedFeature(self._subject, feature, reason, detail)


def _deciles(strengths: np.ndarray, drawable: np.ndarray | None) -> tuple[Deciles, np.ndarray]:
    """Return the deciles of the windows that stand for the corpus, and the decile of every window, int8 [n]."""
    if drawable is None:
        whole = Deciles(strengths)
        return whole, whole.levels()
    whole = Deciles(strengths[drawable])
    levels = whole.of(strengths)
    levels[drawable] = whole.levels()
    return whole, levels
