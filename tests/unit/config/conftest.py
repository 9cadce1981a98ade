from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.config.compose import compose_run
from harness.config.resolve import resolve_run
from harness.registry.catalogue import load_catalogue

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.config.resolved import ResolvedRun
    from harness.registry.catalogue import Catalogue


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.fixture
def resolve(catalogue: Catalogue) -> Callable[..., ResolvedRun]:
    """Return what a command line with these overrides resolves to."""

    def resolve_overrides(*overrides: str) -> ResolvedRun:
        return resolve_run(compose_run(overrides, catalogue), catalogue)

    return resolve_overrides
