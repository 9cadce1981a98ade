"""One question to a judge whose reply must be read: asked again a bounded number of times if it cannot be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from harness.llm.protocol import Message
from harness.outcome import Outcome, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.llm.protocol import LLM, CompletionRequest

__all__ = ["KEPT_REPLY", "Answer", "Reading", "ask"]

KEPT_REPLY = 200
"""Characters of a reply that are kept as evidence."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """What was read from a reply, or None and why nothing was.

    Attributes:
        value: What the reply says.
        failure: Why it says nothing, beginning with one word, for instance ``no_list``.
    """

    value: T | None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What became of a question, its re-asks included.

    Attributes:
        value: What the last reply says; None unless ``outcome`` is OK.
        outcome: OK, UNPARSED where the last reply could not be read, or what became of the call.
        usage: What all its calls cost.
        reply: The beginning of the last reply, if there was one.
        error: What went wrong, if something did.
    """

    value: T | None
    outcome: Outcome
    usage: Usage
    reply: str | None = None
    error: str | None = None


async def ask(
    judge: LLM, request: CompletionRequest, read: Callable[[str], Reading[T]], reminder: str, re_asks: int
) -> Answer[T]:
    """Return what ``read`` finds in the judge's reply to ``request``.

    A reply that cannot be read is asked for again, with a reminder of the form. A refusal, a reply that was cut off or
    an error is not: the same would happen again.

    Args:
        judge: Who is asked.
        request: The question.
        read: Reads a reply.
        reminder: What is said when it could not be read.
        re_asks: How often at most, 0 or more.
    """
    usage = Usage()
    left = re_asks
    while True:
        completion = await judge.complete(request)
        usage += completion.usage
        reply = completion.text or ""
        if completion.outcome is not Outcome.OK:
            error = completion.error or completion.outcome.value
            return Answer(None, completion.outcome, usage, reply[:KEPT_REPLY] or None, error)
        found = read(reply)
        if found.value is not None:
            return Answer(found.value, Outcome.OK, usage, reply[:KEPT_REPLY])
        if left <= 0:
            return Answer(None, Outcome.UNPARSED, usage, reply[:KEPT_REPLY], found.failure)
        left -= 1
        # The reminder makes a new request, and so a new cache entry: asking the same again would get the same answer.
        again = (*request.messages, Message("assistant", reply[:KEPT_REPLY]), Message("user", reminder))
        request = replace(request, messages=again, shared_prefix=0)
