"""``top_tokens``: names the tokens on which the feature fires most. No language model; an explainer and a control."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.explainers.protocol import Draft, ExplainerEstimate
from harness.llm.counting import APPROXIMATE
from harness.outcome import Outcome
from harness.text import for_prompt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.examples.record import ExplainRecord
    from harness.explainers.config import TopTokensConfig
    from harness.explainers.protocol import ExplainerResources, Explanation
    from harness.llm.counting import TokenCounter

__all__ = ["TopTokens", "top_tokens_draft"]

_MAX_TOKEN_CHARACTERS = 40


class TopTokens:
    """Writes the token list, as an explainer one feature at a time or as a control for all of them."""

    def __init__(self, config: TopTokensConfig) -> None:
        self._count = config.count

    async def explain(self, record: ExplainRecord, resources: ExplainerResources) -> Draft:  # noqa: ARG002 -- the seam
        """Return the token list of ``record``'s feature."""
        return top_tokens_draft(record, self._count)

    def estimate(
        self,
        n_examples: int,  # noqa: ARG002 -- the seam
        window_tokens: int,  # noqa: ARG002 -- the seam
        counter: TokenCounter = APPROXIMATE,
    ) -> ExplainerEstimate:
        """Return that nothing is asked, and the length of a list of that many ordinary tokens."""
        listed = "the tokens " + ", ".join(['"token"'] * self._count)
        return ExplainerEstimate(0, 0, 0, counter.text(listed))

    def build(
        self,
        records: Sequence[ExplainRecord],
        explanations: Mapping[int, Explanation],  # noqa: ARG002 -- the seam
        seed: int,  # noqa: ARG002 -- nothing is drawn
    ) -> dict[int, Draft]:
        """Return the token list of every feature."""
        return {record.feature: top_tokens_draft(record, self._count) for record in records}


def top_tokens_draft(record: ExplainRecord, count: int) -> Draft:
    """Return ``the tokens "a", "b"``: up to ``count`` top tokens of the explain half, strongest first.

    Tokens are shown as they stand in a prompt; those that look the same there are named once.
    """
    shown = [for_prompt(token, limit=_MAX_TOKEN_CHARACTERS) for token, _ in record.statistics.top_tokens]
    tokens = list(dict.fromkeys(shown))[:count]
    if not tokens:
        return Draft(None, Outcome.ERROR, error=f"feature {record.feature} has no top tokens in the explain half")
    noun = "token" if len(tokens) == 1 else "tokens"
    return Draft(f"the {noun} " + ", ".join(f'"{token}"' for token in tokens))
