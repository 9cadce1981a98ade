"""Importing this imports what ``harness run``, ``features`` and ``doctor`` import, and starts no thread."""

from __future__ import annotations

import importlib

from harness.llm.litellm_backend import load_litellm

for _name in (
    "transformers.models.llama.modeling_llama",
    "transformers.models.bert.modeling_bert",
    "harness.cli.doctor",
    "harness.cli.features",
    "harness.cli.run",
    "harness.embedding.transformer",
    "harness.runner.execute",
):
    importlib.import_module(_name)
load_litellm()
