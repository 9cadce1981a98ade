"""Which arguments of an engine name code to import. A configuration chooses among what is installed and names none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["arguments_naming_code"]

_NAMES = re.compile(
    r"(?:^|_)(?:cls|class|class_overrides|plugins?|module_path|logits_processors|inductor_passes|log_config_file)\Z"
    r"|\A(?:auto_map|logging_config)\Z"
)
"""What an engine imports, whatever the value; a file or table of logging settings may name classes as well."""
_BACKEND = re.compile(r"(?:^|_)backend\Z")
_QUALIFIED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*\Z")
_TRUST = "trust_remote_code"


def arguments_naming_code(arguments: Any) -> Iterator[str]:
    """Yield the name of each argument, at any depth of plain data, that names code.

    These are arguments known for it (``worker_cls``, ``logits_processors``, ...), any value of the form
    ``module:Class``, a backend given as ``module.Class``, and trust in a repository's code anywhere but at the top,
    where it is the user's own word for the model that is named.
    """
    yield from _found(arguments, "", depth=0)


def _found(value: Any, name: str, depth: int) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if _NAMES.search(key.lower()) or (key == _TRUST and item and depth):
                yield key
            else:
                yield from _found(item, key, depth + 1)
    elif isinstance(value, list):
        for item in value:
            yield from _found(item, name, depth + 1)
    elif isinstance(value, str) and (_QUALIFIED.match(value) or (_BACKEND.search(name) and "." in value)):
        yield name
