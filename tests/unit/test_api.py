from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import harness.api


def test_everything_named_is_there_and_named_once_in_order() -> None:
    names = harness.api.__all__
    assert len(set(names)) == len(names)
    assert [name for name in names if not hasattr(harness.api, name)] == []


def test_importing_it_loads_nothing_heavy() -> None:
    code = (
        "import sys, harness.api, harness.testing; "
        "print([name for name in ('torch', 'numpy', 'scipy', 'litellm', 'transformers') if name in sys.modules])"
    )
    root = str(Path(harness.api.__file__).parents[1])
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": root}
    )
    assert told.stdout.strip() == "[]"
