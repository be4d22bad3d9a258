"""What trainers are built with: a base class, optimizers, schedules, averages."""

from typing import TYPE_CHECKING

from pluglab._lazy import lazily

if TYPE_CHECKING:
    from pluglab.training.ema import EMA as EMA
    from pluglab.training.ema import EMAOptions as EMAOptions
    from pluglab.training.trainer import TrainerBase as TrainerBase
    from pluglab.training.trainer import modules_of as modules_of
    from pluglab.training.trainer import scale_lr as scale_lr
    from pluglab.training.trainer import set_mode as set_mode
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "EMA": "pluglab.training.ema",
            "EMAOptions": "pluglab.training.ema",
            "TrainerBase": "pluglab.training.trainer",
            "modules_of": "pluglab.training.trainer",
            "scale_lr": "pluglab.training.trainer",
            "set_mode": "pluglab.training.trainer",
        },
    )
