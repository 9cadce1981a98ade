"""events.jsonl: what happened when. The one file of a run that holds clock readings, apart from the manifest."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import jsonlines

from harness.results.jsonl import repair_tail
from harness.results.records import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["EventLog"]

_DUMPS = partial(json.dumps, ensure_ascii=True, allow_nan=False)


class EventLog:
    """Appends events and keeps how long each stage took in this process.

    Attributes:
        seconds: Wall-clock seconds of every stage so far.
    """

    def __init__(self, path: Path) -> None:
        repair_tail(path)
        self._path = path
        self.seconds: dict[str, float] = {}

    def write(self, event: str, **facts: Any) -> None:
        """Append one event with the present time (UTC)."""
        line = {
            "schema_version": SCHEMA_VERSION,
            "event": event,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            **facts,
        }
        with jsonlines.open(self._path, mode="a", dumps=_DUMPS) as writer:
            writer.write(line)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Note when a stage begins and how it ends."""
        begun = time.monotonic()
        self.write("stage_started", stage=name)
        status = "failed"
        try:
            yield
            status = "finished"
        finally:
            self.seconds[name] = round(time.monotonic() - begun, 3)
            self.write("stage_ended", stage=name, status=status, seconds=self.seconds[name])
