"""From stored activations to feature records."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from harness.errors import CorpusError
from harness.examples.checks import check_examples
from harness.examples.deciles import decile_edges, deciles
from harness.examples.negatives import draw_silent
from harness.examples.record import (
    Example,
    ExampleKind,
    ExampleSet,
    FeatureRecord,
    FeatureStatistics,
    SkippedFeature,
)
from harness.examples.sample import choose
from harness.examples.split import explain_documents
from harness.examples.top_tokens import top_tokens
from harness.examples.windows import peak_windows, tile_grid, tile_windows
from harness.identity import fingerprint, plain
from harness.seeding import generator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.activations.protocol import ActivationReader, FeatureActivations, TokenReader
    from harness.config.schema import ExamplesConfig
    from harness.examples.windows import FeatureWindows

__all__ = ["RULES", "RecordBuilder"]

RULES = 1
"""Version of the rules by which records are built; raised whenever a record could change."""

_HALVES = ("explain", "score")


class RecordBuilder:
    """Builds the feature records of one subject. What does not depend on the feature is computed once.

    Args:
        subject: The subject's name; draws depend on it.
        tokens: The corpus.
        activations: The subject's activations on it.
        config: Windows, split, numbers of examples.
        seed: Root seed of the split and of all draws.

    Raises:
        ConfigError: If the configuration contradicts itself.
        CorpusError: If no context of the corpus is as long as a window.
    """

    def __init__(
        self, subject: str, tokens: TokenReader, activations: ActivationReader, config: ExamplesConfig, seed: int
    ) -> None:
        check_examples(config)
        self._subject, self._tokens, self._activations = subject, tokens, activations
        self._config, self._seed = config, seed
        self._strings: dict[int, str] = {}
        self._grid = tile_grid(tokens, config.window_tokens)
        if not self._grid.starts.size:
            longest = int(np.diff(tokens.context_starts).max(initial=0))
            raise CorpusError(
                f"the corpus is shorter than a window: its longest context has {longest} tokens, and"
                f" examples.window_tokens is {config.window_tokens}",
                hint="use a longer corpus or shorter windows",
            )

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

    @cached_property
    def _explain(self) -> np.ndarray:
        return explain_documents(self._tokens, self._seed, self._config.explain_share)

    def build(self, feature: int) -> FeatureRecord | SkippedFeature:
        """Return the record of ``feature``, or why it has none.

        Raises:
            FeatureSourceError: If there is no such feature.
        """
        activations = self._activations.feature(feature)
        if not activations.positions.size:
            return self._skip(feature, "dead", f"it never fires on {self._activations.n_tokens} tokens")
        windows = self._windows(activations)
        in_explain = self._explain[windows.documents]
        levels = deciles(windows.strengths)
        if (problem := self._too_few(windows, in_explain)) is not None:
            return self._skip(feature, *problem)
        sets: list[ExampleSet] = []
        for name, mine in zip(_HALVES, (in_explain, ~in_explain), strict=True):
            chosen = self._choose(feature, name, np.flatnonzero(mine), windows.strengths, levels)
            silent, found = self._silent(feature, name, windows)
            if self._wanted(name)[1] and not found:
                detail = f"it fires in every window of the {name} half, so there is none that does not activate it"
                return self._skip(feature, "no_silent_windows", detail)
            sets.append(
                ExampleSet(
                    activating=self._examples(windows.starts[chosen], activations, levels[chosen].tolist()),
                    non_activating=self._examples(silent, activations),
                )
            )
        statistics = self._statistics(activations, windows, in_explain)
        return FeatureRecord(self._subject, feature, statistics, sets[0], sets[1], self.protocol)

    def _windows(self, activations: FeatureActivations) -> FeatureWindows:
        if self._config.align == "peak":
            return peak_windows(self._grid, self._tokens, activations, self._config.peak_offset)
        return tile_windows(self._grid, self._tokens, activations)

    def _too_few(self, windows: FeatureWindows, in_explain: np.ndarray) -> tuple[str, str] | None:
        total, least = windows.starts.size, self._config.min_activating_windows
        if total < least:
            return "too_few_windows", f"it fires in {total} windows, and {least} are asked for"
        explain = int(in_explain.sum())
        for name, number in zip(_HALVES, (explain, total - explain), strict=True):
            if number < self._config.min_half_windows:
                asked = self._config.min_half_windows
                detail = f"it fires in {number} windows of the {name} half (of {total}), and {asked} are asked for"
                return f"too_few_{name}_windows", detail
        return None

    def _wanted(self, half: str) -> tuple[int, int]:
        config = self._config
        if half == "explain":
            return config.explain_activating, config.explain_non_activating
        return config.score_activating, config.score_non_activating

    def _choose(
        self, feature: int, half: str, pool: np.ndarray, strengths: np.ndarray, levels: np.ndarray
    ) -> np.ndarray:
        strategy = self._config.explain_strategy if half == "explain" else self._config.score_strategy
        draws = generator(self._seed, "examples", self._subject, feature, half, "activating")
        count = self._wanted(half)[0]
        chosen = choose(strategy, strengths[pool], levels[pool], count, draws, mix_top=self._config.mix_top)
        windows: np.ndarray = pool[chosen]
        return windows

    def _silent(self, feature: int, half: str, windows: FeatureWindows) -> tuple[np.ndarray, int]:
        in_half = self._explain[self._grid.documents] == (half == "explain")
        draws = generator(self._seed, "examples", self._subject, feature, half, "silent")
        return draw_silent(self._grid, windows, in_half, self._wanted(half)[1], draws)

    def _examples(
        self, starts: np.ndarray, activations: FeatureActivations, levels: Sequence[int] | None = None
    ) -> tuple[Example, ...]:
        """Return the windows at ``starts`` as examples: activating ones of ``levels``, or random silent ones."""
        marks: Sequence[int | None] = [None] * starts.size if levels is None else levels
        return tuple(
            self._example(start, activations, level) for start, level in zip(starts.tolist(), marks, strict=True)
        )

    def _example(self, start: int, activations: FeatureActivations, level: int | None) -> Example:
        width = self._config.window_tokens
        low, high = np.searchsorted(activations.positions, (start, start + width))
        values = np.zeros(width, dtype=np.float32)
        values[activations.positions[low:high] - start] = activations.values[low:high]
        ids = self._tokens.tokens[start : start + width].tolist()
        context = int(np.searchsorted(self._tokens.context_starts, start, side="right")) - 1
        return Example(
            document=int(self._tokens.context_documents[context]),
            start=start,
            tokens=self._tokens.token_texts(ids),
            token_ids=tuple(ids),
            activations=tuple(values.tolist()),
            kind=ExampleKind.RANDOM if level is None else ExampleKind.ACTIVATING,
            decile=level,
        )

    def _statistics(
        self, activations: FeatureActivations, windows: FeatureWindows, in_explain: np.ndarray
    ) -> FeatureStatistics:
        return FeatureStatistics(
            n_tokens=self._activations.n_tokens,
            n_active_tokens=int(activations.positions.size),
            n_activating_windows=int(windows.starts.size),
            max_activation=float(activations.values.max()),
            decile_edges=decile_edges(windows.strengths),
            top_tokens=top_tokens(self._tokens, activations, windows, in_explain, self._strings),
        )

    def _skip(self, feature: int, reason: str, detail: str) -> SkippedFeature:
        return SkippedFeature(self._subject, feature, reason, detail)
