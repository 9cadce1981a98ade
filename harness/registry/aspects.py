"""The four sides from which a scorer may look at an explanation, as FADE names them.

FADE (Puri et al. 2025, arXiv 2502.16994) made these words the field's own, and the core holds them as it holds
``input`` and ``output``: any scorer may declare one (``ScorerSpec.aspect``), whoever wrote it.
"""

from __future__ import annotations

from typing import Literal, get_args

__all__ = ["ASPECTS", "CLARITY", "FAITHFULNESS", "PURITY", "RESPONSIVENESS", "Aspect"]

Aspect = Literal["clarity", "responsiveness", "purity", "faithfulness"]
"""What texts written after it do, what texts that hold it do, what else activates, what steering makes of it."""

ASPECTS: tuple[Aspect, ...] = get_args(Aspect)
"""All of them, in the paper's order."""

CLARITY, RESPONSIVENESS, PURITY, FAITHFULNESS = ASPECTS
