"""The verb ``cache``."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from harness.activations.cachedir import ANSWERS_KIND, KINDS, list_artefacts, prune
from harness.cli.cache_answers import answers_facts, prune_models, pruned_facts, write_answers, write_pruned
from harness.cli.output import write, write_json, write_note, write_table
from harness.errors import ConfigError
from harness.materials import cache_root

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from harness.activations.cachedir import Artefact

__all__ = ["cache"]

_MIB = 1 << 20


def cache(arguments: argparse.Namespace) -> int:
    """Say what the cache holds, or remove from it; return the exit code.

    Raises:
        HarnessError: If an option does not fit, or the cache cannot be read or written.
    """
    root = cache_root(arguments.cache)
    return (_info if arguments.action == "info" else _prune)(arguments, root)


def _info(arguments: argparse.Namespace, root: Path) -> int:
    kinds = arguments.kind or list(KINDS)
    artefacts = [found for found in list_artefacts(root) if found.kind in kinds]
    if arguments.json:
        facts: dict[str, Any] = {"cache": str(root), "artefacts": [_facts(found) for found in artefacts]}
        write_json(facts | ({"answers": answers_facts(root)} if ANSWERS_KIND in kinds else {}))
        return 0
    write(f"cache: {root}")
    _write_artefacts(artefacts, "in all")
    if ANSWERS_KIND in kinds:
        write_answers(root)
    return 0


def _prune(arguments: argparse.Namespace, root: Path) -> int:
    kinds = arguments.kind or [kind for kind in KINDS if kind != ANSWERS_KIND]
    by_answer = arguments.model is not None or arguments.max_size is not None
    if by_answer and kinds != [ANSWERS_KIND]:
        what = "--model and --max-size choose among the answers of language models"
        raise ConfigError(what, hint=f"harness cache prune --kind {ANSWERS_KIND} ...")
    for name, value in (("--older-than", arguments.older_than), ("--max-size", arguments.max_size)):
        if value is not None and not value >= 0:
            raise ConfigError(f"must not be less than 0, not {value:g}", where=name)
    age = timedelta(days=arguments.older_than) if arguments.older_than is not None else None
    artefacts = [] if by_answer else prune(root, kinds, age, dry_run=arguments.dry_run)
    pruned = None
    if ANSWERS_KIND in kinds:
        pruned = prune_models(root, arguments.model, age, arguments.max_size, dry_run=arguments.dry_run)
    if arguments.json:
        facts: dict[str, Any] = {"cache": str(root), "artefacts": [_facts(found) for found in artefacts]}
        write_json(facts | ({} if pruned is None else {"answers": pruned_facts(pruned)}))
        return 0
    write(f"cache: {root}")
    if not by_answer:
        _write_artefacts(artefacts, "would be removed" if arguments.dry_run else "removed")
    if pruned is not None:
        write_pruned(pruned)
    elif not arguments.kind:
        write_note(f"answers of language models stay, as they may have been paid for; --kind {ANSWERS_KIND} takes them")
    return 0


def _write_artefacts(artefacts: Sequence[Artefact], done: str) -> None:
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
    write(f"{len(artefacts)} artefacts, {total:.1f} MiB {done}")


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
