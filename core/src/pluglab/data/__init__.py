"""What a run reads: batches for the trainer, splits for evaluators."""

from typing import TYPE_CHECKING

from pluglab._lazy import lazily

if TYPE_CHECKING:
    from pluglab.data.batches import Stream as Stream
    from pluglab.data.batches import derived_seed as derived_seed
    from pluglab.data.batches import to_float as to_float
    from pluglab.data.batches import to_uint8 as to_uint8
    from pluglab.images import Images as Images
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "Images": "pluglab.images",
            "Stream": "pluglab.data.batches",
            "derived_seed": "pluglab.data.batches",
            "to_float": "pluglab.data.batches",
            "to_uint8": "pluglab.data.batches",
        },
    )
