"""The section of `lab report` about sweeps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pluglab_report.blocks import Block, Heading, Picture, Pictures, TableBlock, Text
from pluglab_report.chapters import Chapter
from pluglab_report.words import slug
from pluglab_sweep.pictures import CAPTIONS
from pluglab_sweep.summary import Summary, counts, read_summary, table_of


class SweepSection:
    """The best trials of each sweep whose runs the report is about, and its pictures."""

    title = "Sweep"
    shows = ()

    def write(self, chapter: Chapter) -> Sequence[Block]:
        folders = dict.fromkeys(record.experiment for record in chapter.records if record.experiment)
        found = [(folder, read_summary(folder)) for folder in folders]
        sweeps = [(folder, summary) for folder, summary in found if summary is not None]
        return [
            block
            for place, (folder, summary) in enumerate(sweeps, 1)
            for block in _of_sweep(chapter, folder, summary, place if len(sweeps) > 1 else 0)
        ]


def _of_sweep(chapter: Chapter, folder: Path, summary: Summary, place: int) -> Iterator[Block]:
    name = f"{chapter.layout.name}_sweep{f'_{place}' if place else ''}"
    if place:
        yield Heading(f"{summary['study']} ({folder.name})")
    pruner = f", pruner {summary['pruner']}" if summary.get("pruner") else ""
    yield Text(f"{counts(summary)}; sampler {summary.get('sampler', '')}{pruner}.")
    yield TableBlock(name, table_of(summary), "The best trials")
    files = [(title, folder / "figures" / f"{title}.png") for title in CAPTIONS]
    for title, path in files:
        if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            words = title.removeprefix("sweep_")
            yield Pictures([Picture(f"{name}_{slug(words)}", words, CAPTIONS[title], path)])
