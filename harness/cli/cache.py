"""The verb ``cache``."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from harness.activations.cachedir import KINDS, list_artefacts, prune
from harness.cli.output import write, write_json, write_table
from harness.materials import cache_root

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from harness.activations.cachedir import Artefact

__all__ = ["cache"]

_MIB = 1 << 20


def cache(arguments: argparse.Namespace) -> int:
    """Say what the cache holds, or remove from it; return the exit code."""
    root = cache_root(arguments.cache)
    kinds = arguments.kind or list(KINDS)
    if arguments.action == "info":
        artefacts: Sequence[Artefact] = [found for found in list_artefacts(root) if found.kind in kinds]
    else:
        age = timedelta(days=arguments.older_than) if arguments.older_than is not None else None
        artefacts = prune(root, kinds, age, dry_run=arguments.dry_run)
    if arguments.json:
        write_json({"cache": str(root), "artefacts": [_facts(found) for found in artefacts]})
        return 0
    write(f"cache: {root}")
    write_table(
        ("kind", "fingerprint", "MiB", "last used", "what"),
        [
            (
                found.kind,
                found.fingerprint[:12],
                f"{found.bytes / _MIB:.1f}",
                f"{found.last_used:%Y-%m-%d}",
                found.summary,
            )
            for found in artefacts
        ],
    )
    total = sum(found.bytes for found in artefacts) / _MIB
    done = {"info": "in all", "prune": "would be removed" if arguments.dry_run else "removed"}[arguments.action]
    write(f"{len(artefacts)} artefacts, {total:.1f} MiB {done}")
    return 0


def _facts(found: Artefact) -> dict[str, Any]:
    return {
        "kind": found.kind,
        "fingerprint": found.fingerprint,
        "path": str(found.path),
        "bytes": found.bytes,
        "created": found.created.isoformat(),
        "last_used": found.last_used.isoformat(),
        "summary": found.summary,
    }
