"""What backends of this process's own engines have in common: they cost nothing, and are there once loaded."""

from __future__ import annotations

from harness.llm.price import FREE, Price

__all__ = ["OwnEngine"]


class OwnEngine:
    """The part of ``harness.llm.backend.Backend`` that is the same for every engine in this process."""

    @property
    def price(self) -> Price:
        """Return nothing: this machine is paid for."""
        return FREE

    @property
    def marks_prefixes(self) -> bool:
        """Return False: engines keep what they computed by themselves."""
        return False

    @property
    def enters_late(self) -> bool:
        """Return False: a question is handed to the engine as it is."""
        return False

    async def check(self) -> None:
        """Do nothing: a model that was loaded answers."""
