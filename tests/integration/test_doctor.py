"""``harness doctor`` against a real server on the loopback interface, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from harness.llm.endpoint_memory import endpoints_folder
from tests.support.harness_process import run_harness
from tests.support.odd_endpoint import OddEndpoint
from tests.support.openai_server import OpenAIServer

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

CAN = frozenset({"json_schema", "structured_outputs", "logprobs", "echo", "seeds"})


async def doctor(*arguments: str, cache: Path) -> tuple[int, str, str]:
    variables = {**os.environ, "HARNESS_CACHE": str(cache)}
    done = await asyncio.to_thread(run_harness, ["doctor", *arguments], cache, env=variables)
    return done.returncode, done.stdout, done.stderr


def overrides(url: str, role: str = "judge") -> list[str]:
    return [f"{role}=openai_compatible", f"{role}.model=openai/m", f"{role}.api_base={url}"]


async def test_it_shows_what_the_endpoint_can_do_and_how_fast_it_is(tmp_path: Path) -> None:
    endpoint = OddEndpoint(CAN)
    async with OpenAIServer(endpoint) as server:
        code, out, err = await doctor(*overrides(server.url), "judge.choices=grammar", "--json", cache=tmp_path)
    assert code == 0, err
    (found,) = json.loads(out)["endpoints"]
    facts: dict[str, Any] = found["found"]
    assert facts == {
        "structured": "json_schema",
        "choices": "structured_outputs",
        "logprobs": True,
        "prompt_logprobs": True,
        "seeds": True,
        "context_tokens": None,
    }
    assert found["used"] == {**facts, "choices": "grammar"}
    assert found["disagreements"] == ["judge.choices=grammar is configured; it showed structured_outputs"]
    speed = found["speed"]
    assert all(speed[name] > 0 for name in ("latency_s", "prompt_tokens_per_s", "output_tokens_per_s", "calls_per_s"))
    assert speed["problem"] is None
    assert len(endpoint.asked) <= 30
    (stored,) = endpoints_folder(tmp_path).iterdir()
    assert json.loads(stored.read_text())["facts"]["choices"] == "grammar"


async def test_it_asks_again_what_was_remembered_and_says_it_in_words(tmp_path: Path) -> None:
    async with OpenAIServer(OddEndpoint(CAN)) as server:
        first = await doctor(*overrides(server.url), cache=tmp_path)
        server.plan = OddEndpoint(frozenset())
        second = await doctor(*overrides(server.url), cache=tmp_path)
        url = server.url
    assert (first[0], second[0]) == (0, 0)
    assert f"judge: openai/m ({url})" in first[1]
    rows = dict(line.strip().split(maxsplit=1) for line in first[1].splitlines() if line.startswith("  "))
    assert (rows["schema"], rows["choices"], rows["seeds"]) == ("json_schema", "structured_outputs", "yes")
    assert "structured_outputs" not in second[1]
    (stored,) = endpoints_folder(tmp_path).iterdir()
    assert json.loads(stored.read_text())["facts"]["logprobs"] is False


async def test_one_role_that_cannot_be_reached_does_not_hide_the_other(tmp_path: Path) -> None:
    async with OpenAIServer(OddEndpoint(CAN)) as gone:
        nowhere = gone.url
    async with OpenAIServer(OddEndpoint(CAN)) as server:
        explainer = [
            "llm@explainer.llm=openai_compatible",
            "explainer.llm.model=openai/m",
            f"explainer.llm.api_base={nowhere}",
        ]
        code, out, err = await doctor(*overrides(server.url), *explainer, cache=tmp_path)
        again, data, _ = await doctor(*overrides(server.url), *explainer, "--json", cache=tmp_path)
    assert (code, again) == (2, 2)
    assert "judge: openai/m" in out
    assert "explainer.llm.api_base" in err
    assert "Traceback" not in err
    failed, fine = json.loads(data)["endpoints"]
    assert (failed["role"], failed["reachable"], fine["role"], fine["reachable"]) == ("explainer", False, "judge", True)
