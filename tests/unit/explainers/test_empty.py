from __future__ import annotations

from typing import TYPE_CHECKING

from harness.explainers.config import EmptyConfig
from harness.explainers.empty import Empty
from harness.explainers.protocol import Draft

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.examples.record import ExplainRecord


def test_every_feature_gets_the_empty_text(make_explain_record: Callable[..., ExplainRecord]) -> None:
    records = [make_explain_record(feature=feature) for feature in (3, 5)]
    assert Empty(EmptyConfig()).build(records, {}, 0) == {3: Draft(""), 5: Draft("")}
