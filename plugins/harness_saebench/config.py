"""Parameters of the SAEBench scorer."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.api import LATER, ConfigError, UnknownNameError

__all__ = ["N_RANDOM", "N_SHOWN", "N_TOP", "N_WEIGHTED", "SAEBENCH", "SAEBenchConfig"]

SAEBENCH = "saebench"

N_TOP = 2
"""The strongest activating windows shown."""

N_WEIGHTED = 2
"""Further activating windows shown, drawn by importance."""

N_RANDOM = 10
"""Silent windows shown."""

N_SHOWN = N_TOP + N_WEIGHTED + N_RANDOM
"""All windows shown. The numbers are the protocol's: with others, chance would be another."""


@dataclass(frozen=True)
class SAEBenchConfig:
    """How the judge is asked, and what explanations are ranked by.

    Attributes:
        re_asks: How often an answer that cannot be read is asked for again.
        compat: ``saebench`` ranks by the protocol's own number, the accuracy; None by the balanced accuracy. What is
            asked, and what is reported, is the same.

    Raises:
        ConfigError: If a value is out of range.
    """

    re_asks: int = 1
    compat: str | None = field(default=None, metadata=LATER)

    def __post_init__(self) -> None:
        """Refuse values no question can be asked with."""
        if not 0 <= self.re_asks <= 3:  # noqa: PLR2004  -- bounded, as for every scorer
            raise ConfigError("must be between 0 and 3", where="re_asks")
        if self.compat not in {None, SAEBENCH}:
            raise UnknownNameError("form to be compatible with", str(self.compat), [SAEBENCH], where="compat")
