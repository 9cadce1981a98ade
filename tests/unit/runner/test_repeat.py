from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from harness.results.manifest import read_manifest
from harness.runner.repeat import differences

if TYPE_CHECKING:
    from tests.support.run_bench import Bench


def test_the_same_run_with_the_same_software_differs_in_nothing(bench: Bench) -> None:
    manifest = read_manifest(bench.run().run_dir / "manifest.json")
    assert differences(manifest, bench.resolved) == []


def test_everything_that_is_not_as_it_was_is_one_line(bench: Bench) -> None:
    manifest = read_manifest(bench.run().run_dir / "manifest.json")
    versions = manifest.versions
    libraries = {**versions.libraries, "numpy": "1.0", "gone": "2"}
    then = dataclasses.replace(
        manifest, versions=dataclasses.replace(versions, harness="0.0", libraries=libraries), config_sha256="0"
    )
    then.config["scorers"]["grader"]["version"] = 0
    lines = differences(then, bench.resolved)
    assert [line.partition(" here")[0].split(" is ")[0] for line in lines] == [
        "harness",
        "gone",
        "numpy",
        "the code of scorers.grader",
        "the configuration",
    ]
    assert lines[1] == "gone is not installed here, and was 2 in the run that is repeated"
    assert lines[-1].endswith(f"this is another run, {manifest.run_id}")
