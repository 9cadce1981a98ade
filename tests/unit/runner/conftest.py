from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.run_bench import Bench

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Return a run on made records that can be started again and again."""
    made = Bench(tmp_path)
    monkeypatch.setattr("harness.runner.execute.prepare", made.prepare)
    return made
