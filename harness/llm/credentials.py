"""What is a credential: by its name in a configuration, which is stored with every run, and in the environment."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NO_KEY", "credential_names", "secrets_to_hide"]

NO_KEY = "none"
"""Sent where there is no key: a client library would otherwise refuse, or take one from the environment."""


_OF_ENVIRONMENT = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD")
_SHORTEST_KEY = 8
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_ANYWHERE = re.compile(
    r"apikey|(?:access|private|subscription|account|signing)key|authorization|bearer|cookie|credential"
    r"|passphrase|passwd|password|secret"
)
"""Looked for in a name without its separators, so that spelling (``api_key``, ``X-API-Key``, ``apiKey``) hides none."""
_TOKEN = re.compile(r"(?:access|auth|hf|hub|refresh|security|session)tokens?\Z")
_WORDS = frozenset({"auth", "authentication", "jwt", "pwd"})
# `bos_token` and the like name a token of the model's vocabulary; anything else that ends in one `token` lets one in.
_OF_VOCABULARY = frozenset(
    {"begin", "bos", "cls", "end", "eos", "image", "mask", "pad", "sep", "special", "start", "stop", "unk"}
)


def credential_names(value: Any) -> Iterator[str]:
    """Yield each name at any depth of plain data under which a credential seems to stand.

    ``max_tokens``, ``tokens_per_minute`` and ``stop_token_ids`` are none, nor is a flag such as ``add_bos_token``.
    """
    if isinstance(value, dict):
        yield from (name for name, item in value.items() if _is_credential(name, item))
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from credential_names(item)


def secrets_to_hide(key: str | None) -> list[str]:
    """Return what no error may repeat: ``key``, and those that litellm may have taken from the environment by itself.

    A short value there is a flag and no key, and would blot out pieces of ordinary words. Longest first, as one may be
    part of another.
    """
    own = {key} if key and key != NO_KEY else set()
    found = {value for name, value in os.environ.items() if name.upper().endswith(_OF_ENVIRONMENT)}
    return sorted(own | {value for value in found if len(value) >= _SHORTEST_KEY}, key=len, reverse=True)


def _is_credential(name: str, value: Any) -> bool:
    words = [word.lower() for word in _WORD.findall(name)]
    joined = "".join(words)
    if _ANYWHERE.search(joined) or not _WORDS.isdisjoint(words):
        return True
    if value is None or isinstance(value, (bool, int, float)):
        return False
    admits = words[-1:] == ["token"] and _OF_VOCABULARY.isdisjoint(words[-2:-1])
    return admits or _TOKEN.search(joined) is not None
