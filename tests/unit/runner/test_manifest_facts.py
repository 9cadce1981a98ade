"""What a plugin declares of its scorer stands in the manifest and in no identity."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.results.manifest import read_manifest
from harness.results.runfolder import RunPaths

if TYPE_CHECKING:
    from tests.support.run_bench import Bench


def test_what_a_scorer_declares_is_recorded_and_changes_no_identity(bench: Bench) -> None:
    def manifest() -> Any:
        return read_manifest(RunPaths(bench.run().run_dir).manifest)

    plain = manifest()
    assert (plain.scorers["grader"].fidelity, plain.scorers["grader"].aspect) == (None, None)
    assert [metric.published for metric in plain.scorers["grader"].metrics] == [False]
    grader: Any = bench.resolved.scorers["grader"]
    spec = grader.registered.spec
    declaring = replace(
        spec, fidelity="input", aspect="purity", metrics=tuple(replace(one, published=True) for one in spec.metrics)
    )
    bench.change(scorers={"grader": replace(grader, registered=replace(grader.registered, spec=declaring))})
    asked = len(bench.grader.asked)
    told = manifest()
    assert (told.scorers["grader"].fidelity, told.scorers["grader"].aspect) == ("input", "purity")
    assert [metric.published for metric in told.scorers["grader"].metrics] == [True]
    assert (told.run_id, told.config_sha256, told.protocols) == (plain.run_id, plain.config_sha256, plain.protocols)
    assert (asked > 0, bench.grader.asked) == (True, [])  # the units are the same ones, and done
