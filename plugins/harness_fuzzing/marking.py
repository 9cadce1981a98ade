"""Right and wrong markings that nothing but their meaning tells apart.

Windows are halved into right and wrong ones. Every wrong window takes over the marking *pattern* of one right window:
the same number of tokens, in the same runs, at the same places of a text of the same length. So the multiset of
(length, marked positions) is the same on both sides, exactly, for every feature; a judge that sees only counts and
positions scores 0.5 and cannot do better.

Where the pattern would touch an active token of the wrong window it is shifted, and both windows are cropped by the
shift, at opposite ends, so that the positions shown stay equal. Windows collected around their peak, whose active
tokens all lie at the same place, are always paired that way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.api import generator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import Example

__all__ = ["Marked", "Markings", "draw_markings", "right_marks", "untouchable"]

_INFEASIBLE = 1e6
_CROP_COST = 0.25  # a cropped pair is taken only where no uncropped one is as alike in shape
_NOISE = 0.2  # spreads the choice among pairs that are alike; below the crop cost, so it never outweighs it
_MAX_CROP = 0.25  # share of a window that a shift may cost


@dataclass(frozen=True, slots=True)
class Marked:
    """One window with marks: tokens ``start`` to ``stop`` are shown, those at ``marks`` (window positions) marked."""

    example: Example
    right: bool
    start: int
    stop: int
    marks: tuple[int, ...]

    @property
    def pattern(self) -> tuple[int, tuple[int, ...]]:
        """Return all that can be seen of the marking without reading: tokens shown and positions marked."""
        return self.stop - self.start, tuple(mark - self.start for mark in self.marks)

    @property
    def tokens(self) -> tuple[str, ...]:
        """Return the tokens shown."""
        return self.example.tokens[self.start : self.stop]

    @property
    def flags(self) -> tuple[bool, ...]:
        """Return of each token shown whether it is marked."""
        marks = set(self.marks)
        return tuple(place in marks for place in range(self.start, self.stop))

    @property
    def kind(self) -> str:
        """Return the kind of the item that asks about it."""
        if self.right:
            return "marked_right"
        return "marked_wrong" if self.example.activating else "marked_wrong_silent"


@dataclass(frozen=True, slots=True)
class Markings:
    """The marked windows, and how many windows could not be marked."""

    marked: tuple[Marked, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class _Window:
    """An example with what pairing needs to know of it."""

    example: Example
    marks: tuple[int, ...]
    untouchable: frozenset[int]
    shapes: tuple[str, ...]
    peak: int

    def __len__(self) -> int:
        return len(self.shapes)


@dataclass(frozen=True, slots=True)
class _Fit:
    """The cheapest way to move a pattern into a window."""

    cost: float
    shift: int


def right_marks(example: Example, threshold: float) -> tuple[int, ...]:
    """Return the positions whose activation is at least ``threshold`` times the window's largest."""
    floor = threshold * example.max_activation
    return tuple(place for place, value in enumerate(example.activations) if value > 0 and value >= floor)


def untouchable(example: Example) -> frozenset[int]:
    """Return the positions no wrong mark may touch: active tokens and the rest of the words they belong to.

    To a reader, marking half of an active word is nearly right, so it is no fair wrong answer.
    """
    words: list[list[int]] = []
    for place in range(len(example.tokens)):
        if place and _continues(example.tokens, place):
            words[-1].append(place)
        else:
            words.append([place])
    return frozenset(place for word in words if any(example.activations[at] > 0 for at in word) for place in word)


def draw_markings(examples: Sequence[Example], threshold: float, seed: int) -> Markings:
    """Return the activating ``examples`` marked, half of them rightly and half wrongly, each used at most once.

    The halves are drawn by ``seed`` with at most one window of difference in each decile. Pairs are the assignment of
    least total cost, the cost being the share of marked tokens that differ in shape (letters, digits, signs; start or
    middle of a word) and a penalty for cropping. A window without a partner is left out and counted, never marked some
    other way.
    """
    right, wrong = _halves([_window(example, threshold) for example in examples], seed)
    if not right or not wrong:
        return Markings((), len(examples))
    fits = _fits(right, wrong, seed)
    marked: list[Marked] = []
    for row, column in _assign([[fit.cost if fit else _INFEASIBLE for fit in line] for line in fits]):
        fit = fits[row][column]
        if fit is not None:
            marked += _pair(right[row], wrong[column], fit.shift)
    place = {example.key: index for index, example in enumerate(examples)}
    marked.sort(key=lambda one: place[one.example.key])
    return Markings(tuple(marked), len(examples) - len(marked))


def _window(example: Example, threshold: float) -> _Window:
    peak = max(range(len(example.activations)), key=lambda place: example.activations[place])
    shapes = tuple(_shape(example.tokens, place) for place in range(len(example.tokens)))
    return _Window(example, right_marks(example, threshold), untouchable(example), shapes, peak)


def _halves(windows: Sequence[_Window], seed: int) -> tuple[list[_Window], list[_Window]]:
    """Return the right and the wrong half: neighbours in decile order are put on opposite sides by a coin."""
    rng = generator(seed, "halves")
    ordered = sorted(windows, key=lambda window: window.example.key)
    keyed = [(window.example.decile or 0, float(rng.random()), window) for window in ordered]
    ordered = [window for _, _, window in sorted(keyed, key=lambda entry: entry[:2])]
    right: list[_Window] = []
    wrong: list[_Window] = []
    for first in range(0, len(ordered), 2):
        coin = bool(rng.random() < 0.5)  # noqa: PLR2004  -- a fair coin
        for number, window in enumerate(ordered[first : first + 2]):
            (right if coin == (number == 0) else wrong).append(window)
    return right, wrong


def _fits(right: Sequence[_Window], wrong: Sequence[_Window], seed: int) -> list[list[_Fit | None]]:
    reach = int(_MAX_CROP * min(len(window) for window in (*right, *wrong)))
    noise = generator(seed, "pairs").random((len(right), len(wrong), 2 * reach + 1)) * _NOISE
    return [
        [_best_fit(donor, taker, reach, noise[row, column].tolist()) for column, taker in enumerate(wrong)]
        for row, donor in enumerate(right)
    ]


def _best_fit(donor: _Window, taker: _Window, reach: int, noise: Sequence[float]) -> _Fit | None:
    fits = []
    for shift in range(-reach, reach + 1):
        mismatch = _mismatch(donor, taker, shift)
        if mismatch is not None:
            fits.append(_Fit(mismatch + (_CROP_COST if shift else 0.0) + noise[shift + reach], shift))
    return min(fits, key=lambda fit: fit.cost, default=None)


def _mismatch(donor: _Window, taker: _Window, shift: int) -> float | None:
    """Return the share of marks that change their shape when ``donor``'s pattern moves, or None if it cannot."""
    moved = [mark + shift for mark in donor.marks]
    if moved[0] < 0 or moved[-1] >= len(taker) or not taker.untouchable.isdisjoint(moved):
        return None
    start, stop = _shown(taker, donor, shift)
    if not start <= taker.peak < stop:
        return None  # the text shown must still activate the feature, or it would be a question of detection
    pairs = [(donor.shapes[mark], taker.shapes[place]) for mark, place in zip(donor.marks, moved, strict=True)]
    if any((old == "blank") != (new == "blank") for old, new in pairs):
        return None
    return sum(old != new for old, new in pairs) / len(pairs)


def _shown(taker: _Window, donor: _Window, shift: int) -> tuple[int, int]:
    """Return the part of ``taker`` shown: as long as the donor's, with the pattern at the same place."""
    start = max(shift, 0)
    return start, start + min(len(taker) - start, len(donor) - max(-shift, 0))


def _pair(donor: _Window, taker: _Window, shift: int) -> tuple[Marked, Marked]:
    start, stop = _shown(taker, donor, shift)
    cut = max(-shift, 0)
    return (
        Marked(donor.example, right=True, start=cut, stop=cut + stop - start, marks=donor.marks),
        Marked(taker.example, right=False, start=start, stop=stop, marks=tuple(mark + shift for mark in donor.marks)),
    )


def _assign(costs: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    import numpy as np  # noqa: PLC0415  -- listing the scorers must not import SciPy
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415  -- as above

    rows, columns = linear_sum_assignment(np.asarray(costs))
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def _continues(tokens: Sequence[str], place: int) -> bool:
    """Return whether the token goes on with the word the tokens before it began."""
    before = next((token for token in reversed(tokens[:place]) if token), "")
    return bool(before and tokens[place]) and before[-1].isalnum() and tokens[place][0].isalnum()


def _shape(tokens: Sequence[str], place: int) -> str:
    text = tokens[place].strip()
    if not text:
        return "blank"
    kind = "digits" if text[0].isdigit() else "letters" if text[0].isalpha() else "signs"
    return f"{kind}, inside a word" if place and _continues(tokens, place) else kind
