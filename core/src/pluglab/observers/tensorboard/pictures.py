"""Pictures and films with their captions, as TensorBoard's summaries."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from PIL import Image

from pluglab.figures import encode_gif
from pluglab.protocols import Figure

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def add_picture(writer: SummaryWriter, tag: str, figure: Figure, step: int) -> None:
    """A still as PNG; a film as an animated GIF, which TensorBoard plays among its images."""
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata

    height, width, _ = figure.array.shape[-3:]
    encoded = encode_gif(figure.array) if figure.array.ndim == 4 else _png(figure)
    image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=encoded)
    words = SummaryMetadata(summary_description=figure.caption) if figure.caption else None
    value = Summary.Value(tag=tag, image=image, metadata=words)
    writer._get_file_writer().add_summary(Summary(value=[value]), step)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(figure.array).save(buffer, "PNG")
    return buffer.getvalue()
