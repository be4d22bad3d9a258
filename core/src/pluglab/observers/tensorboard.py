"""Scalars, pictures and tables of a run for TensorBoard, in the run's folder `tensorboard`.

Nothing of TensorBoard is imported before a run starts, so `lab --help` stays fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pluglab.protocols import Evaluation
from pluglab.storage.run_info import RunInfo
from pluglab.tables import markdown

if TYPE_CHECKING:
    import numpy as np
    from torch.utils.tensorboard import SummaryWriter

# A run that is only evaluated has no writer, and writes no events.
_writers: dict[Path, SummaryWriter] = {}


def lab_run_started(run: RunInfo, step: int) -> None:
    """Open the event file; on a resume TensorBoard hides what will be done again."""
    from torch.utils.tensorboard import SummaryWriter

    folder = run.folder / "tensorboard"
    again = any(folder.glob("events.*"))
    purge = (step + 1 if step else 0) if again else None
    _writers[run.folder] = SummaryWriter(str(folder), purge_step=purge)


def lab_step_logged(run: RunInfo, step: int, scalars: Mapping[str, float]) -> None:
    if writer := _writers.get(run.folder):
        for name, value in scalars.items():
            writer.add_scalar(f"train/{name}", value, step)


def lab_evaluated(run: RunInfo, step: int, name: str, evaluation: Evaluation) -> None:
    writer = _writers.get(run.folder)
    if writer is None:
        return
    for key, value in evaluation.scalars.items():
        writer.add_scalar(f"{name}/{key}", value, step)
    for key, figure in evaluation.figures.items():
        if figure.ndim == 4:
            _add_film(writer, f"{name}/{key}", figure, step)
        else:
            writer.add_image(f"{name}/{key}", figure, step, dataformats="HWC")
    for key, table in evaluation.tables.items():
        writer.add_text(f"{name}/{key}", markdown(table), step)


def _add_film(writer: SummaryWriter, tag: str, film: np.ndarray, step: int) -> None:
    """T x H x W x 3 as an animated GIF, which TensorBoard plays among its images."""
    from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]

    from pluglab.figures import encode_gif

    _, height, width, _ = film.shape
    image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=encode_gif(film))
    writer._get_file_writer().add_summary(Summary(value=[Summary.Value(tag=tag, image=image)]), step)


def lab_health(run: RunInfo, step: int, message: str) -> None:
    if writer := _writers.get(run.folder):
        writer.add_text("health", message, step)


def lab_checkpoint_saved(run: RunInfo) -> None:
    """What a resume from this checkpoint would continue must be on disk too."""
    if writer := _writers.get(run.folder):
        writer.flush()


def lab_run_finished(run: RunInfo) -> None:
    if writer := _writers.pop(run.folder, None):
        writer.close()
