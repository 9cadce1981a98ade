from __future__ import annotations

import os

import pytest

from harness.errors import ConfigError
from harness.examples.ahead import InTurn
from harness.runner.records import LEAST, building_on, processes_for


def test_other_processes_are_for_selections_that_pay_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert [processes_for(wanted, None) for wanted in (1, LEAST - 1, LEAST, 10 * LEAST)] == [1, 1, 4, 4]
    assert [processes_for(1, asked) for asked in (1, 3, 9)] == [1, 3, 4]


def test_one_process_starts_no_other() -> None:
    def opener() -> object:
        raise ConfigError("opened")

    with building_on(1, opener) as building:  # type: ignore[arg-type]
        assert isinstance(building(lambda feature: None), InTurn)  # type: ignore[arg-type, return-value]
