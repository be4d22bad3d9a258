"""What a run reads: batches for the trainer, splits for evaluators."""

from typing import TYPE_CHECKING

from pluglab._lazy import lazily
from pluglab.images import Images as Images
from pluglab.images import to_float as to_float
from pluglab.images import to_uint8 as to_uint8
from pluglab.seeds import derived_seed as derived_seed

if TYPE_CHECKING:
    from pluglab.data.batches import Stream as Stream
    from pluglab.data.batches import transformed as transformed
    from pluglab.data.image_files import to_rgb as to_rgb
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            **dict.fromkeys(("Stream", "transformed"), "pluglab.data.batches"),
            "to_rgb": "pluglab.data.image_files",
        },
    )
