from __future__ import annotations

import os
import re
from pathlib import Path

from harness.subjects.weights.formats import READERS, reader_named
from harness.subjects.weights.table import format_table

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "formats.md"
BETWEEN = re.compile(r"(<!-- formats:[^\n]*\n)(.*?)(<!-- end -->)", re.DOTALL)


def test_the_page_shows_the_table_of_the_readers() -> None:
    text = PAGE.read_text()
    if os.environ.get("HARNESS_WRITE_GOLDEN"):
        text = BETWEEN.sub(lambda match: match[1] + format_table() + match[3], text)
        PAGE.write_text(text)
    found = BETWEEN.search(text)
    assert found is not None
    assert found[2] == format_table()


def test_every_reader_says_what_it_was_checked_against_and_is_found_by_name() -> None:
    assert len({reader.name for reader in READERS}) == len(READERS)
    for reader in READERS:
        assert reader_named(reader.name) is reader
        assert all("|" not in text and text for text in (reader.files, reader.kinds, reader.checked))
