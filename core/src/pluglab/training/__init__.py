"""What trainers are built with: a base class, optimizers, schedules, averages."""

from typing import TYPE_CHECKING

from pluglab._lazy import lazily

if TYPE_CHECKING:
    from pluglab.training.ema import EMA as EMA
    from pluglab.training.ema import EMAOptions as EMAOptions
    from pluglab.training.fabric import Fabric as Fabric
    from pluglab.training.optimizers import scale_lr as scale_lr
    from pluglab.training.precision import native_bf16 as native_bf16
    from pluglab.training.trainer import TrainerBase as TrainerBase
    from pluglab.training.trainer import modules_of as modules_of
    from pluglab.training.trainer import set_mode as set_mode
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            **dict.fromkeys(("EMA", "EMAOptions"), "pluglab.training.ema"),
            "Fabric": "pluglab.training.fabric",
            "scale_lr": "pluglab.training.optimizers",
            "native_bf16": "pluglab.training.precision",
            **dict.fromkeys(("TrainerBase", "modules_of", "set_mode"), "pluglab.training.trainer"),
        },
    )
