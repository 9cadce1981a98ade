from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.llm.estimator import TokenEstimator, request_bytes
from harness.llm.protocol import CompletionRequest, Message, PromptLogprobsRequest


def test_bytes_are_the_bound_before_anything_was_counted() -> None:
    estimator = TokenEstimator()
    assert estimator.at_most(1000) >= 1000
    assert estimator.expected(1000) == 250


@given(st.lists(st.tuples(st.integers(1, 10**6), st.floats(0.05, 1.0)), min_size=1), st.text(max_size=300))
def test_nothing_that_was_counted_lowers_the_bound(seen: list[tuple[int, float]], text: str) -> None:
    estimator = TokenEstimator()
    counted = [(size, max(1, int(size * density))) for size, density in seen]
    for size, tokens in counted:
        estimator.learn(size, tokens)
    size = request_bytes(PromptLogprobsRequest(text))
    assert estimator.at_most(size) >= size
    low, high = min(t / s for s, t in counted), max(t / s for s, t in counted)
    assert int(1000 * low) - 1 <= estimator.expected(1000) <= 1000 * high + 1


def test_a_schema_is_read_too() -> None:
    asked = CompletionRequest((Message("user", "q"),), max_tokens=1, response_schema={"type": "array"})
    assert request_bytes(asked) == 1 + len('{"type": "array"}')


def test_unknown_counts_teach_nothing() -> None:
    estimator = TokenEstimator()
    estimator.learn(100, None)
    assert estimator.expected(100) == 25


def test_size_is_in_bytes_of_everything_asked() -> None:
    request = CompletionRequest((Message("system", "é"), Message("user", "ab\ud800")), max_tokens=1)
    assert request_bytes(request) == 2 + 2 + 3
    assert request_bytes(PromptLogprobsRequest("abc")) == 3
