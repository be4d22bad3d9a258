"""From blocks to files. A format writes a block by the template of its kind, and escapes all it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pluglab.storage.atomic import write_file
from pluglab_report.discussion import Discussion, read_discussion
from pluglab_report.rendering.files import Embedded, Folder, write_tables
from pluglab_report.rendering.leftovers import tidy
from pluglab_report.rendering.writer import Source, Writer
from pluglab_report.report import Report

BIBLIOGRAPHY = "references.bib"
BESIDE = "md", "tex"  # formats whose pictures and tables are files beside them


def write_report(report: Report, out: Path, formats: Sequence[str], say: Callable[[str], None]) -> list[Path]:
    """The files of the formats, in their order; what lies beside them is written, too.

    The author's words are kept (`pluglab_report.discussion`). Raises `UserError` where report.md is not ours.
    """
    discussion = read_discussion(out, report.slots, say)
    out.mkdir(parents=True, exist_ok=True)
    pictures = {name: Folder(out, moving=name == "md") for name in BESIDE if name in formats}
    pages = [_write(report, discussion, out, name, pictures.get(name, Embedded())) for name in formats]
    if pictures:
        _write_beside(report, out, pictures)
    return pages


def _write_beside(report: Report, out: Path, pictures: Mapping[str, Folder]) -> None:
    """Tables and papers; files that an earlier report left there go."""
    tables = write_tables(report, out)
    bibliography = "\n\n".join(source.bibtex for source in report.sources)
    write_file(out / BIBLIOGRAPHY, f"{bibliography}\n".encode())
    figures = [path for folder in pictures.values() for path in folder.written]
    tidy(out, [*tables, *figures], [out / f"report.{name}" for name in BESIDE if name not in pictures])


def _write(report: Report, discussion: Discussion, out: Path, format: str, pictures: Source) -> Path:
    text = Writer(format, pictures, discussion).page(report)
    path = out / f"report.{format}"
    write_file(path, text.encode())
    return path
