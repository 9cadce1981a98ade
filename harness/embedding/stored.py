"""Embeddings of many texts, worked out once and kept in the cache."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from harness.activations.artefact import (
    META,
    ArrayAppender,
    building,
    damaged,
    load_array,
    mark_used,
    read_meta,
    write_meta,
)
from harness.activations.cachedir import EMBEDDINGS_FOLDER
from harness.identity import fingerprint, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from harness.progress import Progress

__all__ = ["stored_vectors"]

_KIND = "embeddings"
_FORMAT = 1
_VECTORS = "vectors.npy"
_AT_ONCE = 64


def stored_vectors(
    identity: Mapping[str, Any],
    texts: Callable[[], Iterable[str]],
    n: int,
    embed: Callable[[Sequence[str]], np.ndarray],
    cache: Path,
    progress: Progress,
) -> np.ndarray:
    """Return the embeddings of texts, float32 [n, d], memory-mapped from the cache; it is filled if it has none.

    Args:
        identity: What determines the texts, their order and their vectors.
        texts: Returns the texts, one after the other.
        n: How many there are.
        embed: Returns the vectors [k, d] of k texts.
        cache: Root of the cache.
        progress: Where the work is shown.

    Raises:
        MaterialError: If the cache cannot be written, or what is in it is damaged.
    """
    folder = cache / EMBEDDINGS_FOLDER / fingerprint({**identity, "format": _FORMAT})
    if not (folder / META).is_file():
        with building(folder) as partial, progress.task("embedding windows", n, "windows") as bar:
            left = iter(texts())
            with ArrayAppender(partial / _VECTORS, np.float32) as file:
                while some := list(islice(left, _AT_ONCE)):
                    file.append(embed(some).reshape(-1))
                    bar.advance(len(some))
            meta = {"kind": _KIND, "format": _FORMAT, "fingerprint": folder.name, "n_vectors": n}
            write_meta(partial, {**meta, "identity": plain(dict(identity))}, [_VECTORS])
    read_meta(folder, kind=_KIND, format_version=_FORMAT)
    mark_used(folder)
    flat = load_array(folder, _VECTORS)
    if not n or flat.size % n:
        raise damaged(folder, f"{_VECTORS} has {flat.size} numbers, which are no {n} vectors")
    return flat.reshape(n, -1)
