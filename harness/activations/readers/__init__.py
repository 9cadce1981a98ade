"""Corpus readers, one file per kind of source. Each streams documents and says cheaply what determines them."""
