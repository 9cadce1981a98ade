"""From stored activations to feature records."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from harness.activations.located import Locator
from harness.errors import CorpusError
from harness.examples.checks import check_examples
from harness.examples.deciles import Deciles
from harness.examples.negatives import draw_silent, halves_of
from harness.examples.record import (
    Example,
    ExampleKind,
    ExampleSet,
    FeatureRecord,
    FeatureStatistics,
    Sampling,
    SkippedFeature,
)
from harness.examples.sample import choose
from harness.examples.split import explain_documents
from harness.examples.top_tokens import TextTable, top_tokens
from harness.examples.windows import peak_windows, ranges, tile_grid, tile_windows
from harness.identity import fingerprint, plain
from harness.seeding import generator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.activations.located import Located
    from harness.activations.protocol import ActivationReader, ContextSample, FeatureActivations, TokenReader
    from harness.config.schema import ExamplesConfig
    from harness.examples.windows import FeatureWindows

__all__ = ["RULES", "RecordBuilder"]

RULES = 1
"""Version of the rules by which records are built; raised whenever a record could change."""

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
    ) -> None:
        check_examples(config)
        self._locator = locator or Locator(tokens)
        self._subject, self._tokens, self._activations = subject, tokens, activations
        self._config, self._seed = config, seed
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
        config = {key: value for key, value in plain(self._config).items() if key != "preset"}
        corpus = self._tokens.fingerprint
        return fingerprint({"corpus": corpus, "examples": config, "seed": self._seed, "rules": RULES})

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
            if self._wanted(name)[1] and not found:
                detail = f"it fires in every window of the {name} half, so there is none that does not activate it"
                return self._skip(feature, "no_silent_windows", detail)
            sets.append(
                ExampleSet(
                    activating=self._activating(windows, chosen, activations, levels[chosen].tolist()),
                    non_activating=self._non_activating(silent),
                )
            )
        told = in_explain if drawable is None else in_explain & drawable
        statistics = self._statistics(located, windows, told, whole.edges)
        return FeatureRecord(self._subject, feature, statistics, sets[0], sets[1], self.protocol)

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
        return config.score_activating, config.score_non_activating

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
        """Return drawn silent windows of a half, and how many silent ones there are; if none are wanted, neither."""
        if not self._wanted(half)[1]:
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

    def _non_activating(self, silent: np.ndarray) -> tuple[Example, ...]:
        """Return windows of the grid as examples that do not activate the feature."""
        starts, documents = self._grid.starts[silent], self._grid.documents[silent]
        quiet = [self._quiet] * silent.size
        return self._examples(starts, documents, ExampleKind.RANDOM, quiet, [None] * silent.size)

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
