"""The simulation scorer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.api import (
    Item,
    LLMError,
    Outcome,
    Score,
    ScorerEstimate,
    Usage,
    check_prompt_logprobs,
    for_prompt,
    gather_in_order,
    judge_of,
    unanswered_side,
)
from harness_simulation import all_at_once, structured, token_by_token
from harness_simulation.config import ALL_AT_ONCE, AUTO, STRUCTURED, TOKEN_BY_TOKEN
from harness_simulation.measures import Predicted, calibration_documents, measure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import LLM, Example, ExampleShape, Explanation, Resources, ScoreRecord
    from harness_simulation.config import SimulationConfig
    from harness_simulation.simulated import Simulated

__all__ = ["SimulationScorer", "check"]

_WHERE = "scorers.simulation.readout"
_LINE_TOKENS = 3  # a tab, the blank and the end of the line; as many for the number of a line and what it writes
_MIDDLE = 2  # of a window, half stands before a token on average


class SimulationScorer:
    """Lets the judge predict the activation on every token from the explanation, and compares it with the true one.

    Bills et al. 2023, "Language models can explain neurons in language models"; Paulo et al. 2024 (arXiv 2410.13928,
    section 3.2, simulation).
    """

    def __init__(self, config: SimulationConfig) -> None:
        self.config = config

    @property
    def primary_metric(self) -> str:
        """Return ``r``."""
        return "r"

    async def score(self, record: ScoreRecord, explanation: Explanation, resources: Resources) -> Score:
        """Return the score of ``explanation`` over all windows of the record.

        Raises:
            ConfigError: If there is no judge.
            LLMError: If the judge cannot be asked at all, or lacks what the read-out needs.
        """
        judge = judge_of(resources, "simulation")
        check(self.config, judge)
        readout = _readout(self.config, judge)
        examples = (*record.examples.activating, *record.examples.non_activating)
        windows = await self._simulate(readout, examples, explanation.text, judge)
        pairs = list(zip(examples, windows, strict=True))
        items = tuple(_item(example, one) for example, one in pairs)
        report = measure(
            [Predicted(example, one.values) for example, one in pairs if one.outcome is Outcome.OK],
            record.statistics,
            held_out=calibration_documents(examples, resources.seed),
            calibration=self.config.calibration,
        )
        metrics, reasons, lost = report.metrics.values, report.metrics.reasons, unanswered_side(items)
        if lost is not None:
            metrics = dict.fromkeys(metrics)
            reasons = {**dict.fromkeys(metrics, lost), **reasons}
        return Score(
            metrics=metrics,
            items=items,
            usage=sum((one.usage for one in windows), Usage()),
            reasons=reasons,
            breakdown={**report.parts, "readout": {readout: 1.0}},
        )

    def estimate(self, shape: ExampleShape) -> ScorerEstimate:
        """Return what one unit is expected to take, re-asks left out; ``auto`` is taken for the dearer of its two."""
        n, tokens, text = shape.n_activating + shape.n_non_activating, shape.window_tokens, shape.counter.text
        if self.config.readout == TOKEN_BY_TOKEN:
            frame = shape.counter.chat(token_by_token.messages_for(("",), 0, ""))
            each = frame + shape.explanation_tokens + tokens // _MIDDLE + 1
            return ScorerEstimate(calls=n * tokens, input_tokens=n * tokens * each, output_tokens=n * tokens)
        listed = tokens * (1 + _LINE_TOKENS) + shape.explanation_tokens
        if self.config.readout == ALL_AT_ONCE:
            frame = text(all_at_once.frame_of(all_at_once.FIRST))
            return ScorerEstimate(calls=n, input_tokens=n * (frame + listed))
        frame = shape.counter.chat(structured.messages_for((), ""))
        return ScorerEstimate(calls=n, input_tokens=n * (frame + listed), output_tokens=n * (2 * tokens + 1))

    async def _simulate(
        self, readout: str, examples: Sequence[Example], explanation: str, judge: LLM
    ) -> list[Simulated]:
        config = self.config
        if readout == ALL_AT_ONCE:
            return await all_at_once.simulate_all_at_once(examples, explanation, judge, config.top_logprobs)
        if readout == TOKEN_BY_TOKEN:
            return await gather_in_order(
                token_by_token.simulate_token_by_token(example, explanation, judge, config.top_logprobs)
                for example in examples
            )
        return await gather_in_order(
            structured.simulate_structured(example, explanation, judge, config.re_asks) for example in examples
        )


def check(config: SimulationConfig, judge: LLM) -> None:
    """Check that the judge reports what the read-out needs.

    Raises:
        LLMError: If it does not.
    """
    otherwise = "scorers.simulation.readout=structured"
    if config.readout == ALL_AT_ONCE:
        check_prompt_logprobs(judge, _WHERE, otherwise)
    elif config.readout == TOKEN_BY_TOKEN and not judge.capabilities.logprobs:
        what = "it reads the log-probabilities of an answer's tokens, and this judge reports none"
        raise LLMError(what, where=_WHERE, hint=f"{otherwise}, or judge.logprobs=true if it can")


def _readout(config: SimulationConfig, judge: LLM) -> str:
    """Return the read-out; token by token is never chosen, as it takes a call for every token."""
    if config.readout != AUTO:
        return config.readout
    return ALL_AT_ONCE if judge.capabilities.prompt_logprobs else STRUCTURED


def _item(example: Example, window: Simulated) -> Item:
    known = [value for value in window.values if value is not None]
    return Item(
        key=example.key,
        kind=str(example.kind),
        decile=example.decile,
        truth=example.activating,
        prediction=None,
        value=max(known, default=None),
        outcome=window.outcome,
        text=for_prompt(example.text),
        reply=window.reply,
        error=window.error,
    )
