"""The observer: what is told during a run becomes events."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluglab.observers.tensorboard.tags import logged_tag, tag
from pluglab.protocols import Evaluation, Figure, Observer, RunInfo
from pluglab.storage.run_folder import RunFolder
from pluglab.tables import markdown

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoardObserver(Observer):
    """Writes events while a run goes on, and at its end what is reported of it; nothing twice.

    Each is in the file at once: whoever resumes from a checkpoint on the disk finds what was before it.
    """

    def __init__(self) -> None:
        self.writer: SummaryWriter | None = None
        self.scores: set[str] = set()

    def run_started(self, run: RunInfo, step: int) -> None:
        """Open the event file; on a resume TensorBoard hides what will be done again."""
        from pluglab.observers.tensorboard.once import OnceWriter
        from pluglab.observers.tensorboard.pages import write_start

        folder = RunFolder(run.folder).tensorboard
        again = any(folder.glob("events.*"))
        purge = (step + 1 if step else 0) if again else None
        self.writer = OnceWriter(folder, purge)
        if not (again and step):
            write_start(self.writer, run)

    def step_logged(self, run: RunInfo, step: int, scalars: Mapping[str, float]) -> None:
        assert self.writer is not None
        for name, value in scalars.items():
            self.writer.add_scalar(logged_tag(name), value, step)
        self.writer.flush()

    def evaluated(self, run: RunInfo, step: int, name: str, evaluation: Evaluation) -> None:
        assert self.writer is not None
        for key, value in evaluation.scalars.items():
            self.writer.add_scalar(tag(name, key), value, step)
        for key, figure in evaluation.figures.items():
            self._show(tag(name, key), figure if isinstance(figure, Figure) else Figure(figure), step)
        for key, table in evaluation.tables.items():
            self.writer.add_text(tag(name, key), markdown(table), step)
        self._lay_out({tag(name, key) for key in evaluation.scalars}, step)
        self.writer.flush()

    def _show(self, name: str, figure: Figure, step: int) -> None:
        from pluglab.observers.tensorboard.pictures import add_picture
        from pluglab.observers.tensorboard.projector import add_embedding

        assert self.writer is not None
        data = figure.data or {}
        if data.get("plot") != "curves":  # they are among the scalars
            add_picture(self.writer, name, figure, step)
        if data.get("plot") == "points" and "features" in data:
            add_embedding(Path(self.writer.log_dir), name, data)

    def _lay_out(self, scores: set[str], step: int) -> None:
        """The page of scores, anew where one has appeared."""
        from pluglab.observers.tensorboard.pages import write_layout

        assert self.writer is not None
        if not scores <= self.scores:
            self.scores |= scores
            write_layout(self.writer, self.scores, step)

    def health(self, run: RunInfo, step: int, message: str) -> None:
        assert self.writer is not None
        self.writer.add_text("health", message, step)
        self.writer.flush()

    def run_finished(self, run: RunInfo, status: str, results: Mapping[str, Any]) -> None:
        from pluglab.observers.tensorboard.pages import write_results

        if self.writer is None:
            return
        if results:
            write_results(self.writer, run, results)
        self.writer.close()
