"""Records keep their bytes: digests of records as they were built before the builder was made fast.

A change of any of them is a change of what explainers and scorers see, and needs a new ``RULES``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.config.schema import ExamplesConfig
from harness.examples.build import RecordBuilder
from harness.identity import canonical_json, plain, text_sha256

GOLDEN: dict[str, str] = json.loads((Path(__file__).parents[2] / "golden" / "records.json").read_text("utf-8"))
WIDTH = {"peak": 9, "tile": 8}
FEATURES = 12


def case(tokens_type: Any, activations_type: Any, name: str) -> Any:
    """Return the builder of a case: contexts of many lengths, features from rare to dense, ties, negative values."""
    align, strategy, seed = name.split("-")
    draws = np.random.default_rng(int(seed))
    lengths = draws.integers(1, 70, 400)
    documents = np.cumsum(draws.integers(0, 2, 400))
    tokens = tokens_type(list(zip((documents - documents[0]).tolist(), lengths.tolist(), strict=True)))
    n_tokens = int(lengths.sum())
    features = []
    for feature in range(FEATURES):
        count = round(20 * 2 ** (feature * 0.75))
        places = draws.choice(n_tokens, min(count, n_tokens), replace=False)
        values = np.round(draws.exponential(2.0, places.size) + 0.25, 1) - (1.5 if feature % 3 == 2 else 0.0)
        features.append({at: value for at, value in zip(places.tolist(), values.tolist(), strict=True) if value})
    config = ExamplesConfig(
        window_tokens=WIDTH[align],
        align=align,
        peak_offset=5,
        explain_strategy=strategy,
        score_strategy=strategy,
        explain_non_activating=3,
        min_activating_windows=5,
        min_half_windows=1,
    )
    return RecordBuilder("golden", tokens, activations_type(features, n_tokens), config, int(seed))


def digest(builder: RecordBuilder) -> str:
    rows = []
    for record in map(builder.build, range(FEATURES)):
        fields = plain(record)
        if "statistics" in fields:
            # Fields that came later.
            assert fields["statistics"].pop("sampling") is None
            assert fields["statistics"].pop("bottom_logit_tokens") == []
            assert fields.pop("facts") is None
            for half in (fields["explain"], fields["score"]):
                for example in (*half["activating"], *half["non_activating"]):
                    assert example.pop("origin") is None
        rows.append([type(record).__name__, fields])
    return text_sha256(canonical_json(rows))


@pytest.mark.parametrize("name", GOLDEN)
def test_records_keep_their_bytes(written_tokens: Any, written_activations: Any, name: str) -> None:
    assert digest(case(written_tokens, written_activations, name)) == GOLDEN[name]
