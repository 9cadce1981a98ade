"""What litellm's own tables say of a provider's models, so that a paid endpoint is asked less."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.llm.facts import StatedFacts
from harness.llm.wire import ChoiceMode, StructuredMode

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["hosted_facts", "wants_cache_marks"]

# Where a mark is needed and costs no more than a write to the cache: the providers of Claude. Others keep prefixes by
# themselves, or (Gemini) rent storage for what is marked; `on` marks for those too.
_MARKED_PROVIDERS = frozenset(
    {"anthropic", "bedrock", "bedrock_converse", "vertex_ai", "azure_ai", "databricks", "openrouter"}
)
_MARKED_MODELS = "claude"


def hosted_facts(library: Any, model: str, stated: StatedFacts) -> StatedFacts:
    """Return ``stated`` with what the tables know added; None remains for what only the endpoint can tell.

    What they deny is believed; what they affirm is asked for all the same, as they err.

    Args:
        library: litellm.
        model: ``PROVIDER/NAME``.
        stated: What the configuration says.
    """
    provider, _, name = model.partition("/")
    parameters = _told(lambda: library.get_supported_openai_params(model=name, custom_llm_provider=provider)) or ()
    schema = _told(lambda: library.supports_response_schema(model=name, custom_llm_provider=provider))
    knows_logprobs = "logprobs" in parameters and "top_logprobs" in parameters
    return StatedFacts(
        structured=stated.structured or (None if schema or "response_format" in parameters else StructuredMode.NONE),
        # Lists of allowed answers and echoed prompts belong to servers of one's own.
        choices=stated.choices or ChoiceMode.NONE,
        logprobs=stated.logprobs if stated.logprobs is not None or knows_logprobs else False,
        prompt_logprobs=bool(stated.prompt_logprobs),
    )


def wants_cache_marks(library: Any, model: str) -> bool:
    """Return whether the provider caches only prompts that are marked."""
    provider, _, name = model.partition("/")
    if provider not in _MARKED_PROVIDERS or _MARKED_MODELS not in name.lower():
        return False
    return bool(_told(lambda: library.utils.supports_prompt_caching(model=name, custom_llm_provider=provider)))


def _told(question: Callable[[], Any]) -> Any:
    """Return what the tables say, or None for a model they do not know."""
    try:
        return question()
    except Exception:  # noqa: BLE001 -- litellm raises its own and other types over unknown models; unknown is an answer
        return None
