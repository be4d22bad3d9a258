"""Pictures of evaluators: what the groups drew under one name stands beside one another."""

from __future__ import annotations

from collections.abc import Sequence

from pluglab_report.blocks import Block, Heading, Picture, Pictures
from pluglab_report.chapters import Chapter, Shown, plot_data
from pluglab_report.words import slug


def beside(chapter: Chapter, *wanted: str, without: Sequence[str] = ()) -> list[Block]:
    """The pictures of some evaluators, a row a name, under the names of scenarios where there are several."""
    blocks: list[Block] = []
    before = None
    for (scenario, _, _), found in chapter.pictures(*wanted, without=without).items():
        if len(chapter.scenarios) > 1 and scenario != before:
            blocks.append(Heading(scenario))
        blocks.append(row(chapter, found))
        before = scenario
    return blocks


def row(chapter: Chapter, found: Sequence[Shown]) -> Pictures:
    """One row; a caption that all pictures share is below it."""
    captions = {shown.file.caption for shown in found}
    shared = captions.pop() if len(captions) == 1 and len(found) > 1 else ""
    return Pictures([picture_of(chapter, shown) for shown in found], shared)


def picture_of(chapter: Chapter, shown: Shown) -> Picture:
    """With the name of its group, where there are several."""
    group, file = shown.group, shown.file
    parts = [chapter.layout.name, slug(chapter.names[group]), slug(file.evaluator), slug(shown.name)]
    title, color = (chapter.methods[group], chapter.colors[group]) if chapter.several else ("", "")
    return Picture("_".join(parts), title, file.caption, file.path, plot_data(file), color)


WORST = "reconstructions/worst_*", "sample_grid/worst_*"


class Samples:
    """Generated images: unchosen ones, then those of each class."""

    title = "Generated images"
    shows = ("sample_grid", "training_animation")

    def write(self, chapter: Chapter) -> Sequence[Block]:
        return beside(chapter, *self.shows)


class ReverseProcess:
    """From noise to an image."""

    title = "Reverse process"
    shows = ("reverse_process",)

    def write(self, chapter: Chapter) -> Sequence[Block]:
        return beside(chapter, *self.shows)


class Reconstructions:
    """Images above what the model makes of them."""

    title = "Reconstructions"
    shows = ("reconstructions",)

    def write(self, chapter: Chapter) -> Sequence[Block]:
        return beside(chapter, *self.shows, without=WORST)


class Walks:
    """Ways through the latent space."""

    title = "Latent walks"
    shows = ("interpolation", "latent_traversal")

    def write(self, chapter: Chapter) -> Sequence[Block]:
        return beside(chapter, *self.shows)


class Embeddings:
    """Features in the plane, by class and by domain."""

    title = "Features in the plane"
    shows = ("latent_tsne",)

    def write(self, chapter: Chapter) -> Sequence[Block]:
        return beside(chapter, *self.shows)


class Others:
    """Pictures that no other section shows, under the labels of their evaluators."""

    title = "Other pictures"
    shows = ()

    def write(self, chapter: Chapter) -> Sequence[Block]:
        blocks: list[Block] = []
        before = ""
        for (scenario, label, _), found in chapter.other_pictures().items():
            title = f"{label}, {scenario}" if len(chapter.scenarios) > 1 else label
            blocks += [Heading(title)] if title != before else []
            blocks.append(row(chapter, found))
            before = title
        return blocks
