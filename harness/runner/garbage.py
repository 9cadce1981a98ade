"""Noticing early that a model's answers cannot be used at all, before a whole run is spent on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import LLMError
from harness.outcome import Outcome
from harness.text import for_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.scoring.protocol import Item, Score

__all__ = ["AnswerWatch", "explainer_watch", "judge_watch", "unusable"]

_PATIENCE = 3
_JUDGE_HINT = "another judge=..., or the scorer's other mode (see `harness show scorer`)"
_EXPLAINER_HINT = "another explainer or model; `harness doctor explainer.llm=...` shows what it answers"
_MENDED = ". Try: "  # the reason itself says what to do
_SHOWN = 80
_SHOWN_ERROR = 400  # an error names its numbers and its mend


def unusable(result: Score, most_failed: float) -> str | None:
    """Return why a unit cannot be scored, or None if it can.

    It cannot if no question has an answer that can be used, or if more than the share ``most_failed`` of the questions,
    or of one side of the evidence, ended in an error: those may be answered the next time, and a score from the rest
    would be final. A side is the questions of one ``truth``, or what ``Score.lost`` is the share of.
    """
    asked = [item for item in result.items if item.outcome is not Outcome.SKIPPED]
    if not asked:
        return None
    failed = _failed(asked)
    said = _said((failed or asked)[0])
    if all(item.outcome is not Outcome.OK for item in asked):
        return f"none of {len(asked)} answers could be used; one {said}"
    for questions, sort in _parts(asked):
        lost = _failed(questions)
        if len(lost) > most_failed * len(questions):
            return f"{len(lost)} of {len(questions)} {sort} failed; one {_said(lost[0])}"
    if result.lost > most_failed:
        return f"{result.lost:.0%} of what should have been written is missing, as calls failed; one {said}"
    return None


def _parts(asked: Sequence[Item]) -> Iterator[tuple[Sequence[Item], str]]:
    """Yield all questions, then those of either side, with what they are."""
    yield asked, "questions"
    for truth, sort in ((True, "positive items"), (False, "negative items")):
        yield [item for item in asked if item.truth is truth], sort


def _failed(items: Sequence[Item]) -> list[Item]:
    return [item for item in items if item.outcome is Outcome.ERROR]


def _said(item: Item) -> str:
    """Return what became of a question, to be read after "one"; what it says itself is not said twice."""
    outcome = item.outcome.value
    if item.error is None:
        return f"was {outcome}: {for_terminal(item.reply or '', limit=_SHOWN)}"
    error = for_terminal(item.error, limit=_SHOWN_ERROR)
    if item.outcome is Outcome.ERROR:
        return f"failed with: {error}"
    return f"was {error}" if error.startswith(outcome) else f"was {outcome}: {error}"


class AnswerWatch:
    """Counts features for which a language model gave nothing that can be used, until it gives something.

    Args:
        useless: What is wrong with what it gives, as the beginning of a sentence about several features.
        where: What asks it.
        hint: What to try where the reason itself says nothing.
        features: How many features there are: of two that both come to nothing there is no third to wait for. A single
            one is no evidence against a model.
        trusted: Whether an earlier process had something of use; the model is then not doubted again.
    """

    def __init__(
        self, useless: str, where: str, hint: str, *, features: int = _PATIENCE, trusted: bool = False
    ) -> None:
        self._useless_what = useless
        self._where = where
        self._hint = hint
        self._patience = max(2, min(_PATIENCE, features))
        self._trusted = trusted
        self._useless: set[tuple[str, int]] = set()

    def saw(self, feature: tuple[str, int], reason: str | None) -> None:
        """Take note of one unit. Several units of one feature count once: they share its windows.

        Raises:
            LLMError: If nothing of use came for the first features: for the rest there would be nothing either.
        """
        if reason is None:
            self._trusted = True
        elif not self._trusted:
            self._useless.add(feature)
            if len(self._useless) >= self._patience:
                subject, number = feature
                raise LLMError(
                    f"{self._useless_what}, those about {subject}/{number} for instance: {reason}",
                    where=self._where,
                    hint=None if _MENDED in reason else self._hint,
                )


def judge_watch(scorer: str, *, features: int = _PATIENCE, trusted: bool = False) -> AnswerWatch:
    """Return the watch over a judge's answers to one scorer's questions."""
    return AnswerWatch(
        "the judge's answers cannot be used", f"scorer {scorer}", _JUDGE_HINT, features=features, trusted=trusted
    )


def explainer_watch(*, features: int = _PATIENCE, trusted: bool = False) -> AnswerWatch:
    """Return the watch over an explainer's language model."""
    useless = "the explainer's questions come to nothing"
    return AnswerWatch(useless, "explainer", _EXPLAINER_HINT, features=features, trusted=trusted)
