from __future__ import annotations

from itertools import islice

from harness.activations.readers.config import PlantedCorpusConfig
from harness.activations.readers.planted import identity, read
from harness.planted.texts import planted_texts


def test_texts_are_always_the_same_and_have_no_open_slots() -> None:
    texts = list(islice(planted_texts(), 40))
    assert texts == list(islice(planted_texts(), 40))
    assert len(set(texts)) == 40
    assert not any("{" in text or "}" in text for text in texts)


def test_the_corpus_puts_a_planted_text_after_every_second_document() -> None:
    origins = [document.origin for document in islice(read(PlantedCorpusConfig()), 9)]
    assert [origin.startswith("planted") for origin in origins] == [False, False, True] * 3


def test_the_corpus_ends_with_the_demo_corpus() -> None:
    documents = list(read(PlantedCorpusConfig(every=500)))
    assert sum(document.origin.startswith("planted") for document in documents) == 2
    assert len(documents) == 1413 + 2


def test_what_determines_the_corpus_is_in_its_identity() -> None:
    assert identity(PlantedCorpusConfig()) == identity(PlantedCorpusConfig())
    assert identity(PlantedCorpusConfig()) != identity(PlantedCorpusConfig(every=3))
