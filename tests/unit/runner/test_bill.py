from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness.results.codec import to_json
from harness.results.manifest import RoleUsage
from harness.results.records import UsageLine
from harness.runner.bill import billed_tokens, billed_usd, larger, last_usage

if TYPE_CHECKING:
    from pathlib import Path


def usage(calls: int, usd: float | None = 0.5, cached: int = 0) -> RoleUsage:
    billed = UsageLine(calls=calls, input_tokens=10 * calls, output_tokens=calls, usd=usd)
    return RoleUsage(billed=billed, from_cache=UsageLine(calls=cached))


def event(**roles: RoleUsage) -> str:
    return json.dumps({"event": "unit", "usage": {role: to_json(taken) for role, taken in roles.items()}}) + "\n"


def test_the_latest_unit_event_counts(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(event(judge=usage(1)) + event(judge=usage(2)) + '{"event": "stage_ended", "stage": "score"}\n')
    assert last_usage(path) == {"judge": usage(2)}


@pytest.mark.parametrize("torn", ['{"event": "unit", "usage": {"ju', "\0\0", '{"event": "unit", "usage": 7}', "[]"])
def test_what_a_crash_left_is_passed_over(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(event(judge=usage(2)) + torn)
    assert last_usage(path) == {"judge": usage(2)}


def test_it_is_found_however_much_follows(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    other = json.dumps({"event": "stage_ended", "note": "x" * 1000}) + "\n"
    path.write_text(other * 100 + event(judge=usage(3)) + other * 200)
    assert last_usage(path) == {"judge": usage(3)}


def test_where_nothing_is_known_there_is_nothing(tmp_path: Path) -> None:
    assert last_usage(tmp_path / "events.jsonl") == {}
    (tmp_path / "events.jsonl").touch()
    assert last_usage(tmp_path / "events.jsonl") == {}


def test_of_two_accounts_the_larger_counts_role_by_role() -> None:
    manifest = {"judge": usage(5), "explainer": usage(1)}
    events = {"judge": usage(4), "explainer": usage(1, cached=1)}
    assert larger(manifest, events) == {"judge": usage(5), "explainer": usage(1, cached=1)}
    assert larger({}, events) == events


def test_a_bill_is_over_all_roles_and_an_unknown_price_stays_unknown() -> None:
    assert billed_usd({"judge": usage(1, 0.25), "explainer": usage(1, 0.5)}) == 0.75
    assert billed_usd({"judge": usage(1, None), "explainer": usage(1, 0.5)}) is None
    assert billed_usd({}) == 0.0
    assert billed_tokens({"judge": usage(1), "explainer": usage(2)}) == 33
