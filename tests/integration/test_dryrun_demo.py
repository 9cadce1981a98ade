"""The estimate of the demo against what the demo takes, with the judge's own tokenizer read out of its GGUF."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from harness.config.compose import compose_run
from harness.config.resolve import resolve_run
from harness.llm.tokenizers import open_counter
from harness.materials import cache_root, resolve
from harness.registry.catalogue import load_catalogue
from harness.runner.dryrun import describe, estimate
from tests.support.demo_figures import DEMO, near

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.real_judge, pytest.mark.timeout(900)]


def test_calls_and_tokens_of_each_role_are_met_within_a_tenth(tmp_path: Path) -> None:
    catalogue = load_catalogue(())
    resolved = resolve_run(compose_run(["experiment=demo", f"paths.cache={tmp_path}"], catalogue), catalogue)
    judge = resolved.judge
    assert judge is not None
    assert judge.path is not None
    fetched = resolve(judge.path, cache=cache_root(None), sha256=judge.sha256)
    # A cache in which the model was fetched and nothing else was done.
    material = tmp_path / "materials" / fetched.parent.name
    material.mkdir(parents=True)
    (material / fetched.name).symlink_to(fetched)
    parts = estimate(resolved)
    assert open_counter(judge, tmp_path).source == "its own tokenizer"
    for role, figures in DEMO.items():
        mine = [part for part in parts if part.role == role]
        found = [sum(getattr(part, name) for part in mine) for name in ("calls", "input_tokens", "output_tokens")]
        assert near(found, figures), (role, found, figures)
    # The second time it is at hand, and the file itself is no longer needed.
    shutil.rmtree(material)
    assert describe(resolved).count("tokens by its own tokenizer") == 2
