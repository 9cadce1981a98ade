from __future__ import annotations

import os
from typing import TYPE_CHECKING

from harness.examples.ahead import InTurn
from harness.examples.record import SkippedFeature
from harness.runner.records import LEAST, building_on, processes_for

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from harness.examples.ahead import Result


def test_other_processes_are_for_selections_that_pay_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    assert [processes_for(wanted, None) for wanted in (1, LEAST - 1, LEAST, 10 * LEAST)] == [1, 1, 4, 4]
    assert [processes_for(1, asked) for asked in (1, 3, 9)] == [1, 3, 4]


def test_one_process_starts_no_other() -> None:
    def opener() -> Callable[[int], Result]:
        raise AssertionError

    with building_on(1, opener) as building:
        built = building(lambda feature: SkippedFeature("s", feature, "dead", "why"))
        assert isinstance(built, InTurn)
        assert built.result(3) == SkippedFeature("s", 3, "dead", "why")
