"""A judged run that must not cost more than it may, and prompts that are longer than a judge takes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from harness.runner.bill import last_bill
from tests.support.judged_run import JudgedRun, Size
from tests.support.loopback.process import EndpointProcess
from tests.support.loopback.server import EndpointSettings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

SIZE = Size(features=2, activating=5, non_activating=5)
PRICES = ("judge.input_usd_per_mtok=1000", "judge.output_usd_per_mtok=1000")


def test_a_budget_stops_the_run_before_it_is_passed_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    with EndpointProcess(EndpointSettings(latency_s=0.01)) as endpoint:
        whole = JudgedRun(tmp_path / "whole", endpoint.url, SIZE, *PRICES)
        assert whole.finish() == 0, whole.said
        bill = whole.manifest["usage"]["judge"]["billed"]
        needed = endpoint.stats()["answered"]
        assert whole.manifest["prices"]["judge"]["source"] == "config"
        assert whole.manifest["prices"]["judge"]["input_usd_per_mtok"] == 1000
        assert whole.manifest["capabilities"]["judge"]["logprobs"] is True
        endpoint.reset()

        limit = bill["usd"] / 2
        short = JudgedRun(tmp_path / "short", endpoint.url, SIZE, *PRICES, f"budget.usd={limit}")
        assert short.finish() == 2
        last = short.said.strip().splitlines()[-1]
        assert last.startswith("harness: error: budget: $")
        assert "larger budget goes on" in last
        assert (short.manifest["status"], short.manifest["error"] in last) == ("stopped", True)
        spent = short.manifest["usage"]["judge"]["billed"]
        assert 0 < spent["usd"] <= limit

        assert short.finish() == 2  # what was spent before counts, and nothing more is asked
        assert short.manifest["usage"]["judge"]["billed"]["usd"] <= limit

        large = JudgedRun(tmp_path / "short", endpoint.url, SIZE, *PRICES, f"budget.usd={2 * bill['usd']}")
        assert large.finish() == 0, large.said
        assert large.records == whole.records
        assert endpoint.stats()["answered"] == needed
        total = large.manifest["usage"]["judge"]["billed"]
        assert total["calls"] == bill["calls"]
        assert total["usd"] == pytest.approx(bill["usd"])


def test_a_budget_in_dollars_needs_a_price(tmp_path: Path) -> None:
    with EndpointProcess(EndpointSettings()) as endpoint:
        run = JudgedRun(tmp_path / "run", endpoint.url, SIZE, "budget.usd=1")
        assert run.finish() == 2
        assert "harness: error: budget.usd: the price of openai/m is unknown" in run.said
        assert run.manifest["status"] == "stopped"


def test_an_unknown_price_is_null_and_not_0(tmp_path: Path) -> None:
    with EndpointProcess(EndpointSettings()) as endpoint:
        run = JudgedRun(tmp_path / "run", endpoint.url, SIZE)
        assert run.finish() == 0, run.said
    assert run.manifest["prices"]["judge"]["source"] == "unknown"
    assert run.manifest["usage"]["judge"]["billed"]["usd"] is None
    assert {line["usage"]["usd"] for line in run.lines("scores.jsonl")} == {None}


@pytest.mark.parametrize("features", [1, 3])
def test_a_prompt_that_is_too_long_is_said_with_feature_numbers_and_mend(tmp_path: Path, features: int) -> None:
    """A single feature is no evidence against the judge; with more the run ends in one line."""
    size = Size(features, SIZE.activating, SIZE.non_activating)
    with EndpointProcess(EndpointSettings(context_tokens=100)) as endpoint:
        run = JudgedRun(tmp_path / "run", endpoint.url, size)
        assert run.finish() == (1 if features == 1 else 2)
    said = [line for line in run.said.splitlines() if line.startswith("harness: ")]
    assert len(said) == 1
    lines = [line for line in run.lines("scores.jsonl") if line["status"] == "error"]
    assert lines
    for line in lines:
        assert "maximum context length is 100 tokens" in line["error"]
        assert "Try: a smaller examples.window_tokens or examples.score_activating" in line["error"]
    for told in said:
        assert any(f"{line['subject']}/{line['feature']}" in told for line in lines)
        assert "maximum context length is 100 tokens" in told


def test_a_killed_process_does_not_lose_its_bill(tmp_path: Path) -> None:
    in_flight, latency_s = 2, 0.5
    with EndpointProcess(EndpointSettings(latency_s=latency_s)) as endpoint:
        pace = (f"judge.concurrency={in_flight}", "execution.unit_concurrency=2")
        run = JudgedRun(tmp_path / "run", endpoint.url, SIZE, *PRICES, *pace)
        # Two units at a time: the first two are on disk, the last two nearly answered.
        most = SIZE.calls - 6
        assert run.kill_when(lambda: endpoint.stats()["answered"] >= most, lambda: time.sleep(0.02))
        answered = endpoint.stats()["answered"]
        assert run.manifest["usage"].get("judge", {"billed": {"calls": 0}})["billed"]["calls"] == 0
        before = last_bill(run.run_folder / "events.jsonl")
        billed = before.usage["judge"].billed
        assert answered - in_flight - 1.5 * in_flight / latency_s <= billed.calls <= answered
        assert before.charged is not None
        assert before.charged.tokens == billed.input_tokens + billed.output_tokens
        assert before.charged.usd == pytest.approx(billed.usd)
        assert run.finish() == 0, run.said
        after = run.manifest
        answered = endpoint.stats()["answered"]
    assert billed.calls < after["usage"]["judge"]["billed"]["calls"] <= answered
    assert after["usage"]["judge"]["billed"]["usd"] > billed.usd
    assert after["charged"]["usd"] == pytest.approx(after["usage"]["judge"]["billed"]["usd"])
