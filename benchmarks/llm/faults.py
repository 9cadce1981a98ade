"""Three replies in ten go wrong: 429, 500, 503, no reply, cut body, malformed JSON, empty content, in equal parts.

The stated limits: every call ends answered or with a recorded reason, nothing is lost, nothing is counted twice, and at
most 1.6 requests are sent per call. First 2,000 calls of one client, then a whole ``harness run``.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.llm.figures import Figures
from harness.llm.open import open_llm
from tests.support.judged_run import JudgedRun, Size
from tests.support.load import ask_all, judge_config, question
from tests.support.loopback.faults import FaultPlan, even_shares
from tests.support.loopback.process import EndpointProcess
from tests.support.loopback.server import EndpointSettings

if TYPE_CHECKING:
    from harness.llm.protocol import Spending
    from tests.support.load import Ended

CALLS = 2000
SHARE = 0.30
MOST_SENT = 1.6
AT_ONCE = 32
TIMEOUT_S = 3.0
SIZE = Size(features=10, activating=13, non_activating=12)
SETTINGS = EndpointSettings(latency_s=0.05, faults=FaultPlan(even_shares(SHARE)))


async def asked(url: str, cache: Path) -> tuple[Ended, Spending]:
    """Return what became of all calls, and what the client says it spent."""
    llm = open_llm(judge_config(url, concurrency=AT_ONCE, timeout_s=TIMEOUT_S), "judge", cache)
    await llm.start()
    ended = await ask_all(llm, (question(number) for number in range(CALLS)), 2 * AT_ONCE)
    spending = llm.spending
    await llm.close()
    return ended, spending


def of_a_client(figures: Figures) -> None:
    """State the figures of calls through one client."""
    with EndpointProcess(SETTINGS) as endpoint, tempfile.TemporaryDirectory() as cache:
        ended, spending = asyncio.run(asked(endpoint.url, Path(cache)))
        stats = endpoint.stats()
    print(f"   {CALLS:,} calls through one client, {ended.seconds:.0f} s")
    figures.exactly("calls that ended", sum(ended.outcomes.values()), CALLS)
    figures.exactly("calls that ended without answer and without reason", ended.silent, 0)
    figures.exactly("right answers beyond one per call", stats["answered"] - stats["distinct_answered"], 0)
    figures.exactly("right answers that did not reach their caller", stats["answered"] - ended.ok, 0)
    charged = stats["by_kind"].get("empty content", 0) + stats["answered"]
    figures.exactly("answers billed beyond those given", spending.billed.calls - charged, 0)
    figures.at_most("requests sent per call", stats["received"] / CALLS, MOST_SENT)
    tell(figures, stats, dict(ended.outcomes))


def of_a_run(figures: Figures) -> None:
    """State the figures of a whole run."""
    overrides = ("judge.timeout_s=3", f"judge.concurrency={AT_ONCE}")
    with EndpointProcess(SETTINGS) as endpoint, tempfile.TemporaryDirectory() as folder:
        run = JudgedRun(Path(folder), endpoint.url, SIZE, *overrides)
        code = run.finish()
        stats = endpoint.stats()
        scores, items, manifest = run.lines("scores.jsonl"), run.lines("items.jsonl"), run.manifest
    print(f"   a run of {SIZE.calls} calls in {SIZE.units} scores, exit code {code}")
    figures.exactly("scores on record, each once", len({line["unit"] for line in scores}), SIZE.units)
    figures.exactly("lines of scores", len(scores), SIZE.units)
    figures.exactly("calls on record, each once", len({(item["unit"], item["key"]) for item in items}), SIZE.calls)
    figures.exactly("lines of evidence", len(items), SIZE.calls)
    figures.exactly(
        "calls in the coverage of scores", sum(sum(line["coverage"].values()) for line in scores), SIZE.calls
    )
    unexplained = [item for item in items if item["outcome"] != "ok" and not item["error"]]
    figures.exactly("calls without answer and without reason", len(unexplained), 0)
    outcomes = Counter(item["outcome"] for item in items)
    # A window that two questions share is asked about once, and the second answer comes from the cache.
    usage = manifest["usage"]["judge"]
    reused = usage["from_cache"]["calls"]
    figures.exactly("right answers that are not on record", stats["answered"] + reused - outcomes["ok"], 0)
    charged = stats["by_kind"].get("empty content", 0) + stats["answered"]
    figures.exactly("answers billed in the manifest beyond those given", usage["billed"]["calls"] - charged, 0)
    figures.at_most("requests sent per call", stats["received"] / SIZE.calls, MOST_SENT)
    tell(figures, stats, dict(outcomes))


def tell(figures: Figures, stats: dict[str, Any], outcomes: dict[str, int]) -> None:
    """Note what the endpoint sent and what became of the calls."""
    for kind, number in sorted(stats["by_kind"].items()):
        figures.note(f"  replies: {kind}", number)
    for outcome, number in sorted(outcomes.items()):
        figures.note(f"  calls: {outcome}", number)


def main() -> None:
    """Print the figures."""
    figures = Figures(f"faults: {SHARE:.0%} of replies go wrong")
    of_a_client(figures)
    of_a_run(figures)
    figures.end()


if __name__ == "__main__":
    main()
