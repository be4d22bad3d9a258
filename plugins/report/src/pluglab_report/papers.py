"""The papers of components, as a list for people and as BibTeX."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from pluglab_report.blocks import Source
from pluglab_report.words import listed

if TYPE_CHECKING:
    from pluglab.plugins.registry import Entry, Registry

ARXIV = re.compile(r"arXiv:\s*([\w.\-/]+)")
ENTRY = re.compile(r"@\w+\{(?P<key>[^,]+),\n(?P<fields>.*?)\n\}", re.DOTALL)
FIELD = re.compile(r"^\s*(\w+)\s*=\s*\{(.*)\},?$", re.MULTILINE)
ACCENTS = {"'": "\u0301", '"': "\u0308", "c": "\u0327"}  # of LaTeX, as signs that combine


def sources_of(recipes: Sequence[Mapping[str, Any]], registry: Registry) -> list[Source]:
    """The papers of all components that the recipes name, in that order, each once."""
    used: dict[str, list[Entry]] = {}
    for entry in _entries(recipes, registry):
        for paper in filter(None, map(str.strip, entry.paper.split(", "))):
            entries = used.setdefault(paper, [])
            entries += [] if entry in entries else [entry]
    return [_source(paper, entries) for paper, entries in used.items()]


def _entries(recipes: Sequence[Mapping[str, Any]], registry: Registry) -> Iterator[Entry]:
    by_name: dict[str, list[Entry]] = {}
    for entry in registry:
        by_name.setdefault(entry.name, []).append(entry)
        by_name.setdefault(entry.qualified, []).append(entry)
    for recipe in recipes:
        for key, name in _components(recipe, ""):
            found = by_name.get(name, [])
            fitting = [entry for entry in found if entry.kind.startswith(key.rstrip("s"))]
            yield from (fitting or found)[:1]


def _components(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """(option, name) of every component within a recipe."""
    if isinstance(value, Mapping):
        if isinstance(value.get("name"), str):
            yield key, value["name"]
        for below, item in value.items():
            yield from _components(item, str(below))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _components(item, key)


def _source(paper: str, entries: Sequence[Entry]) -> Source:
    used = ", ".join(dict.fromkeys(f"{entry.kind} {entry.name}" for entry in entries))
    found = ARXIV.search(paper)
    known = _known().get(found[1] if found else paper)
    url = f"https://arxiv.org/abs/{found[1]}" if found else ""
    if known is not None:
        key, fields, bibtex = known
        words = f"{_people(fields['author'])}: {_plain(fields['title'])}, {fields['year']}"
        return Source(key, f"{words}. Used: {used}.", url, bibtex)
    key = re.sub(r"\W+", "_", found[1] if found else paper).strip("_")
    eprint = f"  eprint = {{{found[1]}}},\n  archiveprefix = {{arXiv}},\n" if found else ""
    note = "" if found else f"  note = {{{_bib(paper)}}},\n"
    bibtex = f"@misc{{{key},\n{eprint}{note}  annote = {{{_bib(used)}}}\n}}"
    return Source(key, f"{paper}. Used: {used}.", url, bibtex)


def _people(authors: str) -> str:
    """'Ho, Jain and Abbeel'; of more than three the first 'et al.'."""
    names = [_plain(author.partition(",")[0]) for author in authors.split(" and ")]
    return f"{names[0]} et al." if len(names) > 3 else listed(names)


def _plain(text: str) -> str:
    """A field of BibTeX without its braces; accents are composed."""
    for mark, sign in ACCENTS.items():
        text = re.sub(rf"\\{re.escape(mark)}\{{?(\w)\}}?", rf"\1{sign}", text)
    return unicodedata.normalize("NFC", re.sub(r"[{}]", "", text.replace("\\l", "ł")))


def _bib(text: str) -> str:
    """Plain text within a field of BibTeX."""
    return re.sub(r"[{}\\]", "", text)


@cache
def _known() -> dict[str, tuple[str, dict[str, str], str]]:
    """Papers of papers.bib by their arXiv number, or by their short name: key, fields, entry."""
    text = (files("pluglab_report") / "papers.bib").read_text(encoding="utf-8")
    found = {}
    for match in ENTRY.finditer(text):
        fields = dict(FIELD.findall(match["fields"]))
        found[fields.get("eprint") or fields["keywords"]] = (match["key"], fields, match[0])
    return found
