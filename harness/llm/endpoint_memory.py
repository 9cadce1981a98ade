"""What was found out about endpoints, kept in the cache folder: an endpoint is asked once, not once per run."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import LLMError
from harness.identity import fingerprint, plain
from harness.llm.facts import EndpointFacts
from harness.llm.probe import PROBE_VERSION
from harness.llm.wire import ChoiceMode, StructuredMode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.llm.facts import StatedFacts

__all__ = ["EndpointMemory", "endpoints_folder"]

_NAMED = ("backend", "model", "revision", "api_base", "extra_body")
_FIELDS = frozenset(field.name for field in fields(EndpointFacts))


def endpoints_folder(cache: Path) -> Path:
    """Return where the facts of all endpoints lie under the cache root, one file each."""
    return cache / "llm" / "endpoints"


@dataclass(frozen=True, slots=True)
class EndpointMemory:
    """What is remembered of one endpoint under one configuration.

    Attributes:
        path: Its file. Another model, URL, statement or version of the questions has another one.
        about: Plain data of what the file is about, for whoever reads it.
    """

    path: Path
    about: Mapping[str, Any]

    @classmethod
    def of(cls, cache: Path, identity: Mapping[str, Any], stated: StatedFacts) -> EndpointMemory:
        """Return the memory of the endpoint that ``identity`` names and of which ``stated`` is configured."""
        named = {name: identity.get(name) for name in _NAMED}
        about = plain({"endpoint": named, "stated": stated, "probe_version": PROBE_VERSION})
        return cls(endpoints_folder(cache) / f"{fingerprint(about)}.json", about)

    def recall(self) -> EndpointFacts | None:
        """Return the facts, or None where there are none that can be read: the endpoint is then asked again."""
        try:
            stored = json.loads(self.path.read_text(encoding="utf-8"))
            return _decoded(stored["facts"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def remember(self, facts: EndpointFacts) -> None:
        """Keep ``facts``, in place of older ones. Written whole or not at all, whoever else writes.

        Raises:
            LLMError: If the folder cannot be written.
        """
        text = json.dumps({**self.about, "facts": plain(facts)}, indent=1, sort_keys=True)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=".new-")
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
            Path(name).replace(self.path)
        except OSError as error:
            what = f"cannot be written ({error.strerror or error})"
            raise LLMError(
                what, where=str(self.path.parent), hint="choose another folder with paths.cache=..."
            ) from None


def _decoded(stored: Any) -> EndpointFacts | None:
    if not isinstance(stored, dict) or set(stored) != _FIELDS:
        return None
    seeds, context = stored["seeds"], stored["context_tokens"]
    flags = (stored["logprobs"], stored["prompt_logprobs"])
    if not all(isinstance(flag, bool) for flag in flags) or not (seeds is None or isinstance(seeds, bool)):
        return None
    if not (context is None or (isinstance(context, int) and not isinstance(context, bool))):
        return None
    return EndpointFacts(
        structured=StructuredMode(stored["structured"]),
        choices=ChoiceMode(stored["choices"]),
        logprobs=flags[0],
        prompt_logprobs=flags[1],
        seeds=seeds,
        context_tokens=context,
    )
