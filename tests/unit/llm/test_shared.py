from __future__ import annotations

from harness.llm.shared import SharedPool


def test_made_by_the_first_user_and_closed_by_the_last() -> None:
    closed: list[str] = []
    pool: SharedPool[str, str] = SharedPool(closed.append)
    made: list[str] = []

    def make(name: str) -> str:
        made.append(name)
        return name

    assert pool.acquire("a", lambda: make("one")) == "one"
    assert pool.acquire("a", lambda: make("two")) == "one"
    assert pool.acquire("b", lambda: make("three")) == "three"
    assert made == ["one", "three"]
    pool.release("a")
    assert (closed, len(pool)) == ([], 2)
    pool.release("a")
    assert (closed, len(pool)) == (["one"], 1)
    assert pool.acquire("a", lambda: make("four")) == "four"
