"""Which windows are shown together, and where the intruder stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.api import generator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import Example

__all__ = ["Trial", "draw_trials"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One question: the windows in the order shown, and the place of the intruder, from 0."""

    examples: tuple[Example, ...]
    place: int

    @property
    def intruder(self) -> Example:
        """Return the window that does not belong."""
        return self.examples[self.place]


def draw_trials(
    activating: Sequence[Example], silent: Sequence[Example], *, shown_with: int, most: int, seed: int
) -> tuple[Trial, ...]:
    """Return up to ``most`` trials, drawn by ``seed``; none if there are too few windows.

    Every silent window is an intruder at most once, the kinds of them in turn. Activating windows are dealt like cards,
    so that all are used about equally often. All windows of a trial are of different documents: what windows of one
    document share tells them from any other, whatever the feature. A silent window for which there are not enough is
    passed over. The intruder stands equally often at each place, to one.

    Args:
        activating: Windows of the feature.
        silent: Windows where it is silent.
        shown_with: Activating windows in a trial.
        most: Most trials.
        seed: Of all draws.
    """
    documents = {example.document for example in activating}
    intruders = [one for one in _in_turn(silent, seed) if len(documents - {one.document}) >= shown_with][:most]
    places = _places(len(intruders), shown_with + 1, seed)
    deck = _Deck(activating, seed)
    trials = []
    for intruder, place in zip(intruders, places, strict=True):
        hand = deck.deal(shown_with, intruder.document)
        trials.append(Trial((*hand[:place], intruder, *hand[place:]), place))
    return tuple(trials)


class _Deck:
    """Deals windows in a drawn order, and shuffles again when none that is left may be dealt."""

    def __init__(self, examples: Sequence[Example], seed: int) -> None:
        self._examples = examples
        self._rng = generator(seed, "intruder hands")
        self._left: list[int] = []

    def deal(self, count: int, barred: int) -> tuple[Example, ...]:
        """Return ``count`` windows of as many documents, none of them ``barred``; there must be so many."""
        documents = {barred}
        hand: list[Example] = []
        while len(hand) < count:
            # A window of a document that this hand has waits for the next one.
            place = next(
                (at for at, number in enumerate(self._left) if self._examples[number].document not in documents), None
            )
            if place is None:
                self._left += self._rng.permutation(len(self._examples)).tolist()
                continue
            hand.append(self._examples[self._left.pop(place)])
            documents.add(hand[-1].document)
        return tuple(hand)


def _in_turn(silent: Sequence[Example], seed: int) -> list[Example]:
    """Return the windows shuffled within their kinds, one of each kind in turn."""
    kinds: dict[str, list[Example]] = {}
    for example in silent:
        kinds.setdefault(str(example.kind), []).append(example)
    ranked = []
    for kind in sorted(kinds):
        order = generator(seed, "intruders", kind).permutation(len(kinds[kind])).tolist()
        ranked += [(rank, kind, kinds[kind][place]) for rank, place in enumerate(order)]
    return [example for _, _, example in sorted(ranked, key=lambda entry: entry[:2])]


def _places(count: int, n: int, seed: int) -> list[int]:
    """Return the places of ``count`` intruders, each of ``n`` equally often, to one, in a drawn order."""
    rng = generator(seed, "intruder places")
    places: list[int] = []
    while len(places) < count:
        places += rng.permutation(n).tolist()
    return [places[at] for at in rng.permutation(count).tolist()]
