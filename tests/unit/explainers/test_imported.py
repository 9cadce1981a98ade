from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness.errors import ConfigError
from harness.explainers.config import ImportedConfig
from harness.explainers.imported import ImportedExplainer, imported_identity
from harness.explainers.protocol import ExplainerResources
from harness.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.examples.record import ExplainRecord


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "theirs.jsonl"
    lines = [
        {"feature": 7, "text": "capitals", "author": "Ada"},
        {"feature": 8, "text": "rivers"},
        {"feature": 9, "text": None, "outcome": "refused"},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("feature", "text", "origin", "error"),
    [
        (7, "capitals", "theirs.jsonl: Ada", None),
        (8, "rivers", "theirs.jsonl", None),
        (9, None, "theirs.jsonl", "no explanation of feature 9 in theirs.jsonl (its outcome there: refused)"),
        (10, None, None, "no explanation of feature 10 in theirs.jsonl"),
    ],
)
async def test_features_are_looked_up(
    file: Path,
    feature: int,
    text: str | None,
    origin: str | None,
    error: str | None,
    make_explain_record: Callable[..., ExplainRecord],
) -> None:
    explainer = ImportedExplainer(ImportedConfig(path=str(file)))
    draft = await explainer.explain(make_explain_record(feature=feature), ExplainerResources(0))
    assert (draft.text, draft.origin, draft.error) == (text, origin, error)
    assert draft.outcome is (Outcome.OK if text else Outcome.ERROR)
    assert draft.usage.calls == explainer.estimate(20, 32).calls == 0


def test_the_identity_is_that_of_the_bytes(file: Path) -> None:
    config = ImportedConfig(path=str(file))
    before = imported_identity(config)
    assert imported_identity(config) == before
    file.write_text('{"feature": 7, "text": "other"}\n', encoding="utf-8")
    assert imported_identity(config) != before


@pytest.mark.parametrize("make", [ImportedExplainer, imported_identity])
def test_a_missing_file_is_named(make: Callable[[ImportedConfig], object], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"explainer\.path: no file is named"):
        make(ImportedConfig())
    with pytest.raises(ConfigError, match=r"gone\.jsonl: no such file"):
        make(ImportedConfig(path=str(tmp_path / "gone.jsonl")))


def test_an_unknown_rule_for_duplicates_is_refused() -> None:
    with pytest.raises(ConfigError, match="on_duplicate is 'best'"):
        ImportedConfig(on_duplicate="best")
