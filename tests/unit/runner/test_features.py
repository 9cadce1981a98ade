from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.activations.facts import FLAGS, FeatureFacts, TokenCount
from harness.examples.record import SAMPLED_CONTEXTS, Sampling
from harness.results.codec import decode, encode, parse, to_json
from harness.results.records import FeatureLine, SamplingLine
from harness.runner.features import feature_lines
from harness.testing import make_record

if TYPE_CHECKING:
    from harness.examples.record import FeatureRecord
    from tests.support.run_bench import Bench

FACTS = FeatureFacts(
    3,
    40,
    0.04,
    max=5.0,
    mean=2.0,
    positional_mi=0.01,
    positional_share=0.04,
    token_share=0.95,
    previous_share=0.3,
    unigram_share=0.97,
    top_tokens=(TokenCount(" secret", 38, 2.0),),
    previous_token=" hidden",  # noqa: S106  -- no password
)
OLD = '{"subject":"s","feature":1,"status":"used","density":0.1,"max_activation":2.0,"n_activating_windows":9,'
OLD += '"top_tokens":[" a"],"examples_protocol":"p","schema_version":1}'


def lines(bench: Bench, *, with_facts: bool) -> list[FeatureLine]:
    subjects = bench.prepare()
    (subject,) = subjects.values()
    facts = FACTS if with_facts else None
    records = tuple(dataclasses.replace(record, facts=facts) for record in subject.records)
    return feature_lines({"planted": dataclasses.replace(subject, records=records)})


def test_a_used_feature_has_its_facts_and_none_of_their_tokens(bench: Bench) -> None:
    *used, skipped = lines(bench, with_facts=True)
    for line in used:
        assert (line.n_active, line.positional_mi, line.positional_share) == (40, 0.01, 0.04)
        assert (line.token_share, line.previous_share, line.unigram_share) == (0.95, 0.3, 0.97)
        assert line.flags == ["single_token", "unigram"]
        assert set(line.flags) <= set(FLAGS)
        assert "secret" not in encode(line)
        assert "hidden" not in encode(line)
        assert parse(FeatureLine, encode(line)) == line
    assert (skipped.status, skipped.flags, skipped.n_active) == ("skipped", None, None)


def test_a_record_without_facts_says_that_none_were_looked_at(bench: Bench) -> None:
    assert {(line.flags is None, line.n_active) for line in lines(bench, with_facts=False)} == {(True, None)}


@pytest.mark.parametrize("half", ["for_explaining", "for_scoring"])
def test_neither_explainer_nor_scorer_sees_facts(half: str) -> None:
    record = make_record()
    shown = getattr(dataclasses.replace(record, facts=FACTS), half)()
    assert shown == getattr(record, half)()
    assert "secret" not in repr(shown)
    assert "hidden" not in repr(shown)


def test_lines_of_older_versions_are_read() -> None:
    line = parse(FeatureLine, OLD)
    assert (line.density, line.unigram_share, line.flags) == (0.1, None, None)


class Subject:
    """What is needed of a subject's data."""

    def __init__(self, record: FeatureRecord) -> None:
        self.records = (record,)
        self.skipped = ()
        self.facts: dict[str, Any] = {}


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
