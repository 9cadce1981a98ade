from __future__ import annotations

import pytest

from harness.config.schema import LLMConfig
from harness.llm.backend import Reply
from harness.llm.ledger import Ledger, usage_of
from harness.llm.price import FREE, UNKNOWN, Price, configured_price, table_price
from harness.outcome import Outcome, Usage

TABLE = {
    "gpt-x": {"litellm_provider": "openai", "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6},
    "azure/gpt-x": {"litellm_provider": "azure", "input_cost_per_token": 3e-6, "output_cost_per_token": 4e-6},
}


def test_costs_add_up() -> None:
    assert Price(1e-6, 2e-6).usd(100, 10) == pytest.approx(120e-6)
    assert Price(1e-6, 2e-6, 0.5e-6).usd(100, 10, 60) == pytest.approx(40e-6 + 30e-6 + 20e-6)
    assert Price(1e-6, 2e-6).usd(100, 10, 60) == pytest.approx(120e-6)


@pytest.mark.parametrize(
    ("price", "tokens", "usd"),
    [
        (UNKNOWN, (5, 5), None),
        (UNKNOWN, (0, 0), 0.0),
        (FREE, (None, None), 0.0),
        (Price(1e-6, None), (5, 5), None),
        (Price(1e-6, None), (5, 0), 5e-6),
        (Price(1e-6, 1e-6), (None, 5), None),
    ],
)
def test_unknown_is_not_nothing(price: Price, tokens: tuple[int | None, int | None], usd: float | None) -> None:
    assert price.usd(*tokens) == (None if usd is None else pytest.approx(usd))


def test_a_stated_price_is_per_million() -> None:
    assert configured_price(LLMConfig(model="m")) is None
    config = LLMConfig(model="m", input_usd_per_mtok=1.0, output_usd_per_mtok=0.0)
    assert configured_price(config) == Price(1e-6, 0.0)


@pytest.mark.parametrize(
    ("model", "price"),
    [
        ("gpt-x", Price(1e-6, 2e-6)),
        ("openai/gpt-x", Price(1e-6, 2e-6)),
        ("azure/gpt-x", Price(3e-6, 4e-6)),
        ("hosted_vllm/gpt-x", UNKNOWN),
        ("openai/other", UNKNOWN),
    ],
)
def test_the_table_is_not_asked_for_namesakes(model: str, price: Price) -> None:
    found = table_price(model, TABLE)
    assert (found.input, found.output) == (price.input, price.output)
    assert (found.source == "litellm table") == (found.table_sha256 is not None) == found.known


def test_a_price_says_where_it_is_from_in_dollars_per_million() -> None:
    facts = table_price("gpt-x", TABLE).facts()
    assert (facts["input_usd_per_mtok"], facts["source"]) == (1.0, "litellm table")
    assert facts["table_sha256"] != table_price("gpt-x", {**TABLE, "other": {}}).table_sha256
    assert UNKNOWN.facts()["input_usd_per_mtok"] is None
    assert FREE.facts()["output_usd_per_mtok"] == 0.0


def test_a_ledger_bills_the_discount_and_records_the_list_price() -> None:
    price, ledger = Price(1e-6, 1e-6, 0.0), Ledger()
    reply = Reply(Outcome.OK, text="Yes", input_tokens=100, output_tokens=1, cached_input_tokens=80)
    ledger.bill(reply, price)
    ledger.reuse(reply, price)
    ledger.fail()
    spending = ledger.spending
    assert spending.billed.usd == pytest.approx(21e-6)
    assert spending.from_cache == usage_of(reply, price)
    assert usage_of(reply, price).usd == pytest.approx(101e-6)
    assert (spending.cached_input_tokens, spending.failed_attempts) == (80, 1)


def test_what_was_not_answered_has_no_usage() -> None:
    assert usage_of(Reply(Outcome.ERROR, answered=False), UNKNOWN) == Usage()
