"""Scalars, pictures and tables of a run for TensorBoard, in the run's folder `tensorboard`.

Nothing of TensorBoard is imported before a run starts, so `lab --help` stays fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluglab.protocols import Evaluation, Figure, Observer, RunInfo
from pluglab.storage.run_folder import RunFolder
from pluglab.tables import markdown

if TYPE_CHECKING:
    import numpy as np
    from torch.utils.tensorboard import SummaryWriter


class TensorBoardObserver(Observer):
    """Writes events: scalars of every log and evaluation, pictures, tables as text, warnings."""

    def __init__(self) -> None:
        self.writer: SummaryWriter | None = None

    def run_started(self, run: RunInfo, step: int) -> None:
        """Open the event file; on a resume TensorBoard hides what will be done again."""
        from torch.utils.tensorboard import SummaryWriter

        folder = RunFolder(run.folder).tensorboard
        again = any(folder.glob("events.*"))
        purge = (step + 1 if step else 0) if again else None
        self.writer = SummaryWriter(str(folder), purge_step=purge)

    def step_logged(self, run: RunInfo, step: int, scalars: Mapping[str, float]) -> None:
        assert self.writer is not None
        for name, value in scalars.items():
            self.writer.add_scalar(f"train/{name}", value, step)

    def evaluated(self, run: RunInfo, step: int, name: str, evaluation: Evaluation) -> None:
        assert self.writer is not None
        for key, value in evaluation.scalars.items():
            self.writer.add_scalar(_tag(name, key), value, step)
        for key, figure in evaluation.figures.items():
            array = figure.array if isinstance(figure, Figure) else figure
            if array.ndim == 4:
                _add_film(self.writer, _tag(name, key), array, step)
            else:
                self.writer.add_image(_tag(name, key), array, step, dataformats="HWC")
        for key, table in evaluation.tables.items():
            self.writer.add_text(_tag(name, key), markdown(table), step)

    def health(self, run: RunInfo, step: int, message: str) -> None:
        assert self.writer is not None
        self.writer.add_text("health", message, step)

    def checkpoint_saved(self, run: RunInfo, step: int, path: Path) -> None:
        """What a resume from this checkpoint would continue must be on disk too."""
        assert self.writer is not None
        self.writer.flush()

    def run_finished(self, run: RunInfo, status: str, results: Mapping[str, Any]) -> None:
        if self.writer is not None:
            self.writer.close()


def _tag(name: str, key: str) -> str:
    """'accuracy/target' of the evaluator 'accuracy', not 'accuracy/accuracy/target'."""
    return key if key.startswith(f"{name}/") else f"{name}/{key}"


def _add_film(writer: SummaryWriter, tag: str, film: np.ndarray, step: int) -> None:
    """T x H x W x 3 as an animated GIF, which TensorBoard plays among its images."""
    from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]

    from pluglab.figures import encode_gif

    _, height, width, _ = film.shape
    image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=encode_gif(film))
    writer._get_file_writer().add_summary(Summary(value=[Summary.Value(tag=tag, image=image)]), step)
