"""Checkpoints of Hugging Face models as every room that loads one needs them: found, fetched, converted, placed."""
