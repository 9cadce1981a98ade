"""The texts of the demo corpus, read directly: by what quotes them and by what is calibrated on them."""

from __future__ import annotations

import gzip
import json
from itertools import islice

from harness.materials import cache_root, resolve

__all__ = ["demo_texts"]

_DEMO = "demo://corpus.jsonl.gz"


def demo_texts(count: int) -> tuple[str, ...]:
    """Return the first ``count`` texts of the demo corpus.

    Raises:
        MaterialError: If the corpus is not where the harness ships it.
    """
    with gzip.open(resolve(_DEMO, cache=cache_root(None)), "rt", encoding="utf-8") as lines:
        return tuple(str(json.loads(line)["text"]) for line in islice(lines, count))
