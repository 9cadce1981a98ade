from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from harness.explainers.config import LogitTokensConfig, NgramConfig
from harness.runner import data
from harness.subjects.told_tokens import PROMOTED_LOOKED_AT, told_tokens
from harness.testing.records import make_record

if TYPE_CHECKING:
    import pytest

TOP, BOTTOM = (" ships", " boats"), (" lambs", " ewes")


def told(monkeypatch: pytest.MonkeyPatch, config: Any, *, writes: bool = True) -> list[tuple[Any, Any]]:
    """Return the (promoted, suppressed) tokens of two records, where a feature's are told apart by its number."""
    for name, tokens in (("top_logit_tokens", TOP), ("bottom_logit_tokens", BOTTOM)):

        def found(_model: Any, _source: Any, features: list[int], k: int, tokens: Any = tokens) -> list[Any]:
            assert k == (PROMOTED_LOOKED_AT if tokens is TOP else 10)
            return [(*tokens, str(feature)) for feature in features]

        monkeypatch.setattr(data, name, found)
    source = SimpleNamespace(write_directions=lambda features: features if writes else None)
    models: Any = SimpleNamespace(load=lambda _: (None, source))
    resolved: Any = SimpleNamespace(explainer=SimpleNamespace(config=config))
    subject: Any = None
    records = [make_record(feature=feature) for feature in (3, 7)]
    shown = data._with_logit_tokens(resolved, subject, records, models)
    return [(one.statistics.top_logit_tokens, one.statistics.bottom_logit_tokens) for one in shown]


def test_each_record_is_told_what_its_explainer_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ranked, bottom = [(*TOP, "3"), (*TOP, "7")], [(*BOTTOM, "3"), (*BOTTOM, "7")]
    places = [told_tokens(texts, feature) for texts, feature in zip(ranked, (3, 7), strict=True)]
    assert places == [(1,), (0, 2)], "every second one, the first of which is drawn by the feature's number"
    top = [tuple(texts[place] for place in told) for texts, told in zip(ranked, places, strict=True)]
    assert told(monkeypatch, LogitTokensConfig()) == [(top[0], ()), (top[1], ())]
    both = LogitTokensConfig(suppressed_tokens=True)
    assert told(monkeypatch, both) == list(zip(top, bottom, strict=True))
    assert told(monkeypatch, both, writes=False) == told(monkeypatch, NgramConfig()) == [((), ()), ((), ())]
