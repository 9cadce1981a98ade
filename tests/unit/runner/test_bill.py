from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.llm.budget import Cost
from harness.results.manifest import Charge, RoleUsage
from harness.results.records import UsageLine
from harness.runner.bill import Bill, larger, last_bill

if TYPE_CHECKING:
    from pathlib import Path


def usage(calls: int, usd: float | None = 0.5, cached: int = 0) -> RoleUsage:
    billed = UsageLine(calls=calls, input_tokens=10 * calls, output_tokens=calls, usd=usd)
    return RoleUsage(billed=billed, from_cache=UsageLine(calls=cached))


def event(bill: Bill, kind: str = "unit") -> str:
    return json.dumps({"event": kind, **bill.plain()}) + "\n"


def test_the_latest_event_with_a_bill_counts(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    one, two = Bill({"judge": usage(1)}, Charge(tokens=20)), Bill({"judge": usage(2)}, Charge(tokens=30, usd=0.5))
    path.write_text(event(one) + event(two, "spent") + '{"event": "stage_ended", "stage": "score"}\n')
    assert last_bill(path) == two


def test_events_of_before_charges_were_noted_still_count(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(event(Bill({"judge": usage(2)})))
    assert "charged" not in path.read_text()
    assert last_bill(path) == Bill({"judge": usage(2)})


@pytest.mark.parametrize("torn", ['{"event": "unit", "usage": {"ju', "\0\0", '{"event": "unit", "usage": 7}', "[]"])
def test_what_a_crash_left_is_passed_over(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(event(Bill({"judge": usage(2)})) + torn)
    assert last_bill(path) == Bill({"judge": usage(2)})


def test_it_is_found_however_much_follows(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    other = json.dumps({"event": "stage_ended", "note": "x" * 1000}) + "\n"
    path.write_text(other * 100 + event(Bill({"judge": usage(3)})) + other * 200)
    assert last_bill(path) == Bill({"judge": usage(3)})


def test_where_nothing_is_known_there_is_nothing(tmp_path: Path) -> None:
    assert last_bill(tmp_path / "events.jsonl") == Bill()
    (tmp_path / "events.jsonl").touch()
    assert last_bill(tmp_path / "events.jsonl") == Bill()


def test_of_two_bills_the_larger_counts_part_by_part() -> None:
    manifest = Bill({"judge": usage(5), "explainer": usage(1)}, Charge(tokens=7))
    events = Bill({"judge": usage(4), "explainer": usage(1, cached=1)}, Charge(tokens=9, usd=None))
    assert larger(manifest, events) == Bill(
        {"judge": usage(5), "explainer": usage(1, cached=1)}, Charge(tokens=9, usd=None)
    )
    assert larger(Bill(), events) == events
    assert larger(manifest, Bill()) == manifest
    assert larger(Bill(), Bill()) == Bill()


def test_failed_attempts_count_where_answers_are_alike() -> None:
    tried = replace(usage(1), failed_attempts=3)
    assert larger(Bill({"judge": usage(1)}), Bill({"judge": tried})) == Bill({"judge": tried})


def test_a_bill_is_over_all_roles_and_an_unknown_price_stays_unknown() -> None:
    assert Bill({"judge": usage(1, 0.25), "explainer": usage(2, 0.5)}).cost == Cost(33, 0.75)
    assert Bill({"judge": usage(1, None), "explainer": usage(1, 0.5)}).cost == Cost(22, None)
    assert Bill().cost == Cost(0, 0.0)


def test_a_budget_counts_what_was_charged_to_it_also_where_an_answer_had_no_usage() -> None:
    assert Bill({"judge": usage(1, None)}, Charge(tokens=50, usd=0.6)).cost == Cost(50, 0.6)
    assert Bill({"judge": usage(1, 0.5)}, Charge(tokens=50, usd=None)).cost == Cost(50, None)
