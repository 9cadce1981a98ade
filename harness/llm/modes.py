"""How a model is really asked: stated, known of its backend, found out, or recorded by an earlier process.

It decides how questions are put and what comes with the answers, so it belongs to the identity of a model: ``auto`` at
two endpoints, or at one before and after an upgrade, need not be the same. Plain data, as ``EndpointFacts.modes``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.llm.facts import EndpointFacts, stated_facts
from harness.llm.local import LLAMA_CPP_FACTS
from harness.llm.oracle.model import ORACLE_FACTS
from harness.llm.transformers_backend import TRANSFORMERS_FACTS
from harness.llm.vllm_backend import VLLM_FACTS
from harness.llm.wire import ChoiceMode, StructuredMode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.config.schema import LLMConfig

__all__ = ["known_modes", "recorded_modes"]

_IN_PROCESS = {
    "local": LLAMA_CPP_FACTS,
    "oracle": ORACLE_FACTS,
    "transformers": TRANSFORMERS_FACTS,
    "vllm": VLLM_FACTS,
}


def known_modes(config: LLMConfig) -> dict[str, Any] | None:
    """Return how a model is asked, where that is known without starting it; None for an endpoint to be asked."""
    stated, found = stated_facts(config), _IN_PROCESS.get(config.backend)
    if found is None and None in {stated.choices, stated.structured, stated.logprobs}:
        return None
    return stated.over(found or EndpointFacts()).modes


def recorded_modes(identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return how a model was asked according to its identity in a record; None if that was not known then."""
    try:
        logprobs = identity["logprobs"]
        facts = EndpointFacts(StructuredMode(identity["structured"]), ChoiceMode(identity["choices"]), logprobs)
    except (KeyError, TypeError, ValueError):
        return None
    return facts.modes if isinstance(logprobs, bool) else None
