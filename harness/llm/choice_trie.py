"""Which token may come next where only certain answers are allowed. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["ChoiceTrie"]


@dataclass(slots=True)
class ChoiceTrie:
    """The token sequences that are allowed, as a tree of their beginnings.

    Attributes:
        children: The tree behind each token that may come next.
        complete: Whether what was said so far is one of the answers.
    """

    children: dict[int, ChoiceTrie] = field(default_factory=dict)
    complete: bool = False

    @classmethod
    def of(cls, sequences: Iterable[Sequence[int]]) -> ChoiceTrie:
        """Return the tree of ``sequences``."""
        root = cls()
        for sequence in sequences:
            node = root
            for token in sequence:
                node = node.children.setdefault(token, cls())
            node.complete = True
        return root

    def allowed(self, ends: Sequence[int]) -> list[int]:
        """Return the tokens that may come next, ascending; ``ends`` end an answer and may follow a complete one."""
        return sorted({*self.children, *(ends if self.complete else ())})

    @property
    def closed(self) -> bool:
        """Return whether nothing can follow."""
        return not self.children
