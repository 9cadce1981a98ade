"""Feature numbers out of a file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import ConfigError

if TYPE_CHECKING:
    from harness.config.schema import FeaturesConfig

__all__ = ["listed_features"]

_WHERE = "features.path"
_MOST_DIGITS = 18
_HINT = "give a file with one feature number a line, or a JSON list of them"


def listed_features(features: FeaturesConfig) -> FeaturesConfig:
    """Return a selection by file as the list that the file holds; any other selection as it is.

    What a run is thus depends on the numbers, not on where they lay, and a manifest holds them.

    Raises:
        ConfigError: If there is no such file, or it holds something else than feature numbers.
    """
    if features.select != "file":
        if features.path is not None:
            raise ConfigError("a file is given, and not asked for", where=_WHERE, hint="features=file")
        return features
    if features.path is None:
        raise ConfigError("no file is given", where=_WHERE, hint=_HINT)
    path = Path(features.path).expanduser()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(f"{path} cannot be read: {said}", where=_WHERE, hint=_HINT) from error
    return replace(features, select="list", ids=_numbers(text, path), path=None)


def _numbers(text: str, path: Path) -> list[int]:
    if text.lstrip().startswith("["):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{path} is not readable as JSON: {error}", where=_WHERE, hint=_HINT) from error
        wrong = next((entry for entry in found if type(entry) is not int), None)
        if wrong is not None:
            raise ConfigError(f"{path} holds {wrong!r}, which is no feature number", where=_WHERE, hint=_HINT)
        return [int(entry) for entry in found]
    numbers = []
    for place, line in enumerate(text.splitlines(), start=1):
        content = line.partition("#")[0].strip()
        if content and not (content.isascii() and content.isdigit() and len(content) <= _MOST_DIGITS):
            raise ConfigError(
                f"line {place} of {path} is no feature number: {content[:40]!r}", where=_WHERE, hint=_HINT
            )
        if content:
            numbers.append(int(content))
    return numbers
