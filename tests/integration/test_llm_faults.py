"""A third of all replies go wrong, over real sockets and in real processes: nothing is lost, nothing counted twice."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from harness.llm.open import open_llm
from tests.support.judged_run import JudgedRun, Size
from tests.support.load import ask_all, judge_config, question
from tests.support.loopback.faults import TRANSIENT, Fault, FaultPlan, even_shares
from tests.support.loopback.process import EndpointProcess
from tests.support.loopback.server import EndpointSettings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

CALLS = 150
TIMEOUT_S = 4.0  # long enough that on a busy machine only replies that never come are timed out
SIZE = Size(features=3, activating=5, non_activating=5)
RATE_LIMITS = (Fault.RATE_LIMIT_SECONDS, Fault.RATE_LIMIT_DATE, Fault.RATE_LIMIT_MS)


async def test_every_call_ends_once_and_with_an_answer_or_a_reason(tmp_path: Path) -> None:
    plan = FaultPlan(even_shares(0.3, (*TRANSIENT, *RATE_LIMITS)), retry_after_s=0.3)
    with EndpointProcess(EndpointSettings(latency_s=0.02, faults=plan)) as endpoint:
        llm = open_llm(judge_config(endpoint.url, concurrency=16, timeout_s=TIMEOUT_S), "judge", tmp_path)
        await llm.start()
        ended = await ask_all(llm, (question(number) for number in range(CALLS)), 32)
        spending = llm.spending
        await llm.close()
        stats = endpoint.stats()
    assert set(stats["by_kind"]) > {Fault.RATE_LIMIT, Fault.TIMEOUT, Fault.CUT_BODY, Fault.MALFORMED}
    assert sum(ended.outcomes.values()) == CALLS
    assert ended.silent == 0
    assert stats["answered"] == stats["distinct_answered"] == ended.ok
    # An empty answer is an answer: paid for, and no use asking again.
    assert spending.billed.calls == ended.ok + stats["by_kind"].get(Fault.EMPTY, 0)
    assert spending.failed_attempts == stats["received"] - spending.billed.calls
    assert stats["received"] <= 1.6 * CALLS


async def test_faults_are_the_same_whatever_the_order(tmp_path: Path) -> None:
    """The plan is drawn by request and attempt, so two clients of different width meet the same faults."""
    plan = FaultPlan(even_shares(0.3, (Fault.SERVER_ERROR, Fault.MALFORMED, Fault.EMPTY)), seed=3)
    seen = []
    for width in (1, 16):
        with EndpointProcess(EndpointSettings(faults=plan)) as endpoint:
            llm = open_llm(judge_config(endpoint.url, concurrency=width), "judge", tmp_path / str(width))
            ended = await ask_all(llm, (question(number) for number in range(30)), width)
            await llm.close()
            stats = endpoint.stats()
        seen.append((stats["by_kind"], stats["received"], ended.outcomes))
    assert seen[0] == seen[1]
    assert sum(seen[0][0].values()) > 30


def test_a_run_records_every_call_once(tmp_path: Path) -> None:
    plan = FaultPlan(even_shares(0.3))
    with EndpointProcess(EndpointSettings(latency_s=0.02, faults=plan)) as endpoint:
        run = JudgedRun(tmp_path, endpoint.url, SIZE, f"judge.timeout_s={TIMEOUT_S}", "judge.concurrency=8")
        code = run.finish()
        stats = endpoint.stats()
        assert code in {0, 3}, run.said
        scores, items, usage = run.lines("scores.jsonl"), run.lines("items.jsonl"), run.manifest["usage"]["judge"]
        assert len(scores) == len({line["unit"] for line in scores}) == SIZE.units
        assert len(items) == len({(item["unit"], item["key"]) for item in items}) == SIZE.calls
        assert all(item["error"] for item in items if item["outcome"] != "ok")
        coverage: Counter[str] = Counter()
        for line in scores:
            coverage.update(line["coverage"])
        assert coverage == Counter(item["outcome"] for item in items)
        empty = stats["by_kind"].get(Fault.EMPTY, 0)
        assert coverage["ok"] == stats["answered"] + usage["from_cache"]["calls"]
        assert usage["billed"]["calls"] == stats["answered"] + empty
        assert stats["received"] <= 1.6 * SIZE.calls
        assert code == (3 if any(line["status"] == "error" for line in scores) else 0)
