"""Compare what judges answered to the same questions: the runs of one experiment that differ in their judge only.

    python tools/judges/compare.py REFERENCE_RUN RUN [RUN ...]

Prints a Markdown table: how many verdicts (P(yes) at least one half) are equal with those of the first run, how far the
P(yes) lie apart, and what that does to the mean AUROC. Questions are matched by feature, explanation text and example.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING

from harness.results.jsonl import read_lines
from harness.results.records import ItemLine, ScoreLine
from harness.scoring.classification import auroc
from harness.stats.intervals import mean_interval, paired_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.stats.intervals import Estimate

HALF = 0.5
Question = tuple[str, int, str, str]
Unit = tuple[str, int, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answered question: P(yes), and whether yes would be right."""

    value: float
    truth: bool


def read_answers(run: Path) -> dict[Question, Answer]:
    """Return P(yes) by (subject, feature, digest of the explanation, example) of one run's answered questions."""
    digests = {score.unit: score.explanation_digest or "" for score in read_lines(run / "scores.jsonl", ScoreLine)}
    return {
        (item.subject, item.feature, digests[item.unit], item.key): Answer(item.value, item.truth)
        for item in read_lines(run / "items.jsonl", ItemLine)
        if item.value is not None and item.truth is not None
    }


def areas(answers: Mapping[Question, Answer]) -> dict[Unit, float]:
    """Return the AUROC of every unit that has one."""
    sides: dict[Unit, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for (subject, feature, digest, _), answer in answers.items():
        sides[subject, feature, digest][0 if answer.truth else 1].append(answer.value)
    found = {unit: auroc(positive, negative) for unit, (positive, negative) in sides.items()}
    return {unit: area for unit, area in found.items() if area is not None}


def by_feature(values: Mapping[tuple[str, int], Sequence[float]]) -> list[float]:
    """Return the mean of each feature: its questions are not independent, so that the feature is what is counted."""
    return [fmean(each) for each in values.values()]


def row(name: str, reference: Mapping[Question, Answer], other: Mapping[Question, Answer]) -> str:
    """Return one line of the table."""
    shared = sorted(reference.keys() & other.keys())
    equal: dict[tuple[str, int], list[float]] = defaultdict(list)
    differences = []
    for question in shared:
        one, two = reference[question].value, other[question].value
        equal[question[:2]].append(float((one >= HALF) == (two >= HALF)))
        differences.append(two - one)
    share = mean_interval(by_feature(equal), 0.0, 1.0)
    n_equal = int(sum(sum(each) for each in equal.values()))
    near = max(
        (abs(reference[each].value - HALF) for each in shared if disagree(reference[each], other[each])), default=0.0
    )
    sizes = [abs(each) for each in differences]
    area = paired_interval(areas(other), areas(reference), -1.0, 1.0)
    cells = (
        name,
        f"{len(shared)}",
        f"{n_equal / len(shared):.1%} ({n_equal})",
        interval(share, ".1%"),
        f"{fmean(sizes):.4f}",
        f"{median(sizes):.4f}",
        f"{max(sizes):.4f}",
        f"{fmean(differences):+.4f}",
        f"{near:.3f}",
        f"{signed(area.mean)} ({interval(area, '+.4f')})",
    )
    return f"| {' | '.join(cells)} |"


def disagree(one: Answer, other: Answer) -> bool:
    """Return whether two answers are different verdicts."""
    return (one.value >= HALF) != (other.value >= HALF)


def signed(value: float | None) -> str:
    """Return a difference, or a dash where it is not defined."""
    return "-" if value is None else f"{value:+.4f}"


def interval(estimate: Estimate, form: str) -> str:
    """Return the ends of an interval, or a dash where there is none."""
    if estimate.low is None or estimate.high is None:
        return "-"
    return f"{estimate.low:{form}} to {estimate.high:{form}}"


HEADER = """| judge | questions | equal verdicts | 95 % | mean \\|dP\\| | median \\|dP\\| | max \\|dP\\| | mean dP \
| farthest from 1/2 of an unequal one | mean AUROC difference (95 %) |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders; the first is what the others are compared with")
    folders = parser.parse_args().runs
    found = [read_answers(folder) for folder in folders]
    lines = [HEADER, *(row(folder.name, found[0], each) for folder, each in zip(folders[1:], found[1:], strict=True))]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
