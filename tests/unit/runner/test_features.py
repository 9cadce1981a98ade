from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.examples.record import SAMPLED_CONTEXTS, Sampling
from harness.results.codec import decode, encode, to_json
from harness.results.records import FeatureLine, SamplingLine
from harness.runner.features import feature_lines
from harness.testing.records import make_record

if TYPE_CHECKING:
    from harness.examples.record import FeatureRecord


class Subject:
    """What is needed of a subject's data."""

    def __init__(self, record: FeatureRecord) -> None:
        self.records = (record,)
        self.skipped = ()


def line(record: FeatureRecord) -> FeatureLine:
    subjects: Any = {"s": Subject(record)}
    (found,) = feature_lines(subjects)
    return found


def test_a_sampled_feature_says_so_and_others_are_written_as_before() -> None:
    record = make_record()
    assert "sampling" not in to_json(line(record))
    sampling = Sampling(0.01, 300, 200)
    sampled = line(replace(record, statistics=replace(record.statistics, sampling=sampling)))
    assert sampled.sampling == SamplingLine(
        rate=0.01, uniform_contexts=300, strongest_contexts=200, scheme=SAMPLED_CONTEXTS
    )
    for each in (sampled, line(record)):
        assert decode(FeatureLine, to_json(each)) == each
    assert '"sampling":{"rate":0.01' in encode(sampled)
