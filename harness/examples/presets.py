"""The example protocols that have a name. ``conf/examples/`` holds the same values for the command line."""

from __future__ import annotations

from harness.config.schema import ExamplesConfig
from harness.errors import UnknownNameError

__all__ = ["PRESETS", "preset"]

PRESETS = ("blog", "default", "delphi_paper", "fade", "saebench")


def preset(name: str) -> ExamplesConfig:
    """Return the protocol called ``name``; the YAML option of that name says what it follows and where it differs.

    Raises:
        UnknownNameError: If there is none.
    """
    if name == "default":
        return ExamplesConfig()
    if name == "blog":
        return ExamplesConfig(
            preset="blog",
            explain_strategy="mix",
            mix_top=0.5,
            explain_activating=40,
            score_activating=50,
            score_non_activating=20,
            min_activating_windows=200,
            min_half_windows=50,
        )
    if name == "delphi_paper":
        return ExamplesConfig(
            preset="delphi_paper",
            explain_strategy="random",
            explain_activating=40,
            score_activating=100,
            score_non_activating=100,
            min_activating_windows=200,
            min_half_windows=50,
        )
    if name == "fade":
        return ExamplesConfig(preset="fade", score_activating=250, score_non_activating=500)
    if name == "saebench":
        return ExamplesConfig(
            preset="saebench",
            window_tokens=21,
            align="peak",
            peak_offset=10,
            explain_strategy="mix",
            mix_top=10 / 15,
            explain_activating=15,
            score_strategy="importance",
            score_activating=4,
            score_non_activating=10,
            min_activating_windows=15,
            min_half_windows=4,
        )
    raise UnknownNameError("examples preset", name, PRESETS, where="examples")
