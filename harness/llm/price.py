"""What tokens cost. An unknown price stays unknown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.identity import canonical_json, plain, text_sha256

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.config.schema import LLMConfig

__all__ = ["FREE", "UNKNOWN", "Price", "configured_price", "table_price"]

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per token; None where unknown.

    Attributes:
        input: For a prompt token.
        output: For a generated token.
        cached_input: For a prompt token the endpoint had in its own cache; None where it costs like any other.
        source: ``config``, ``litellm table``, ``free`` or ``unknown``.
        table_sha256: Digest of the table, where it comes from one: prices change, and a bill is read years later.
    """

    input: float | None
    output: float | None
    cached_input: float | None = None
    source: str = "config"
    table_sha256: str | None = None

    @property
    def known(self) -> bool:
        """Return whether both a prompt's and an answer's price are known."""
        return self.input is not None and self.output is not None

    def facts(self) -> dict[str, Any]:
        """Return plain data for records, in dollars per million tokens."""
        return {
            "input_usd_per_mtok": _per_mtok(self.input),
            "output_usd_per_mtok": _per_mtok(self.output),
            "cached_input_usd_per_mtok": _per_mtok(self.cached_input),
            "source": self.source,
            "table_sha256": self.table_sha256,
        }

    def usd(self, input_tokens: int | None, output_tokens: int | None, cached_input_tokens: int = 0) -> float | None:
        """Return the dollars these tokens cost, or None if a price or a count that matters is unknown.

        Args:
            input_tokens: All prompt tokens, those in the endpoint's prefix cache included.
            output_tokens: Generated tokens.
            cached_input_tokens: How many of ``input_tokens`` are billed at the cached rate, where there is one.
        """
        cached = 0 if self.cached_input is None else cached_input_tokens
        fresh = None if input_tokens is None else input_tokens - cached
        parts = (_cost(fresh, self.input), _cost(cached, self.cached_input or 0.0), _cost(output_tokens, self.output))
        return None if None in parts else sum(part for part in parts if part is not None)


def _cost(tokens: int | None, price: float | None) -> float | None:
    if price == 0.0 or tokens == 0:
        return 0.0
    return None if tokens is None or price is None else tokens * price


def _per_mtok(price: float | None) -> float | None:
    # Rounded to what a price list states, so that 0.15 comes out as 0.15.
    return None if price is None else round(price * _MILLION, 9)


FREE = Price(0.0, 0.0, source="free")
UNKNOWN = Price(None, None, source="unknown")


def configured_price(config: LLMConfig) -> Price | None:
    """Return the price the config states, or None if it states none."""
    if config.input_usd_per_mtok is None and config.output_usd_per_mtok is None:
        return None
    return Price(
        _per_token(config.input_usd_per_mtok),
        _per_token(config.output_usd_per_mtok),
        _per_token(config.cached_input_usd_per_mtok),
    )


def _per_token(usd_per_mtok: float | None) -> float | None:
    return None if usd_per_mtok is None else usd_per_mtok / _MILLION


def table_price(model: str, table: Mapping[str, Mapping[str, Any]]) -> Price:
    """Return the price of ``model`` in litellm's cost table, or ``UNKNOWN``.

    A model is looked up by its full name, and without its provider prefix only where the table's entry is of that very
    provider: a self-hosted model must not take the price of a famous namesake.
    """
    provider, _, bare = model.partition("/")
    entry = table.get(model)
    if entry is None and bare and table.get(bare, {}).get("litellm_provider") == provider:
        entry = table[bare]
    if entry is None:
        return UNKNOWN
    return Price(
        entry.get("input_cost_per_token"),
        entry.get("output_cost_per_token"),
        entry.get("cache_read_input_token_cost"),
        source="litellm table",
        table_sha256=text_sha256(canonical_json(plain(dict(table)))),
    )
