"""Pictures and tables as files, or within the page."""

from __future__ import annotations

import csv
import io
import tempfile
from base64 import b64encode
from pathlib import Path

from PIL import Image

from pluglab.storage.atomic import replacing, write_file
from pluglab.tables import latex
from pluglab_plots import redraw
from pluglab_report.blocks import Picture, TableBlock
from pluglab_report.report import Report

TYPES = {".png": "image/png", ".gif": "image/gif", ".svg": "image/svg+xml"}
DPI, INCHES = 300, 6  # of pictures for print; how wide they are at least


class Embedded:
    """Pictures within the page: files as they are, plots that have no file as SVG."""

    def of(self, picture: Picture) -> str:
        if picture.path is not None:
            return _data_uri(picture.path.read_bytes(), picture.path.suffix)
        with tempfile.TemporaryDirectory() as folder:
            drawn = redraw(picture.data or {}, Path(folder) / "plot.svg")
            return _data_uri(drawn.read_bytes(), drawn.suffix)


def _data_uri(content: bytes, suffix: str) -> str:
    return f"data:{TYPES[suffix]};base64,{b64encode(content).decode()}"


class Folder:
    """Pictures in figures/: plots drawn anew, as PNG of 300 dpi and as PDF, others enlarged by a whole
    factor.

    Films stay films where the format is `moving`; else their last frame stands for them.
    """

    def __init__(self, out: Path, *, moving: bool) -> None:
        self.out, self.moving = out, moving
        self.written: list[Path] = []

    def of(self, picture: Picture) -> str:
        stem = self.out / "figures" / picture.name
        if picture.data is not None:
            self.written.append(redraw(picture.data, stem.with_suffix(".pdf")))
            return self._address(redraw(picture.data, stem.with_suffix(".png"), dpi=DPI))
        assert picture.path is not None, "a picture has a file or data"
        if picture.path.suffix == ".gif" and self.moving:
            path = stem.with_suffix(".gif")
            write_file(path, picture.path.read_bytes())
            return self._address(path)
        return self._address(_for_print(picture.path, stem.with_suffix(".png")))

    def _address(self, path: Path) -> str:
        self.written.append(path)
        return path.relative_to(self.out).as_posix()


def _for_print(source: Path, path: Path) -> Path:
    with Image.open(source) as image:
        image.seek(getattr(image, "n_frames", 1) - 1)
        still = image.convert("RGB")
    factor = max(1, -(-DPI * INCHES // still.width))
    large = still.resize((factor * still.width, factor * still.height), Image.Resampling.NEAREST)
    with replacing(path) as temporary:
        large.save(temporary, "PNG", dpi=(DPI, DPI))
    return path


def write_tables(report: Report, out: Path) -> list[Path]:
    """Every table as CSV and as LaTeX for the package booktabs: the files."""
    written = []
    for block in report.blocks():
        if isinstance(block, TableBlock):
            stem = out / "tables" / block.name
            texts = {".csv": _csv(block), ".tex": latex(block.table, block.bold)}
            for suffix, text in texts.items():
                write_file(stem.with_suffix(suffix), text.encode())
                written.append(stem.with_suffix(suffix))
    return written


def _csv(block: TableBlock) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([block.table.columns, *block.table.rows])
    return text.getvalue()
