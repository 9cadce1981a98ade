"""The generation scorer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.api import (
    ConfigError,
    Item,
    Outcome,
    Score,
    ScorerEstimate,
    TaskKind,
    auroc,
    derive_seed,
    estimate_writing,
    gather_in_order,
    judge_of,
    write_texts,
)
from harness_generation.modes import coverage, find_modes
from harness_generation.prompt import NEAR_MISSES, WRITE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import ExampleShape, Explanation, Resources, ScoreRecord, TextActivations, Written, WrittenText
    from harness_generation.config import GenerationConfig

__all__ = ["GenerationScorer"]

NOTHING_WRITTEN = "no text that should activate was written, or each of them as a near-miss too"
NO_NEAR_MISSES = "no near-miss was written, or each of them as a text that should activate too"
NO_EDGES = "the feature has too few activating windows for deciles"
NO_MODES = "no two activating windows share their active token or the one before it"
_MEDIAN = 4  # the weakest window of decile 6


class GenerationScorer:
    """Has a judge write texts that should activate the feature and near-misses, and lets the subject say which do.

    The generation score of EleutherAI's report on open-source automated interpretability (July 2024); near-misses,
    thresholds from the feature's own distribution and the coverage of its modes are ours.
    """

    def __init__(self, config: GenerationConfig) -> None:
        self.config = config

    @property
    def primary_metric(self) -> str:
        """Return ``auroc``."""
        return "auroc"

    async def score(self, record: ScoreRecord, explanation: Explanation, resources: Resources) -> Score:
        """Return the score of ``explanation``.

        Raises:
            ConfigError: If there is no judge or no subject.
            LLMError: If the judge cannot be asked at all.
            SubjectError: If the subject's hidden states are not finite.
        """
        judge, subject = judge_of(resources, "generation"), resources.subject
        if subject is None:
            raise ConfigError("scorer 'generation' needs the subject model", where="subject", hint="give one")
        asked = (
            (TaskKind.WRITE, WRITE, self.config.calls),
            (TaskKind.WRITE_NEAR_MISSES, NEAR_MISSES, self.config.near_miss_calls),
        )
        width = _width(record)
        should, near = await gather_in_order(
            write_texts(
                kind,
                explanation.text,
                instruction,
                self.config.writing(calls, width),
                judge,
                derive_seed(resources.seed, "generation"),
            )
            for kind, instruction, calls in asked
        )
        told = {text.text for text in should.texts}
        # A text that was written as both says nothing about either.
        both = {text.text for text in near.texts} & told
        right = [text for text in should.texts if text.text not in both]
        wrong = [text for text in near.texts if text.text not in both]
        texts = [text.text for text in (*right, *wrong)]
        found = await subject.activations(texts, record.feature) if texts else ()
        fires, stays = found[: len(right)], found[len(right) :]
        return self._scored(record, (should, near), (right, wrong), (fires, stays), len(both))

    def estimate(self, shape: ExampleShape) -> ScorerEstimate:
        """Return what one unit is expected to take."""
        config = self.config
        parts = [
            estimate_writing(
                instruction, config.writing(calls, shape.window_tokens), shape.explanation_tokens, shape.counter
            )
            for instruction, calls in ((WRITE, config.calls), (NEAR_MISSES, config.near_miss_calls))
        ]
        return ScorerEstimate(
            sum(part.calls for part in parts),
            sum(part.input_tokens for part in parts),
            sum(part.output_tokens for part in parts),
        )

    def _scored(
        self,
        record: ScoreRecord,
        written: tuple[Written, Written],
        texts: tuple[Sequence[WrittenText], Sequence[WrittenText]],
        found: tuple[Sequence[TextActivations], Sequence[TextActivations]],
        both: int,
    ) -> Score:
        fires, stays = [one.max for one in found[0]], [one.max for one in found[1]]
        edges = record.statistics.decile_edges
        modes = find_modes(record.examples.activating, self.config.min_mode_windows)
        covered, reached = coverage(modes, found[0])
        metrics = {
            "auroc": auroc(fires, stays),
            "share_activating": _share(fires),
            "share_above_lowest_decile": _share(fires, edges[0]) if edges else None,
            "share_above_median": _share(fires, edges[_MEDIAN]) if edges else None,
            "mode_coverage": covered if fires else None,
            "near_misses_activating": _share(stays),
        }
        reasons = {
            "auroc": NO_NEAR_MISSES,
            "share_above_lowest_decile": NO_EDGES,
            "share_above_median": NO_EDGES,
            "mode_coverage": NO_MODES,
            "near_misses_activating": NO_NEAR_MISSES,
        }
        if not fires:
            reasons |= dict.fromkeys((name for name in metrics if name != "near_misses_activating"), NOTHING_WRITTEN)
        windows = (*record.examples.activating, *record.examples.non_activating)
        width = _width(record)
        n_windows = record.statistics.n_tokens // width if windows and width else 0
        natural = min(1.0, record.statistics.n_activating_windows / n_windows) if n_windows else None
        return Score(
            metrics=metrics,
            items=(
                *_items(texts[0], found[0], "should_activate", truth=True),
                *written[0].failures,
                *_items(texts[1], found[1], "near_miss", truth=False),
                *written[1].failures,
            ),
            usage=written[0].usage + written[1].usage,
            reasons={name: reasons[name] for name, value in metrics.items() if value is None},
            breakdown={
                "should_activate": {**written[0].counts, "scored": float(len(fires))},
                "near_miss": {**written[1].counts, "scored": float(len(stays))},
                "written_as_both": {"texts": float(both)},
                "modes": {
                    "modes": float(len(modes.modes)),
                    "reached": float(reached),
                    "windows": float(sum(mode.windows for mode in modes.modes)),
                    "windows_in_no_mode": float(modes.left_over),
                },
                "corpus": {"activating_windows": natural if record.statistics.sampling is None else None},
            },
            lost=max(one.lost for one in written),
        )


def _width(record: ScoreRecord) -> int:
    """Return how many tokens a window has."""
    windows = (*record.examples.activating, *record.examples.non_activating)
    return max((len(example.tokens) for example in windows), default=0)


def _share(values: Sequence[float], threshold: float | None = None) -> float | None:
    """Return the share of values at or above ``threshold``, or above 0; None if there are none."""
    reached = sum(value > 0 if threshold is None else value >= threshold for value in values)
    return reached / len(values) if values else None


def _items(
    texts: Sequence[WrittenText], found: Sequence[TextActivations], kind: str, *, truth: bool
) -> tuple[Item, ...]:
    """Return the evidence: what the judge meant is true, and the feature answers."""
    return tuple(
        Item(
            key=text.key,
            kind=kind,
            decile=None,
            truth=truth,
            prediction=one.max > 0,
            value=one.max,
            outcome=Outcome.OK,
            text=text.text,
        )
        for text, one in zip(texts, found, strict=True)
    )
