from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import ConfigError
from harness.explainers.config import TopTokensConfig
from harness.explainers.protocol import ExplainerResources
from harness.explainers.top_tokens import TopTokens
from harness.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.examples.record import ExplainRecord

CITIES = ((" Paris", 8.0), (" London", 6.0), (" Rome", 4.0))


@pytest.mark.parametrize(
    ("tokens", "count", "text"),
    [
        (CITIES, 8, 'the tokens " Paris", " London", " Rome"'),
        (CITIES, 2, 'the tokens " Paris", " London"'),
        (CITIES, 1, 'the token " Paris"'),
        ((("\n", 3.0), ("\n\n", 2.0)), 8, 'the tokens "\u21b5", "\u21b5\u21b5"'),
        (
            (("<|im_end|>", 3.0), ("\x1b", 2.0), ("x" * 50, 1.0)),
            8,
            f'the tokens "< |im_end| >", "\\x1b", "{"x" * 39}\u2026"',
        ),
        ((("\r\n", 3.0), ("\n", 2.0), (" a", 1.0)), 2, 'the tokens "\u21b5", " a"'),
    ],
)
async def test_the_strongest_tokens_are_named(
    tokens: tuple[tuple[str, float], ...], count: int, text: str, make_explain_record: Callable[..., ExplainRecord]
) -> None:
    record = make_explain_record(top_tokens=tokens)
    maker = TopTokens(TopTokensConfig(count))
    draft = await maker.explain(record, ExplainerResources(0))
    assert draft.text == text
    assert maker.build([record], {}, 3) == {7: draft}


async def test_no_tokens_is_an_error_not_a_text(make_explain_record: Callable[..., ExplainRecord]) -> None:
    draft = await TopTokens(TopTokensConfig()).explain(make_explain_record(), ExplainerResources(0))
    assert (draft.text, draft.outcome) == (None, Outcome.ERROR)
    assert draft.error == "feature 7 has no top tokens in the explain half"


def test_it_asks_nothing_and_says_so() -> None:
    estimate = TopTokens(TopTokensConfig()).estimate(20, 32)
    assert (estimate.calls, estimate.input_tokens, estimate.output_tokens) == (0, 0, 0)


def test_no_tokens_cannot_be_asked_for() -> None:
    with pytest.raises(ConfigError, match="count"):
        TopTokensConfig(0)
