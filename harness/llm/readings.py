"""What is read off a model's log-probabilities: where its tokens lie in a text, and which number it means by digits.

``read_off`` goes the other way: it makes the reply from which the numbers of a judge that answers by rule are read.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.llm.protocol import TokenAlternatives
from harness.llm.task import TaskKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.llm.protocol import PromptLogprobsRequest

__all__ = ["PlacedToken", "digit_alternatives", "expected_value", "place_tokens", "read_off"]

TOP = 10
"""The largest number that is read as one answer."""

_BROKEN = "\ufffd"
_LEADING = 2  # tokens before a text that are not of it: what a model begins every text with


@dataclass(frozen=True, slots=True)
class PlacedToken:
    """A token of a reply, and the characters of the text from ``start`` up to ``end`` that it stands for."""

    start: int
    end: int
    token: TokenAlternatives


def expected_value(alternatives: Mapping[str, float], top: int = TOP) -> float | None:
    """Return the expected number, 0 to ``top``, among the alternatives to one token; None if none of them is a number.

    Only alternatives that are exactly the digits count (``" 2"`` is another token than ``"2"``), and their
    probabilities are normalised. Bills et al. 2023, "Language models can explain neurons in language models", the
    simulator.

    Args:
        alternatives: Natural-log probability by token.
        top: The largest number of the scale.
    """
    known = {number: alternatives[str(number)] for number in range(top + 1) if str(number) in alternatives}
    finite = {number: value for number, value in known.items() if math.isfinite(value)}
    if not finite:
        return None
    likeliest = max(finite.values())
    shares = {number: math.exp(value - likeliest) for number, value in finite.items()}
    return math.fsum(number * share for number, share in shares.items()) / math.fsum(shares.values())


def digit_alternatives(value: float) -> dict[str, float]:
    """Return alternatives whose expected value is ``value``: the whole numbers around it, by their nearness.

    Raises:
        ValueError: If it is not from 0 to 10.
    """
    if not 0 <= value <= TOP:
        message = f"{value} is not from 0 to {TOP}"
        raise ValueError(message)
    below = math.floor(value)
    shares = {below: below + 1 - value, below + 1: value - below}
    return {str(number): math.log(share) for number, share in shares.items() if share > 0}


def place_tokens(text: str, tokens: Sequence[TokenAlternatives]) -> tuple[PlacedToken, ...] | None:
    """Return where each token lies in ``text``, in order; None if they are not the tokens of this text.

    Tolerated is what endpoints are known to do: a token or two before the text (what the model begins it with), a first
    blank put before the text or swallowed by a token, and pieces of a character that is cut into several tokens, shown
    as U+FFFD or as ``bytes:...``. Such pieces lie together on the characters they make up.
    """
    for lead in range(min(_LEADING, len(tokens)) + 1):
        placed = _placed(text, tokens[lead:])
        if placed is not None:
            return placed
    return None


def read_off(request: PromptLogprobsRequest, answers: Sequence[Sequence[float]]) -> tuple[TokenAlternatives, ...]:
    """Return a prompt's tokens from which a scorer reads ``answers``; see ``harness.llm.task``.

    Args:
        request: With a task that says where its answers stand (``Task.spans``).
        answers: For each text of the task a number for each of its tokens: from 0 to 10, or a log-probability.

    Raises:
        ValueError: If there is no such task, or the numbers are not as many as it asks for.
    """
    task, prompt = request.task, request.prompt
    if task is None or not task.spans:
        message = "no task that is answered by a prompt's log-probabilities"
        raise ValueError(message)
    simulated = task.kind is TaskKind.SIMULATE
    numbers = [number for answer in answers for number in answer]
    if len(task.spans) != (len(numbers) if simulated else len(answers)):
        message = f"{len(numbers)} numbers in {len(answers)} answers for {len(task.spans)} places in the prompt"
        raise ValueError(message)
    found: list[TokenAlternatives] = []
    place = 0
    for span, answer in zip(task.spans, [[one] for one in numbers] if simulated else answers, strict=True):
        start, end = span
        if start > place:
            found.append(TokenAlternatives(prompt[place:start], 0.0 if found else None))
        shown = prompt[start:end]
        found += [_slot(shown, answer[0])] if simulated else _pieces(shown, answer)
        place = end
    return (*found, TokenAlternatives(prompt[place:], 0.0)) if place < len(prompt) else tuple(found)


def _slot(shown: str, value: float) -> TokenAlternatives:
    return TokenAlternatives(shown, 0.0, digit_alternatives(value))


def _pieces(shown: str, values: Sequence[float]) -> list[TokenAlternatives]:
    """Return ``shown`` cut into as many tokens as there are values, or as it has characters, the rest in the last."""
    if not shown:
        return []
    n = max(1, min(len(values), len(shown)))
    cuts = [round(len(shown) * part / n) for part in range(n + 1)]
    sums = [*values[: n - 1], math.fsum(values[n - 1 :])]
    return [TokenAlternatives(shown[cuts[part] : cuts[part + 1]], sums[part]) for part in range(n)]


def _placed(text: str, tokens: Sequence[TokenAlternatives]) -> tuple[PlacedToken, ...] | None:
    placed: list[PlacedToken] = []
    broken: list[TokenAlternatives] = []
    place = 0
    for token in tokens:
        if (broken and not token.token) or (
            _is_broken(token.token) and (broken or not text.startswith(token.token, place))
        ):
            broken.append(token)
            continue
        start = _after_broken(text, place, broken, token.token) if broken else place
        end = None if start is None else _end(text, start, token.token)
        if start is None or end is None:
            return None
        placed += [PlacedToken(place, start, piece) for piece in broken]
        broken = []
        placed.append(PlacedToken(start, end, token))
        place = end
    if broken:
        end = _after_broken(text, place, broken, None)
        if end is None:
            return None
        placed += [PlacedToken(place, end, piece) for piece in broken]
        place = end
    return tuple(placed) if place == len(text) else None


def _end(text: str, start: int, token: str) -> int | None:
    """Return where ``token`` ends that begins at ``start``; None if it does not stand there."""
    if text.startswith(token, start):
        return start + len(token)
    if token and text.startswith(f" {token}", start):
        return start + len(token) + 1
    if start == 0 and token.startswith(" ") and text.startswith(token[1:]):
        return len(token) - 1
    return None


def _is_broken(token: str) -> bool:
    return _BROKEN in token or token.startswith("bytes:")


def _after_broken(text: str, place: int, broken: Sequence[TokenAlternatives], following: str | None) -> int | None:
    """Return where pieces of characters that begin at ``place`` end, so that the token ``following`` comes next.

    The nearest such place, if there are several; None if there is none. Without a following token it is the end of the
    text. All places are followed at once, so that the time does not grow with the ways in which pieces can be joined.
    """
    parts = "".join(_BROKEN if one.token.startswith("bytes:") else one.token for one in broken)
    ends = {place}
    for part in re.findall(f"{_BROKEN}+|[^{_BROKEN}]+", parts):
        if part.startswith(_BROKEN):
            ends = {end for start in ends for end in _within_characters(text, start, len(part))}
        else:
            ends = {start + len(part) for start in ends if text.startswith(part, start)}
    if following is None:
        return len(text) if len(text) in ends else None
    return min((end for end in ends if text.startswith((following, f" {following}"), end)), default=None)


def _within_characters(text: str, start: int, most: int) -> Iterator[int]:
    """Yield the ends of 1 to ``most`` characters from ``start`` on that can be cut in pieces: none of ASCII can."""
    for end in range(start + 1, min(start + most, len(text)) + 1):
        if text[end - 1].isascii():
            return
        yield end
