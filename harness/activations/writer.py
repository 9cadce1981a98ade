"""Writing activations sorted by feature, with bounded memory and a state to go on from after any crash.

Activations are held in memory, written as sorted runs, and merged by blocks of features in the end. After each span of
the corpus the runs and what is known of every feature are committed: a writer that finds such a state goes on there.
"""

from __future__ import annotations

import json
import shutil
import zipfile
import zlib
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from harness.activations import positions as code
from harness.activations.artefact import ArrayAppender, save_array, save_arrays, write_meta
from harness.activations.context_sample import MOST_KEPT, SCHEME, STRONGEST_CONTEXTS, SampleState
from harness.activations.runs import Run, merged, write_run
from harness.activations.store import FILES, FORMAT, KIND, SAMPLED, SPANS
from harness.activations.unfinished import RUNS, STATE, clear_remains
from harness.errors import FeatureSourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from harness.activations.runs import Block

__all__ = ["ENTRY_BYTES", "RUN_ENTRIES", "ActivationWriter", "SpanFacts"]

RUN_ENTRIES = 1 << 21
"""Activations held in memory before a sorted run is written."""
MERGED_AT_ONCE = 1 << 19
"""Activations merged at once: few against those of a run, so that the end takes no more memory than the way there."""
ENTRY_BYTES = 128
"""Memory that an activation held needs at most, two runs being in memory while one is sorted and written."""


_UINT32_VALUES = 1 << 32
_FLOAT16_LARGEST = float(np.finfo(np.float16).max)
_FLOAT16_SMALLEST = float(np.finfo(np.float16).smallest_subnormal)
_OUTSIDE = "outside_context_sample"


@dataclass
class SpanFacts:
    """What came in on one span of the corpus.

    Attributes:
        digest: The span's.
        end: One past its last position.
        dropped: Active values the source left out, by reason.
        largest: Largest absolute value.
        smallest: Smallest absolute value; infinity if there is none.
        error: Largest relative error that rounding to float16 made.
    """

    digest: str = ""
    end: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    largest: float = 0.0
    smallest: float = np.inf
    error: float = 0.0

    def plain(self) -> dict[str, Any]:
        """Return it as plain data; JSON knows no infinity."""
        smallest = None if np.isinf(self.smallest) else self.smallest
        return {**vars(self), "smallest": smallest}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Self:
        """Return what ``plain`` was made of."""
        smallest = plain["smallest"]
        return cls(**{**plain, "smallest": np.inf if smallest is None else smallest})


class ActivationWriter:
    """Writes the store of one subject into ``folder``, which somebody else moves into place.

    Args:
        folder: An empty folder, or one that an earlier writer of the same store left.
        n_features: How many features the source has.
        n_tokens: How many corpus tokens are looked at.
        name: The subject, for messages.
        run_entries: Activations held in memory at once.
        context_starts: First position of every context and one past the last. Without it all activations of every
            feature are kept, however many.
        most_kept: Activations of a feature above which a sample of contexts is kept.
        strongest: Contexts of such a feature kept for their largest value.
        made_with: What values depend on beside the store's identity; what was committed with other such is made again.
    """

    def __init__(
        self,
        folder: Path,
        n_features: int,
        n_tokens: int,
        name: str,
        run_entries: int = RUN_ENTRIES,
        *,
        context_starts: np.ndarray | None = None,
        most_kept: int = MOST_KEPT,
        strongest: int = STRONGEST_CONTEXTS,
        made_with: str = "",
    ) -> None:
        self._folder, self._n_features, self._n_tokens, self._name = folder, n_features, n_tokens, name
        self._run_entries, self._made_with = run_entries, made_with
        self._begun_again = False
        starts = np.array([0, n_tokens]) if context_starts is None else np.asarray(context_starts)
        most = max(n_tokens, 1) if context_starts is None else most_kept
        self._sample = SampleState.fresh(n_features, starts, most, strongest)
        self._settled: dict[str, np.ndarray] | None = None
        self._held: list[tuple[np.ndarray, np.ndarray]] = []
        self._n_held = 0
        self._runs: list[Run] = []
        self._spans: list[SpanFacts] = []
        self._span = SpanFacts()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="runs")
        self._pending: Future[None] | None = None
        self._fresh = {name: array.copy() for name, array in self._sample.arrays().items()}
        (folder / RUNS).mkdir(exist_ok=True)
        self._restore()

    @property
    def n_features(self) -> int:
        """Return how many features the source has."""
        return self._n_features

    @property
    def spans_done(self) -> tuple[SpanFacts, ...]:
        """Return the spans that are committed."""
        return tuple(self._spans)

    @property
    def begun_again(self) -> bool:
        """Return whether something was committed that cannot be gone on from."""
        return self._begun_again

    def close(self) -> None:
        """Wait for what is being written, whatever becomes of it."""
        self._pool.shutdown(wait=True)

    def start_over(self) -> None:
        """Forget everything."""
        self._wait()
        self._runs, self._spans = [], []
        self._sample.restore(self._fresh)
        (self._folder / STATE).unlink(missing_ok=True)
        shutil.rmtree(self._at)
        self._at.mkdir()

    def add(
        self,
        positions: np.ndarray,
        features: np.ndarray,
        values: np.ndarray,
        dropped: Mapping[str, int],
        *,
        more: bool = False,
    ) -> None:
        """Add activations in any order; exact zeros are no activations and are passed over.

        Values are rounded to float16 where that makes neither infinity nor zero of them.

        Args:
            positions: Their positions in the corpus.
            features: Their features.
            values: Their values.
            dropped: Active values left out, by reason.
            more: Whether the next call goes on in the same context.

        Raises:
            FeatureSourceError: If a value is not finite or a feature does not exist.
        """
        counted = Counter(self._span.dropped)
        counted.update({reason: int(count) for reason, count in dropped.items()})
        self._span.dropped = dict(counted)
        kept = values != 0
        positions, features, values = positions[kept], features[kept], values[kept]
        if values.size:
            self._refuse_nonsense(positions, features, values)
            keys = features.astype(np.int64) * self._n_tokens + positions.astype(np.int64)
            self._held.append((keys, self._rounded(values.astype(np.float32))))
            self._n_held += keys.size
        if self._n_held >= self._run_entries and not more:
            self._flush()

    def end_span(self, digest: str, end: int) -> None:
        """Commit everything added since the last span ended: a crash from now on loses none of it.

        The last span of a corpus, which comes after ``settle``, is not committed but made again.
        """
        self._flush()
        facts, self._span = self._span, SpanFacts()
        facts.digest, facts.end = digest, end
        if self._settled is None:
            self._later(lambda: self._commit(facts))
        else:
            self._spans.append(facts)

    def settle(self) -> None:
        """Say that what follows is the last span, which would be another one if the corpus went on."""
        self._flush()
        self._wait()
        self._settled = {name: array.copy() for name, array in self._sample.arrays().items()}
        self._sample.settle()

    def take_over(self, blocks: Iterable[Block], spans: Sequence[SpanFacts], sampled: Mapping[str, np.ndarray]) -> None:
        """Begin with what another store has of the same spans.

        Args:
            blocks: All its entries on them, ascending.
            spans: The spans.
            sampled: The state of its sampled features after them, as ``SampleState.arrays`` has it.
        """
        mine = sampled["features"]
        if mine.size:
            own = self._sample.arrays()
            for name in ("n_active", "largest", "level"):
                own[name][mine] = sampled[name]
            more = {name: sampled[name] for name in ("features", "counts", "strongest")}
            self._sample.restore({**own, **more, "settled": np.full_like(sampled["strongest"], -1)})
        for block in blocks:
            counts = np.zeros(self._n_features, dtype=np.int64)
            counts[block.first : block.last] = np.bincount(
                block.features - block.first, minlength=block.last - block.first
            )
            self._see_imported(block, mine)
            self._write(counts, block.positions, block.values)
        self._spans = [*spans[:-1]]
        self._commit(spans[-1])

    def finish(self, meta: Mapping[str, Any]) -> None:
        """Merge the runs and write the store with its ``meta.json``.

        Raises:
            FeatureSourceError: If a feature was given two values at one position.
        """
        self._flush()
        self._wait()
        spans = [*self._spans, *([self._span] if self._span != SpanFacts() else [])]
        values_type, why = _values_type(spans)
        n_kept = self._merge(values_type)
        dropped = _summed(spans)
        outside = int(self._sample.n_active.sum()) - n_kept
        if self._sample.features.size:
            dropped[_OUTSIDE] = outside
        self._write_sampled()
        lines = "".join(json.dumps(span.plain(), sort_keys=True) + "\n" for span in spans)
        (self._folder / SPANS).write_text(lines, encoding="utf-8")
        facts = {
            "kind": KIND,
            "format": FORMAT,
            "n_features": self._n_features,
            "n_tokens": self._n_tokens,
            "n_activations": n_kept,
            "dropped": dict(sorted(dropped.items())),
            "values": {
                "type": np.dtype(values_type).name,
                "max_relative_error": max((span.error for span in spans), default=0.0),
                "reason": why,
            },
            "sampling": {
                "features": int(self._sample.features.size),
                "scheme": SCHEME,
                "most_kept": self._sample.most,
                "strongest_contexts": int(self._sample.strongest.shape[1]),
            },
        }
        # With meta.json the store is whole; only then may go what it could be made again from.
        write_meta(self._folder, {**meta, **facts}, (*FILES, SAMPLED, SPANS))
        clear_remains(self._folder)
        self.close()

    def _rounded(self, values: np.ndarray) -> np.ndarray:
        """Return values as float16 holds them, where it does."""
        span, sizes = self._span, np.abs(values)
        span.largest = max(span.largest, float(sizes.max()))
        span.smallest = min(span.smallest, float(sizes.min()))
        with np.errstate(over="ignore"):
            short = values.astype(np.float16).astype(np.float32)
        held = np.isfinite(short) & (short != 0)
        rounded = np.where(held, short, values)
        span.error = max(span.error, float(np.max(np.abs(rounded.astype(np.float64) - values) / sizes)))
        return rounded

    def _refuse_nonsense(self, positions: np.ndarray, features: np.ndarray, values: np.ndarray) -> None:
        wrong = ~np.isfinite(values)
        if wrong.any():
            at = int(np.argmax(wrong))
            raise FeatureSourceError(
                f"feature {features[at]} has the value {values[at]} at corpus token {positions[at]}",
                where=self._name,
                hint="check the weights, or load the subject model in float32",
            )
        if features.min() < 0 or features.max() >= self._n_features:
            other = features.min() if features.min() < 0 else features.max()
            raise FeatureSourceError(
                f"the source gave feature {other} but says it has {self._n_features}", where=self._name
            )

    def _flush(self) -> None:
        if not self._held:
            return
        held, self._held, self._n_held = self._held, [], 0
        self._later(lambda: self._spill(held))

    def _later(self, work: Callable[[], None]) -> None:
        """Do ``work`` beside the model's next batches, after everything handed over before."""
        self._wait()
        self._pending = self._pool.submit(work)

    def _wait(self) -> None:
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()

    def _spill(self, held: list[tuple[np.ndarray, np.ndarray]]) -> None:
        keys = np.concatenate([keys for keys, _ in held])
        values = np.concatenate([values for _, values in held])
        held.clear()
        order = np.argsort(keys)
        keys, values = keys[order], values[order]
        del order
        self._refuse_two_values(keys)
        features, positions = np.divmod(keys, self._n_tokens)
        del keys
        self._sample.see(features, positions, values, self._earlier)
        kept = self._sample.kept(features, positions)
        if not kept.all():
            features, positions, values = features[kept], positions[kept], values[kept]
        self._write(np.bincount(features, minlength=self._n_features), positions, values)

    def _earlier(self, features: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        for run in list(self._runs):
            yield from run.entries(self._at, features, MERGED_AT_ONCE)

    @property
    def _at(self) -> Path:
        return self._folder / RUNS

    def _write(self, counts: np.ndarray, positions: np.ndarray, values: np.ndarray) -> None:
        wide = self._n_tokens > _UINT32_VALUES
        self._runs.append(write_run(self._at, f"{len(self._runs):06d}", counts, positions, values, wide=wide))

    def _see_imported(self, block: Block, sampled: np.ndarray) -> None:
        whole = ~np.isin(block.features, sampled)  # of the others all that counts is in the state taken over
        self._sample.see(block.features[whole], block.positions[whole], block.values[whole], lambda _: ())

    def _commit(self, facts: SpanFacts) -> None:
        self._spans.append(facts)
        described = {
            "spans": [span.plain() for span in self._spans],
            "runs": [run.plain() for run in self._runs],
            "shape": [self._n_features, self._n_tokens],
            "made_with": self._made_with,
        }
        text = np.frombuffer(json.dumps(described).encode(), dtype=np.uint8)
        new = self._folder / f"new-{STATE}"
        save_arrays(new, {"described": text, **self._sample.arrays()})
        new.replace(self._folder / STATE)

    def _restore(self) -> None:
        """Go on from what an earlier writer committed; whatever is torn is made again."""
        try:
            with (self._folder / STATE).open("rb") as stream, np.load(stream, allow_pickle=False) as state:
                described = json.loads(state["described"].tobytes())
                arrays = {name: state[name] for name in state.files if name != "described"}
            runs = [Run(**run) for run in described["runs"]]
            spans = [SpanFacts.of(span) for span in described["spans"]]
            fits = described["shape"] == [self._n_features, self._n_tokens]
            fits = fits and described["made_with"] == self._made_with
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
            fits, runs, spans, arrays = False, [], [], {}
        if fits and all(run.intact(self._at) for run in runs):
            self._sample.restore(arrays)
            self._runs, self._spans = runs, spans
        self._begun_again = (self._folder / STATE).exists() and not self._spans
        held = {run.name for run in self._runs}
        for path in self._at.iterdir():
            if path.name.split(".")[0] not in held:
                path.unlink()

    def _refuse_two_values(self, keys: np.ndarray) -> None:
        """Refuse two values at one place; ``keys`` are feature times number of tokens plus position, ascending."""
        twice = np.flatnonzero(keys[1:] == keys[:-1])
        if twice.size:
            feature, position = divmod(int(keys[twice[0]]), self._n_tokens)
            raise FeatureSourceError(
                f"feature {feature} was given two values at corpus token {position}", where=self._name
            )

    def _merge(self, values_type: type[np.floating[Any]]) -> int:
        """Write indptr, offsets, positions, values and checksums, and return how many activations are kept."""
        counts = np.zeros(self._n_features, dtype=np.int64)
        lengths = np.zeros(self._n_features, dtype=np.int64)
        checksums = np.zeros(self._n_features, dtype=np.uint32)
        indptr_file, offsets_file, positions_file, values_file, checksums_file = FILES
        with (
            ArrayAppender(self._folder / positions_file, np.uint8) as positions,
            ArrayAppender(self._folder / values_file, values_type) as values,
        ):
            most = min(self._run_entries, MERGED_AT_ONCE)
            for block in merged(self._at, self._runs, self._n_features, most):
                self._refuse_two_values(block.features * self._n_tokens + block.positions)
                kept = self._sample.kept(block.features, block.positions)
                features, places = block.features[kept], block.positions[kept]
                stored = block.values[kept].astype(values_type)
                ends = np.searchsorted(features, np.arange(block.first, block.last + 1))
                codes = []
                for feature, (first, last) in enumerate(pairwise(ends.tolist()), block.first):
                    if first == last:
                        continue
                    codes.append(code.encode(places[first:last], self._n_tokens))
                    counts[feature], lengths[feature] = last - first, codes[-1].size
                    checksums[feature] = zlib.crc32(stored[first:last].data, zlib.crc32(codes[-1].data))
                positions.append(np.concatenate([np.zeros(0, dtype=np.uint8), *codes]))
                values.append(stored)
        save_array(self._folder / indptr_file, _cumulated(counts))
        save_array(self._folder / offsets_file, _cumulated(lengths))
        save_array(self._folder / checksums_file, checksums)
        return int(counts.sum())

    def _write_sampled(self) -> None:
        """Write what is known of the features of which a sample is kept, as it is and as it was when it was settled."""
        sample = self._sample
        settled = self._settled or sample.arrays()
        now = {name: sample.arrays()[name] for name in ("features", "strongest", "settled")}
        for name in ("n_active", "largest", "level"):
            now[name] = sample.arrays()[name][sample.features]
        before = {f"then_{name}": settled[name][sample.features] for name in ("n_active", "largest", "level")}
        before |= {f"then_{name}": settled[name] for name in ("counts", "strongest")}
        save_arrays(self._folder / SAMPLED, {**now, **before})


def _cumulated(counts: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def _summed(spans: Sequence[SpanFacts]) -> Counter[str]:
    dropped: Counter[str] = Counter()
    for span in spans:
        dropped.update(span.dropped)
    return dropped


def _values_type(spans: Sequence[SpanFacts]) -> tuple[type[np.floating[Any]], str]:
    largest = max((span.largest for span in spans), default=0.0)
    smallest = min((span.smallest for span in spans), default=np.inf)
    if largest > _FLOAT16_LARGEST:
        return np.float32, f"float16 ends at {_FLOAT16_LARGEST:.0f} and the largest value is {largest:.6g}"
    if smallest < _FLOAT16_SMALLEST:
        return np.float32, f"float16 would turn the smallest value, {smallest:.6g}, into 0"
    return np.float16, "all values are in the range of float16"
