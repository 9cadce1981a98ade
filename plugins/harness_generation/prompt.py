"""What the judge reads before it writes."""

from __future__ import annotations

__all__ = ["NEAR_MISSES", "WRITE"]

WRITE = """A feature of a language model responds to certain words or patterns in a text. You are given a description \
of the feature. Write texts that make the feature respond as strongly as possible. Use every kind of case the \
description covers, in texts of different subjects and styles. Do not explain anything and do not speak of the \
description. Answer only with a JSON list of texts."""

NEAR_MISSES = """A feature of a language model responds to certain words or patterns in a text. You are given a \
description of the feature. Write texts that must not make the feature respond though a careless reader would expect \
it: of the same subject and style, with similar words, but without anything the description names. Do not explain \
anything and do not speak of the description. Answer only with a JSON list of texts."""
