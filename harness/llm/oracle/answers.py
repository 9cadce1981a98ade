"""What an oracle answers to a task: by the rule of the explanation, wrongly at a set rate.

Every draw depends on the seed and the question alone, so that the same question has the same answer in any company.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.llm.oracle import writing
from harness.llm.task import TaskKind
from harness.planted.catalogue import planted_rule
from harness.planted.rules import STRONGEST, on_tokens
from harness.seeding import generator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

    from harness.llm.task import Task
    from harness.planted.rules import Rule

__all__ = ["ANSWERS", "Answer", "Oracle"]

ANSWERS = 1
"""Raise it when a question may get another answer: by what is drawn, reckoned or quoted here or in ``writing``."""
_LEAST, _MOST = 0.02, 0.98
_ABSENT = 0.1  # P(yes) of a text without a match
_NOISE = 0.05
_CLEAR = 6.5  # strength from which a rating is 2: between those of a rule's core and of the rest
_UNKNOWN_LEVELS = 4  # simulated strengths of an explanation that names nothing are below this
_BASE_LOGPROB = -6.0
_SWAY = 0.1  # nats by which anything said before changes a token's log-probability
_RAISED = 4.0  # nats that the strongest match adds to a token's log-probability


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, in the form that ``Task.reply`` takes; ``p_yes`` where it is yes or no."""

    value: Any
    p_yes: float | None = None


@dataclass(frozen=True)
class Oracle:
    """Answers tasks.

    An explanation is known by its text, among all those of planted features. Of any other, and of the empty one, it
    knows nothing: yes and no are then about equally probable, and what it writes or simulates is arbitrary.

    Attributes:
        error_rate: Share of the answers that are wrong: yes for no, another rating or place, strengths in another
            order, a text that does not do what it should.
        seed: Of the draws.
    """

    error_rate: float
    seed: int

    def answers(self, task: Task, repeat: int = 0) -> tuple[Answer, ...]:
        """Return the answers to a task: one for each text, or one in all where the task is about all of them.

        Args:
            task: What is asked.
            repeat: Number of the repetition; another one is another draw.
        """
        rule = planted_rule(task.explanation)
        together = _TOGETHER.get(task.kind)
        if together is not None:
            return (Answer(together(self, task, rule, self._draws(task, None, repeat))),)
        one = _EACH[task.kind]
        return tuple(one(self, task, place, rule, self._draws(task, place, repeat)) for place in range(len(task.texts)))

    def _draws(self, task: Task, place: int | None, repeat: int) -> np.random.Generator:
        about: tuple[str | int, ...]
        if place is None:
            about = (*task.texts, task.count)
        else:
            marks = task.marked[place] if task.marked else ()
            about = (task.texts[place], "".join("x" if mark else "." for mark in marks))
        return generator(self.seed, "oracle", task.kind.value, task.explanation, *about, repeat)

    def _errs(self, draws: np.random.Generator) -> bool:
        return bool(draws.random() < self.error_rate)

    def _yes_no(self, p_yes: float | None, draws: np.random.Generator) -> Answer:
        """Return yes or no of how probable yes is by the rule, None if there is no rule."""
        errs = self._errs(draws)
        if p_yes is None:
            p_yes = float(draws.uniform(0.25, 0.75))
        else:
            p_yes = min(_MOST, max(_LEAST, p_yes + float(draws.uniform(-_NOISE, _NOISE))))
            p_yes = 1 - p_yes if errs else p_yes
        return Answer(p_yes >= 0.5, p_yes)  # noqa: PLR2004  -- the more probable answer

    def contains(self, task: Task, place: int, rule: Rule | None, draws: np.random.Generator) -> Answer:
        """Return whether a text holds a match, the surer the stronger it is."""
        if rule is None:
            return self._yes_no(None, draws)
        strength = rule.strongest(task.texts[place])
        return self._yes_no(0.65 + 0.25 * strength / STRONGEST if strength else _ABSENT, draws)

    def marked_right(self, task: Task, place: int, rule: Rule | None, draws: np.random.Generator) -> Answer:
        """Return whether the marked tokens are those that complete a match, by the F1 of the two sets."""
        if rule is None:
            return self._yes_no(None, draws)
        tokens = task.tokens[place]
        named = [value > 0 for value in on_tokens(tokens, rule.strengths("".join(tokens)))]
        both = sum(mark and name for mark, name in zip(task.marked[place], named, strict=True))
        agreement = 2 * both / max(1, sum(task.marked[place]) + sum(named))
        return self._yes_no(_ABSENT + 0.8 * agreement, draws)

    def rating(self, task: Task, place: int, rule: Rule | None, draws: np.random.Generator) -> Answer:
        """Return 2 for a strong match, 1 for a weak one, 0 for none."""
        errs, other = self._errs(draws), int(draws.integers(1, 3))
        if rule is None:
            return Answer(int(draws.integers(3)))
        strength = rule.strongest(task.texts[place])
        right = 2 if strength >= _CLEAR else int(strength > 0)
        return Answer((right + other) % 3 if errs else right)

    def simulate(self, task: Task, place: int, rule: Rule | None, draws: np.random.Generator) -> Answer:
        """Return a whole number from 0 to 10 for each token."""
        tokens = task.tokens[place]
        if rule is None:
            return Answer([int(level) for level in draws.integers(_UNKNOWN_LEVELS, size=len(tokens))])
        errs = self._errs(draws)
        values = [round(value) for value in on_tokens(tokens, rule.strengths("".join(tokens)))]
        return Answer([values[at] for at in draws.permutation(len(values))] if errs else values)

    def likelihood(self, task: Task, place: int, rule: Rule | None, draws: np.random.Generator) -> Answer:
        """Return a log-probability for each token; those that the explanation names are likelier."""
        tokens = task.tokens[place]
        known = rule is not None and not self._errs(draws)
        named = (
            on_tokens(tokens, rule.strengths("".join(tokens))) if rule is not None and known else [0.0] * len(tokens)
        )
        noise = self._logprobs_of(task.texts[place], len(tokens), draws)
        return Answer([one + _RAISED * value / STRONGEST for one, value in zip(noise, named, strict=True)])

    def describes(self, task: Task, place: int, rule: Rule | None, draws: np.random.Generator) -> Answer:
        """Return a log-probability for each word of the explanation, likelier after a text that holds a match."""
        known = rule is not None and not self._errs(draws)
        strength = rule.strongest(task.texts[place]) if rule is not None and known else 0.0
        noise = self._logprobs_of(task.explanation, len(task.tokens[0]), draws)
        return Answer([one + _RAISED * strength / STRONGEST for one in noise])

    def _logprobs_of(self, text: str, n_tokens: int, draws: np.random.Generator) -> list[float]:
        """Return how likely the tokens of a text are by themselves: the same whatever stands before, but for a little.

        As with a language model, texts differ far more from each other than what is said before them changes.
        """
        own = generator(self.seed, "oracle", "text", text).uniform(-1.0, 1.0, size=n_tokens)
        return [float(value) for value in _BASE_LOGPROB + own + draws.uniform(-_SWAY, _SWAY, size=n_tokens)]

    def write(self, task: Task, rule: Rule | None, draws: np.random.Generator) -> list[str]:
        """Return texts that hold a match, quoted from the demo corpus and the planted texts."""
        if rule is None:
            return writing.any_texts(task.count, draws)
        wrong = [self._errs(draws) for _ in range(task.count)]
        right = writing.matching_texts(rule, task.count, draws)
        other = writing.other_texts(rule, task.count, draws)
        return [bad if errs else good for errs, good, bad in zip(wrong, right, other, strict=True)]

    def write_near_misses(self, task: Task, rule: Rule | None, draws: np.random.Generator) -> list[str]:
        """Return texts that held a match which was taken out."""
        if rule is None:
            return writing.any_texts(task.count, draws)
        wrong = [self._errs(draws) for _ in range(task.count)]
        right = writing.near_misses(rule, task.count, draws)
        other = writing.matching_texts(rule, task.count, draws)
        return [bad if errs else good for errs, good, bad in zip(wrong, right, other, strict=True)]

    def rewrite_without(
        self,
        task: Task,
        place: int,
        rule: Rule | None,  # noqa: ARG002  -- the table's signature; it is about no explanation
        draws: np.random.Generator,
    ) -> Answer:
        """Return the text with other words in the place of marked ones; one that is wrong is the text as it is."""
        if self._errs(draws):
            return Answer(task.texts[place])
        return Answer(writing.without_marked(task.tokens[place], task.marked[place], draws))

    def odd_one_out(self, task: Task, rule: Rule | None, draws: np.random.Generator) -> int:
        """Return the place of the text with the weakest match.

        Where the question is about no explanation, it goes by the rarest planted feature that all texts but one hold.
        """
        n = len(task.texts)
        errs, step = self._errs(draws), int(draws.integers(1, max(2, n)))
        rule = rule or (None if task.explanation else writing.shared_rule(task.texts))
        if rule is None:
            return int(draws.integers(n))
        strengths = [rule.strongest(text) for text in task.texts]
        weakest = [place for place, strength in enumerate(strengths) if strength == min(strengths)]
        found = int(draws.choice(weakest))
        return (found + step) % n if errs else found


_EACH: Mapping[TaskKind, Callable[[Oracle, Task, int, Rule | None, np.random.Generator], Answer]] = {
    TaskKind.CONTAINS: Oracle.contains,
    TaskKind.MARKED_RIGHT: Oracle.marked_right,
    TaskKind.RATING: Oracle.rating,
    TaskKind.SIMULATE: Oracle.simulate,
    TaskKind.NAMES_TOKEN: Oracle.contains,
    TaskKind.LIKELIHOOD: Oracle.likelihood,
    TaskKind.DESCRIBES: Oracle.describes,
    TaskKind.REWRITE_WITHOUT: Oracle.rewrite_without,
}
_TOGETHER: Mapping[TaskKind, Callable[[Oracle, Task, Rule | None, np.random.Generator], Any]] = {
    TaskKind.WRITE: Oracle.write,
    TaskKind.WRITE_NEAR_MISSES: Oracle.write_near_misses,
    TaskKind.ODD_ONE_OUT: Oracle.odd_one_out,
}
