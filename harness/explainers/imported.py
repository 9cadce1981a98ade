"""``imported``: explanations that somebody else, or an earlier run, has written down in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import MISSING

from harness.errors import ConfigError
from harness.explainers.protocol import Draft, ExplainerEstimate
from harness.interop.explanations import Columns, read_explanations
from harness.llm.counting import APPROXIMATE
from harness.outcome import Outcome

if TYPE_CHECKING:
    from harness.examples.record import ExplainRecord
    from harness.explainers.config import ImportedConfig
    from harness.explainers.protocol import ExplainerResources
    from harness.llm.counting import TokenCounter

__all__ = ["ImportedExplainer", "imported_identity"]


class ImportedExplainer:
    """Looks explanations up in a file, which is read and checked whole when this is made.

    Raises:
        ConfigError: If the file is missing or malformed, has not the digest asked for, or holds no explanation.
    """

    def __init__(self, config: ImportedConfig) -> None:
        self._path = _path(config)
        self._set = read_explanations(
            self._path,
            columns=Columns(config.feature_column, config.text_column, config.subject_column, config.author_column),
            explanation_set=config.explanation_set,
            on_duplicate=config.on_duplicate,
            sha256=config.sha256,
        )

    async def explain(self, record: ExplainRecord, resources: ExplainerResources) -> Draft:  # noqa: ARG002 -- the seam
        """Return the file's explanation of ``record``'s feature, with the file and author as its origin."""
        found = self._set.find(record.subject, record.feature)
        name = self._path.name
        if found is None:
            return Draft(None, Outcome.ERROR, error=f"no explanation of feature {record.feature} in {name}")
        origin = f"{name}: {found.author}" if found.author else name
        if found.text is None:
            why = f"its outcome there: {found.outcome}"
            message = f"no explanation of feature {record.feature} in {name} ({why})"
            return Draft(None, Outcome.ERROR, error=message, origin=origin)
        return Draft(found.text, origin=origin)

    def estimate(
        self,
        n_examples: int,  # noqa: ARG002 -- the seam
        window_tokens: int,  # noqa: ARG002 -- the seam
        counter: TokenCounter = APPROXIMATE,  # noqa: ARG002 -- the seam
    ) -> ExplainerEstimate:
        """Return zero: nothing is asked."""
        return ExplainerEstimate(0, 0, 0)


def imported_identity(config: ImportedConfig) -> dict[str, str]:
    """Return the digest of the file: a changed file makes other explanations under the same parameters.

    Raises:
        ConfigError: If there is no such file.
    """
    from harness.identity import file_sha256  # noqa: PLC0415 -- only a run needs it

    return {"sha256": file_sha256(_path(config))}


def _path(config: ImportedConfig) -> Path:
    if config.path in {"", MISSING}:
        raise ConfigError(
            "no file is named", where="explainer.path", hint="explainer=imported explainer.path=FILE.jsonl"
        )
    path = Path(config.path).expanduser()
    if not path.is_file():
        raise ConfigError("no such file", where=str(path))
    return path
