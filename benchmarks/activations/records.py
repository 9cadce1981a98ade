"""How fast feature records are built from a store on disk: one cold, and those of 10,000 features.

The corpus has 10 M tokens in contexts of 256. What is counted is reading a feature's activations and building its whole
record (windows of 32 tokens on the grid, examples by quantiles: the default) with its facts; opening the stores and
what a builder works out once for all features is stated beside it.

- cold: a feature with 300,000 activations, with the store's pages dropped from the page cache, in a process that has
  built the record of another, small feature before (which imports, and works out once, what all features need). The
  tokens' pages are not cold: the builder has read the whole corpus for its split. Median of ``COLD_RUNS`` processes,
  each with another feature.
- rate: 10,000 features with 1,000 to 30,000 activations each, as a run builds them, on the processes it would use; the
  start of those processes is counted.

The stated limits: 50 ms, and 200 records a second on two cores.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.activations.synthetic import Shape, decoder, write_activations, write_tokens
from benchmarks.llm.figures import Figures
from harness.activations.facts import FactReader
from harness.activations.located import Locator
from harness.activations.store import ActivationStore
from harness.activations.tokens import TokenStore
from harness.config.schema import ExamplesConfig, FeaturesConfig
from harness.examples.build import RecordBuilder
from harness.examples.record import FeatureRecord
from harness.examples.select import judging, select_features
from harness.runner.records import building_on, processes_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.examples.ahead import Result

N_TOKENS = 10_000_000
DENSE = 300_000
FEATURES = 10_000
FEWEST, MOST = 1_000, 30_000
COLD_RUNS = 5
LIMIT_MS = 50.0
LIMIT_RATE = 200.0
_COLD = "cold"


def builder(folder: Path, align: str = "tile") -> RecordBuilder:
    """Return the builder of the stores in ``folder``."""
    tokens = TokenStore(folder / "tokens", decoder()[0])
    return RecordBuilder("s", tokens, ActivationStore(folder / "activations"), ExamplesConfig(align=align), 0)


def opened(folder: Path) -> Callable[[int], Result]:
    """Return what builds a record; what another process calls."""
    return judge(folder)


def judge(folder: Path, align: str = "tile") -> Callable[[int], Result]:
    """Return what builds a record with its facts, as a run has it."""
    tokens = TokenStore(folder / "tokens", decoder()[0])
    store = ActivationStore(folder / "activations", context_starts=tokens.context_starts)
    locator = Locator(tokens)
    built = RecordBuilder("s", tokens, store, ExamplesConfig(align=align), 0, locator)
    return judging(_selection(), built, "s", FactReader(tokens, store, locator).facts)


def cold(folder: Path, feature: int) -> None:
    """Print the milliseconds of one record in this process, on the grid and around peaks."""
    times = {}
    for align in ("tile", "peak"):
        build = judge(folder, align)
        build(0)
        _forget(folder / "activations")
        begun, cpu = time.perf_counter(), time.process_time()
        record = build(feature)
        times[align] = (time.perf_counter() - begun) * 1000
        times[f"{align} cpu"] = (time.process_time() - cpu) * 1000
        if not isinstance(record, FeatureRecord):
            raise TypeError(record)
        feature += 1  # the other one's pages are warm now
    print(json.dumps(times))


def main() -> None:
    """Print the figures."""
    figures = Figures(f"records: {N_TOKENS:,} tokens, {DENSE:,} activations cold, {FEATURES:,} features in a row")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder, figures)
        _state_cold(folder, figures)
        _state_rate(folder, figures)
    figures.end()


def _write(folder: Path, figures: Figures) -> None:
    tokenizer, called = decoder()
    sizes = np.exp(np.random.default_rng(2).uniform(np.log(FEWEST), np.log(MOST), FEATURES)).astype(np.int64)
    shape = Shape(N_TOKENS, (*sizes.tolist(), *[DENSE] * (2 * COLD_RUNS)))
    begun = time.perf_counter()
    write_tokens(folder / "tokens", shape, tokenizer)
    write_activations(folder / "activations", shape)
    figures.note("token texts", called)
    figures.note("activations written", float(sum(shape.features)))
    figures.note("writing both stores, not counted below", time.perf_counter() - begun, "s")


def _state_cold(folder: Path, figures: Figures) -> None:
    begun = time.perf_counter()
    builder(folder)
    figures.note("opening the stores and the builder, once", time.perf_counter() - begun, "s")
    runs = []
    for run in range(COLD_RUNS):
        command = [sys.executable, "-m", "benchmarks.activations.records", _COLD, str(folder), str(FEATURES + 2 * run)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 -- our own
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    medians = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    figures.at_most("one cold record", medians["tile"], LIMIT_MS, "ms")
    figures.note("  the least of the processes", min(run["tile"] for run in runs), "ms")
    figures.note("  processor time", medians["tile cpu"], "ms")
    figures.note("one cold record, windows around peaks", medians["peak"], "ms")
    figures.note("  processor time", medians["peak cpu"], "ms")


def _state_rate(folder: Path, figures: Figures) -> None:
    processes = processes_for(FEATURES, None)
    tokens, store = TokenStore(folder / "tokens", decoder()[0]), ActivationStore(folder / "activations")
    locator = Locator(tokens)
    built = RecordBuilder("s", tokens, store, ExamplesConfig(), 0, locator)
    facts = FactReader(tokens, store, locator).facts
    for number, features in ((1, FEATURES // 10), (processes, FEATURES)):
        selection = _selection(features)
        begun = time.perf_counter()
        with building_on(number, partial(opened, folder)) as building:
            records, _ = select_features(selection, built, FEATURES, "s", facts=facts, building=building)
        rate = len(records) / (time.perf_counter() - begun)
        if features == FEATURES:
            figures.at_least(f"records a second, processes: {number}", rate, LIMIT_RATE)
        else:
            figures.note("records a second in one process", rate)


def _selection(features: int = FEATURES) -> FeaturesConfig:
    return FeaturesConfig(select="range", start=0, stop=features)


def _forget(folder: Path) -> None:
    """Drop the pages of a folder's files from the page cache."""
    for path in folder.iterdir():
        with path.open("rb") as stream:
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    if sys.argv[1:2] == [_COLD]:
        cold(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
