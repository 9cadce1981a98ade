from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness import __version__
from harness.cli.doctor import _names
from tests.unit.cli.test_main import HEAVY, imported_by

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.cli.conftest import Result


def test_alone_it_shows_the_installation_and_no_key(
    harness: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MY_TEST_API_KEY", "sk-hidden")
    monkeypatch.setenv("EMPTY_API_KEY", " ")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    text, data = harness("doctor"), harness("doctor", "--json")
    assert (text.code, data.code) == (0, 0)
    for result in (text, data):
        assert "MY_TEST_API_KEY" in result.out
        assert "EMPTY_API_KEY" not in result.out
        assert "sk-hidden" not in result.out + result.err
    assert __version__ in text.out
    found = json.loads(data.out)
    assert found["endpoints"] == []
    environment = found["environment"]
    assert environment["libraries"]["litellm"]
    assert environment["cache"] == str(tmp_path / "cache")
    assert environment["free_bytes"] > 0
    assert environment["cache_writable"] is True
    assert not (tmp_path / "cache").exists()


def test_alone_it_loads_nothing_heavy() -> None:
    imported, _ = imported_by("doctor")
    assert imported & (HEAVY - {"omegaconf"}) == set()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("judge=nope",), "unknown judge option 'nope'"),
        (("judge=local", "judge.chioces=none"), "did you mean choices"),
        (("judge=litellm",), "judge.model"),
        (("judge=none",), "judge: the judge of this configuration is no language model"),
        (("explainer=top_tokens",), "explainer.llm: the explainer of this configuration is no language model"),
        (("judge=local", "judge.choices=gramar"), "did you mean grammar"),
        (("judge=local", "judge.timeout_s=soon"), "judge.timeout_s"),
        (("judge=local", "judge.path=/nowhere/x.gguf", "judge.sha256=null"), "/nowhere/x.gguf"),
        (("word",), "word"),
        (("--nope",), "--nope"),
        (
            ("judge=openai_compatible", "judge.model=openai/m", "judge.api_base=http://127.0.0.1:9/v1"),
            "judge.api_base: http://127.0.0.1:9/v1 cannot be reached",
        ),
    ],
)
def test_each_mistake_is_one_line(
    arguments: tuple[str, ...],
    said: str,
    harness: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    result = harness("doctor", *arguments)
    assert result.code == 2
    errors = [line for line in result.err.splitlines() if "error: " in line]
    assert len(errors) == 1
    assert said in errors[0]
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("override", "roles"),
    [
        ("judge=local", ["judge"]),
        ("judge.model=m", ["judge"]),
        ("+llm@judge=litellm", ["judge"]),
        ("llm@explainer.llm=litellm", ["explainer"]),
        ("explainer.llm.model=judge", ["explainer"]),
        ("explainer=cot", ["explainer"]),
        ("experiment=demo", []),
        ("prejudge=1", []),
    ],
)
def test_the_roles_an_override_names(override: str, roles: list[str]) -> None:
    assert [role for role in ("explainer", "judge") if _names(override, role)] == roles
