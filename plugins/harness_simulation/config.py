"""Parameters of the simulation scorer."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from harness.api import ConfigError

__all__ = ["ALL_AT_ONCE", "AUTO", "LINEAR", "PERCENTILE", "STRUCTURED", "TOKEN_BY_TOKEN", "SimulationConfig"]

AUTO, ALL_AT_ONCE, TOKEN_BY_TOKEN, STRUCTURED = "auto", "all_at_once", "token_by_token", "structured"
LINEAR, PERCENTILE = "linear", "percentile"
_MOST_ALTERNATIVES = 20  # what endpoints allow


@dataclass(frozen=True)
class SimulationConfig:
    """How predictions are read, and how they are brought to the feature's units.

    Attributes:
        readout: ``all_at_once`` (one reading of a prompt per window, from its log-probabilities), ``token_by_token``
            (a call per token, from the log-probabilities of the answer), ``structured`` (a call per window, answered by
            a list of numbers), or ``auto``: ``all_at_once`` where the judge reports log-probabilities of prompts, else
            ``structured``.
        calibration: ``linear`` or ``percentile``.
        top_logprobs: Alternatives asked for where log-probabilities are read.
        re_asks: How often a list that cannot be read is asked for again.

    Raises:
        ConfigError: If a value is not known or out of range.
    """

    readout: str = AUTO
    calibration: str = LINEAR
    top_logprobs: int = 20
    re_asks: int = 1

    def __post_init__(self) -> None:
        """Refuse values no question can be asked with."""
        _known("readout", self.readout, (AUTO, ALL_AT_ONCE, TOKEN_BY_TOKEN, STRUCTURED))
        _known("calibration", self.calibration, (LINEAR, PERCENTILE))
        if not 2 <= self.top_logprobs <= _MOST_ALTERNATIVES:  # noqa: PLR2004  -- fewer have no expectation
            raise ConfigError(f"must be between 2 and {_MOST_ALTERNATIVES}", where="top_logprobs")
        if not 0 <= self.re_asks <= 3:  # noqa: PLR2004  -- bounded: an endpoint that never obeys must not cost without end
            raise ConfigError("must be between 0 and 3", where="re_asks")


def _known(where: str, value: str, options: tuple[str, ...]) -> None:
    if value not in options:
        near = get_close_matches(value, options, n=1)
        hint = f"did you mean '{near[0]}'?" if near else ", ".join(options)
        raise ConfigError(f"{where} '{value}' is not known", where=where, hint=hint)
