"""From blocks to files. A format writes a block by the template of its kind, and escapes all it is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pluglab.storage.atomic import write_file
from pluglab_report.discussion import Discussion, read_discussion
from pluglab_report.rendering.files import Embedded, Folder, write_tables
from pluglab_report.rendering.writer import Writer
from pluglab_report.report import Report

BIBLIOGRAPHY = "references.bib"


def write_report(report: Report, out: Path, formats: Sequence[str], say: Callable[[str], None]) -> list[Path]:
    """The files of the formats, in their order; what lies beside them is written, too.

    The author's words are kept (`pluglab_report.discussion`). Raises `UserError` where report.md is not ours.
    """
    discussion = read_discussion(out, report.slots, say)
    out.mkdir(parents=True, exist_ok=True)
    if {"md", "tex"} & set(formats):
        write_tables(report, out)
        bibliography = "\n\n".join(source.bibtex for source in report.sources)
        write_file(out / BIBLIOGRAPHY, f"{bibliography}\n".encode())
    return [_write(report, discussion, out, name) for name in formats]


def _write(report: Report, discussion: Discussion, out: Path, format: str) -> Path:
    source = Embedded() if format == "html" else Folder(out, moving=format == "md")
    text = Writer(format, source, discussion).page(report)
    path = out / f"report.{format}"
    write_file(path, text.encode())
    return path
