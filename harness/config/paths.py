"""Where the harness's own configuration lies: in the installed package, or beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

__all__ = ["conf_dir"]


def conf_dir() -> Path:
    """Return the folder of the YAML groups: ``harness/conf`` in a wheel, ``conf`` at the top of a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"
