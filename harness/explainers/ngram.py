"""``ngram``: names the token n-grams that best tell a feature's activating windows from silent ones. No language model.

A lexical baseline: what it cannot say of a feature, an explanation by a language model should. Candidates are the
n-grams that hold an active token. A set of patterns predicts that a window activates when the window holds any of them;
its score is ``recall - false alarms`` (Youden's J = 2 x balanced accuracy - 1) on the windows of the explain half, and
patterns are added greedily while each adds at least ``min_gain``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.explainers.asking import nothing_active, nothing_silent
from harness.explainers.highlight import characters
from harness.explainers.protocol import Draft, ExplainerEstimate
from harness.identity import canonical_json
from harness.llm.counting import APPROXIMATE
from harness.outcome import Outcome
from harness.text import for_prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.examples.record import Example, ExplainRecord
    from harness.explainers.config import NgramConfig
    from harness.explainers.protocol import ExplainerResources
    from harness.llm.counting import TokenCounter

__all__ = ["Ngrams", "Patterns", "find_patterns"]

_MAX_CHARACTERS = 80
_DIGITS = 4
Pattern = tuple[str, ...]


@dataclass(frozen=True)
class Patterns:
    """Patterns and how well they separate the windows they were chosen on.

    Attributes:
        patterns: Each a tuple of tokens, in the order they were added.
        recall: Share of activating windows that hold one of them.
        false_alarms: Share of silent windows that hold one of them.
    """

    patterns: tuple[Pattern, ...]
    recall: float
    false_alarms: float

    @property
    def score(self) -> float:
        """Return ``recall - false_alarms``: 1 for a perfect separation, 0 for none."""
        return self.recall - self.false_alarms


class Ngrams:
    """Writes the patterns as an explanation; the draft's ``reply`` states their score as JSON."""

    def __init__(self, config: NgramConfig) -> None:
        self._config = config

    async def explain(self, record: ExplainRecord, resources: ExplainerResources) -> Draft:  # noqa: ARG002 -- the seam
        """Return the patterns of ``record``'s feature, or why there are none."""
        impossible = nothing_active(record) or nothing_silent(record)
        if impossible is not None:
            return impossible
        found = find_patterns(record.examples.activating, record.examples.non_activating, self._config)
        if not found.patterns:
            error = f"no n-gram tells the activating windows of feature {record.feature} from silent ones"
            return Draft(None, Outcome.ERROR, error=error)
        names = list(dict.fromkeys(for_prompt("".join(one), limit=_MAX_CHARACTERS) for one in found.patterns))
        noun = "text" if len(names) == 1 else "texts"
        stated = {
            "patterns": found.patterns,
            "recall": round(found.recall, _DIGITS),
            "false_alarms": round(found.false_alarms, _DIGITS),
            "score": round(found.score, _DIGITS),
        }
        text = f"the {noun} " + ", ".join(f'"{name}"' for name in names)
        return Draft(text, reply=canonical_json(stated))

    def estimate(
        self,
        n_examples: int,  # noqa: ARG002 -- the seam
        window_tokens: int,  # noqa: ARG002 -- the seam
        counter: TokenCounter = APPROXIMATE,
    ) -> ExplainerEstimate:
        """Return that nothing is asked, and the length of a list of that many ordinary patterns."""
        listed = "the texts " + ", ".join(['"two words"'] * self._config.count)
        return ExplainerEstimate(0, 0, 0, counter.text(listed))


def find_patterns(activating: Sequence[Example], silent: Sequence[Example], config: NgramConfig) -> Patterns:
    """Return the patterns chosen greedily; of equally good ones the shorter, then the first in the alphabet.

    Args:
        activating: Windows in which the feature fires; at least one.
        silent: Windows in which it does not; at least one.
        config: How long, how many, how much each must add.
    """
    windows = [_tokens(example) for example in (*activating, *silent)]
    n_active, n_silent = len(activating), len(silent)
    candidates = set().union(*(_around(example, config) for example in activating)) if activating else set()
    holders: dict[Pattern, set[int]] = {pattern: set() for pattern in candidates}
    for place, tokens in enumerate(windows):
        for pattern in _ngrams(tokens, config.max_n) & candidates:
            holders[pattern].add(place)
    order = sorted(holders, key=lambda pattern: (len(pattern), pattern))

    def rates(held: set[int]) -> tuple[float, float]:
        hits = sum(place < n_active for place in held)
        return hits / n_active, (len(held) - hits) / n_silent

    def score(held: set[int]) -> float:
        recall, false_alarms = rates(held)
        return recall - false_alarms

    chosen: list[Pattern] = []
    covered: set[int] = set()
    while order and len(chosen) < config.count:
        best = max(order, key=lambda pattern: score(covered | holders[pattern]))
        if score(covered | holders[best]) - score(covered) < config.min_gain:
            break
        chosen.append(best)
        covered |= holders[best]
        order.remove(best)
    recall, false_alarms = rates(covered)
    return Patterns(tuple(chosen), recall, false_alarms)


def _tokens(example: Example) -> Pattern:
    return tuple(text for text, _ in characters(example))


def _ngrams(tokens: Pattern, most: int) -> set[Pattern]:
    return {tokens[start : start + n] for n in range(1, most + 1) for start in range(len(tokens) - n + 1)}


def _around(example: Example, config: NgramConfig) -> set[Pattern]:
    """Return the n-grams that hold an active token of the window."""
    tokens = _tokens(example)
    floor = max(config.threshold * example.max_activation, 0.0)
    return {
        tokens[start : start + n]
        for place, (_, value) in enumerate(characters(example))
        if value > floor
        for n in range(1, config.max_n + 1)
        for start in range(max(0, place - n + 1), min(place, len(tokens) - n) + 1)
    }
