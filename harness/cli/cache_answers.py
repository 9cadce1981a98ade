"""What ``harness cache`` says of the answers of language models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.cli.output import write, write_table
from harness.llm.answers_file import answers_path
from harness.llm.cache_contents import answers_by_model, prune_answers

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

    from harness.llm.cache_contents import ModelAnswers, Pruned

__all__ = ["answers_facts", "prune_models", "pruned_facts", "write_answers", "write_pruned"]

_MIB = 1 << 20


def prune_models(
    root: Path, model: str | None, age: timedelta | None, max_mib: float | None, *, dry_run: bool
) -> Pruned:
    """Remove answers under the cache root; return what was, or with ``dry_run`` would be, removed."""
    most = None if max_mib is None else round(max_mib * _MIB)
    return prune_answers(answers_path(root), model=model, older_than=age, max_bytes=most, dry_run=dry_run)


def answers_facts(root: Path) -> list[dict[str, Any]]:
    """Return plain data of the answers under the cache root, by model."""
    return [
        {
            "model": one.model,
            "answers": one.answers,
            "bytes": one.bytes,
            "oldest": one.oldest.isoformat(),
            "last_used": one.last_used.isoformat(),
            "tokens": one.tokens,
            "tokens_saved": one.tokens_saved,
        }
        for one in answers_by_model(answers_path(root))
    ]


def write_answers(root: Path) -> None:
    """Write a table of the answers under the cache root, by model; nothing where there are none."""
    models = answers_by_model(answers_path(root))
    if not models:
        return
    write("\nanswers of language models:")
    header = ("answers", "MiB", "oldest", "last used", "tokens", "tokens saved", "model")
    write_table(header, [_row(one) for one in models])


def _row(one: ModelAnswers) -> tuple[str, ...]:
    days = (f"{one.oldest:%Y-%m-%d}", f"{one.last_used:%Y-%m-%d}")
    return (f"{one.answers:,}", f"{one.bytes / _MIB:.1f}", *days, f"{one.tokens:,}", f"{one.tokens_saved:,}", one.model)


def pruned_facts(pruned: Pruned) -> dict[str, Any]:
    """Return plain data of what was removed."""
    return {"answers": pruned.answers, "bytes": pruned.bytes, "freed": pruned.freed}


def write_pruned(pruned: Pruned) -> None:
    """Write what was removed, or would be."""
    write_table(("answers", "model"), [(f"{number:,}", name) for name, number in pruned.answers.items()])
    size = f"{sum(pruned.answers.values()):,} answers, {pruned.bytes / _MIB:.1f} MiB"
    if pruned.freed is None:
        write(f"{size} would be removed")
    else:
        write(f"{size} removed; the file is {pruned.freed / _MIB:.1f} MiB smaller")
