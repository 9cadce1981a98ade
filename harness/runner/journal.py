"""The run's files while it runs: what is already there, what each finished unit adds, and the final order.

A unit's evidence is written before its score line, so the score line is the commit mark: after a crash, evidence
without a score line is dropped and the unit is done again.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from harness.errors import ResultsError
from harness.results.jsonl import append_line, append_lines, read_lines, repair_tail, rewrite_sorted
from harness.results.records import ExplanationLine, ItemLine, ScoreLine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from harness.results.runfolder import RunFolder

    Finished = Callable[[str, ExplanationLine | ScoreLine], None]

__all__ = ["Journal"]


class Journal:
    """Reads and writes the records of one run. The run folder's lock must be held.

    Args:
        folder: The run's folder.
        finished: Called with the stage and the line after each unit is on disk.

    Attributes:
        explanations: Finished explanations by unit; failed calls are absent, so that they are tried again.
        scores: Finished scores by unit; failed units are absent, likewise.
    """

    def __init__(self, folder: RunFolder, finished: Finished) -> None:
        self._folder = folder
        self._finished = finished
        self.explanations: dict[str, ExplanationLine] = {}
        self.scores: dict[str, ScoreLine] = {}

    def load(self) -> None:
        """Repair torn last lines, read what is finished, and drop evidence of unfinished units.

        Raises:
            ResultsError: If a line other than a torn last one is not a valid record.
        """
        for path in (self._folder.explanations, self._folder.scores, self._folder.items):
            repair_tail(path)
        for explanation in read_lines(self._folder.explanations, ExplanationLine):
            if explanation.outcome != "error":
                self.explanations[explanation.unit] = explanation
        for score in read_lines(self._folder.scores, ScoreLine):
            if score.status != "error":
                self.scores[score.unit] = score
        _keep_lines(self._folder.items, set(self.scores))

    def add_explanation(self, line: ExplanationLine) -> None:
        """Put one finished explanation on disk."""
        self.add_explanations([line])

    def add_explanations(self, lines: Sequence[ExplanationLine]) -> None:
        """Put finished explanations on disk, all of them or none."""
        if lines:
            append_lines(self._folder.explanations, lines, sync=True)
        for line in lines:
            self.explanations[line.unit] = line
            self._finished("explain", line)

    def add_score(self, line: ScoreLine, items: Sequence[ItemLine]) -> None:
        """Put one finished score and its evidence on disk, evidence first."""
        append_lines(self._folder.items, items, sync=True)
        append_line(self._folder.scores, line, sync=True)
        self.scores[line.unit] = line
        self._finished("score", line)

    def finalise(self, explanation_units: Sequence[str], score_units: Sequence[str]) -> None:
        """Rewrite the files in plan order, one line or block per unit, dropping what is not of this plan.

        The same run so leaves the same bytes, in whatever order its units finished and however often it was stopped.
        """
        explanations = [self.explanations[unit] for unit in explanation_units if unit in self.explanations]
        scores = [self.scores[unit] for unit in score_units if unit in self.scores]
        rewrite_sorted(self._folder.explanations, explanations)
        rewrite_sorted(self._folder.scores, scores)
        _order_lines(self._folder.items, [line.unit for line in scores])


def _keep_lines(path: Path, units: set[str]) -> None:
    """Rewrite ``path`` without the lines of other units, if there are any."""
    blocks = _index(path)
    if set(blocks) - units:
        _copy(path, (span for unit, spans in blocks.items() if unit in units for span in spans))


def _order_lines(path: Path, order: Iterable[str]) -> None:
    """Rewrite ``path`` with the units' lines in the order given."""
    blocks = _index(path)
    _copy(path, (span for unit in order for span in blocks.get(unit, ())))


def _index(path: Path) -> Mapping[str, list[tuple[int, int]]]:
    """Return where each unit's lines lie: byte offset and length, in file order. Lines themselves are not kept."""
    blocks: dict[str, list[tuple[int, int]]] = {}
    offset = 0
    if path.exists():
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                blocks.setdefault(_unit(path, number, line), []).append((offset, len(line)))
                offset += len(line)
    return blocks


def _unit(path: Path, number: int, line: bytes) -> str:
    try:
        return str(json.loads(line)["unit"])
    except (ValueError, KeyError, TypeError) as error:
        raise ResultsError(
            "not a record of a unit",
            where=f"{path}:{number}",
            hint="mend or remove the line; what was removed is done again",
        ) from error


def _copy(path: Path, spans: Iterable[tuple[int, int]]) -> None:
    """Replace ``path`` atomically by the named stretches of itself."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as target:
        if path.exists():
            with path.open("rb") as source:
                for offset, length in spans:
                    source.seek(offset)
                    target.write(source.read(length))
        target.flush()
        os.fsync(target.fileno())
    partial.replace(path)
