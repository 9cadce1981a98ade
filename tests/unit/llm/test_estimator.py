from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.llm.estimator import TokenEstimator, request_bytes
from harness.llm.protocol import CompletionRequest, Message, PromptLogprobsRequest


def test_bytes_are_the_bound_before_anything_was_counted() -> None:
    estimator = TokenEstimator()
    assert estimator.at_most(1000) >= 1000
    assert estimator.expected(1000) == 250


@given(st.lists(st.tuples(st.integers(1, 10**6), st.floats(0.05, 1.0)), min_size=1))
def test_no_prompt_like_those_seen_passes_the_bound(seen: list[tuple[int, float]]) -> None:
    estimator = TokenEstimator()
    counted = [(size, max(1, int(size * density))) for size, density in seen]
    for size, tokens in counted:
        estimator.learn(size, tokens)
    assert all(tokens <= estimator.at_most(size) for size, tokens in counted)
    low, high = min(t / s for s, t in counted), max(t / s for s, t in counted)
    assert int(1000 * low) - 1 <= estimator.expected(1000) <= 1000 * high + 1


def test_the_bound_comes_down_with_experience() -> None:
    estimator = TokenEstimator()
    estimator.learn(4000, 1000)
    assert estimator.at_most(4000) < 1500


def test_unknown_counts_teach_nothing() -> None:
    estimator = TokenEstimator()
    estimator.learn(100, None)
    assert estimator.expected(100) == 25


def test_size_is_in_bytes_of_everything_asked() -> None:
    request = CompletionRequest((Message("system", "é"), Message("user", "ab\ud800")), max_tokens=1)
    assert request_bytes(request) == 2 + 2 + 3
    assert request_bytes(PromptLogprobsRequest("abc")) == 3
