from __future__ import annotations

import pytest

from harness.llm.protocol import Spending
from harness.outcome import Usage
from harness.runner.notes import progress_note


@pytest.mark.parametrize(
    ("failed", "usage", "said"),
    [
        (0, None, None),
        (0, Usage(1, 1, 1, 0.0), None),
        (2, Usage(1, 1, 1, 0.314), "2 failed, $0.31"),
        (0, Usage(1, 1, 1, None), "price unknown"),
        (1, Usage(), "1 failed"),
    ],
)
def test_what_stands_beside_a_bar(failed: int, usage: Usage | None, said: str | None) -> None:
    assert progress_note(failed, Spending(billed=usage) if usage else None) == said
