from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from harness.explainers.config import LogitTokensConfig, NgramConfig
from harness.runner import data
from harness.testing.records import make_record

if TYPE_CHECKING:
    import pytest

TOP, BOTTOM = (" ships", " boats"), (" lambs", " ewes")


def told(monkeypatch: pytest.MonkeyPatch, config: Any, *, writes: bool = True) -> list[tuple[Any, Any]]:
    """Return the (promoted, suppressed) tokens of two records, where a feature's are told apart by its number."""
    for name, tokens in (("top_logit_tokens", TOP), ("bottom_logit_tokens", BOTTOM)):

        def found(_model: Any, _source: Any, features: list[int], k: int, tokens: Any = tokens) -> list[Any]:
            assert k == 10
            return [(*tokens, str(feature)) for feature in features]

        monkeypatch.setattr(data, name, found)
    source = SimpleNamespace(write_directions=lambda features: features if writes else None)
    models: Any = SimpleNamespace(load=lambda _: (None, source))
    resolved: Any = SimpleNamespace(explainer=SimpleNamespace(config=config))
    subject: Any = None
    records = [make_record(feature=feature) for feature in (3, 8)]
    shown = data._with_logit_tokens(resolved, subject, records, models)
    return [(one.statistics.top_logit_tokens, one.statistics.bottom_logit_tokens) for one in shown]


def test_each_record_is_told_what_its_explainer_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    top, bottom = [(*TOP, "3"), (*TOP, "8")], [(*BOTTOM, "3"), (*BOTTOM, "8")]
    assert told(monkeypatch, LogitTokensConfig()) == [(top[0], ()), (top[1], ())]
    both = LogitTokensConfig(suppressed_tokens=True)
    assert told(monkeypatch, both) == list(zip(top, bottom, strict=True))
    assert told(monkeypatch, both, writes=False) == told(monkeypatch, NgramConfig()) == [((), ()), ((), ())]
