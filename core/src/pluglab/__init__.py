"""pluglab: a small core for image-generation and domain-adaptation research; methods are plugins.

This is the door: what is named here is for users and authors of plugins, and everything else is private but
the modules that docs/architecture.md lists as public. Importing it is cheap: names are loaded when they are
first used.

    import pluglab

    runs = pluglab.run("recipes/dann_digits.toml", steps=50)
    model = pluglab.load("runs/mine/20261121-093000-a1b2")
"""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import pluggy

from pluglab._lazy import lazily as lazily

try:
    __version__ = version("pluglab")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

hookimpl = pluggy.HookimplMarker("pluglab")

__all__ = [
    "EMA",
    "Batch",
    "Classifies",
    "Component",
    "Deferred",
    "EMAOptions",
    "Embeds",
    "Evaluation",
    "Figure",
    "Generates",
    "ImageSpec",
    "Images",
    "Observer",
    "Options",
    "Progress",
    "Reconstructs",
    "Reference",
    "Registrar",
    "Role",
    "RunError",
    "Samples",
    "Table",
    "TrainedModel",
    "TrainerBase",
    "Translates",
    "UserError",
    "__version__",
    "capability",
    "component",
    "data_context",
    "derived_seed",
    "hookimpl",
    "lazily",
    "load",
    "named",
    "run",
    "scale_lr",
    "table",
    "takes",
]

if TYPE_CHECKING:
    from pluglab.api import component as component
    from pluglab.api import data_context as data_context
    from pluglab.api import load as load
    from pluglab.api import run as run
    from pluglab.capabilities import Classifies as Classifies
    from pluglab.capabilities import Embeds as Embeds
    from pluglab.capabilities import Generates as Generates
    from pluglab.capabilities import Reconstructs as Reconstructs
    from pluglab.capabilities import Samples as Samples
    from pluglab.capabilities import Translates as Translates
    from pluglab.capabilities import capability as capability
    from pluglab.components import Component as Component
    from pluglab.components import Deferred as Deferred
    from pluglab.components import Options as Options
    from pluglab.components import Reference as Reference
    from pluglab.components import named as named
    from pluglab.components import table as table
    from pluglab.components import takes as takes
    from pluglab.errors import RunError as RunError
    from pluglab.errors import UserError as UserError
    from pluglab.images import Images as Images
    from pluglab.images import ImageSpec as ImageSpec
    from pluglab.plugins.registry import Registrar as Registrar
    from pluglab.protocols import Batch as Batch
    from pluglab.protocols import Evaluation as Evaluation
    from pluglab.protocols import Figure as Figure
    from pluglab.protocols import Observer as Observer
    from pluglab.protocols import Progress as Progress
    from pluglab.protocols import Role as Role
    from pluglab.protocols import Table as Table
    from pluglab.seeds import derived_seed as derived_seed
    from pluglab.trained import TrainedModel as TrainedModel
    from pluglab.training.ema import EMA as EMA
    from pluglab.training.ema import EMAOptions as EMAOptions
    from pluglab.training.optimizers import scale_lr as scale_lr
    from pluglab.training.trainer import TrainerBase as TrainerBase
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            **dict.fromkeys(("component", "data_context", "load", "run"), "pluglab.api"),
            **dict.fromkeys(
                ("Classifies", "Embeds", "Generates", "Reconstructs", "Samples", "Translates", "capability"),
                "pluglab.capabilities",
            ),
            **dict.fromkeys(
                ("Component", "Deferred", "Options", "Reference", "named", "table", "takes"),
                "pluglab.components",
            ),
            **dict.fromkeys(("RunError", "UserError"), "pluglab.errors"),
            **dict.fromkeys(("ImageSpec", "Images"), "pluglab.images"),
            "Registrar": "pluglab.plugins.registry",
            **dict.fromkeys(
                ("Batch", "Evaluation", "Figure", "Observer", "Progress", "Role", "Table"),
                "pluglab.protocols",
            ),
            "derived_seed": "pluglab.seeds",
            "TrainedModel": "pluglab.trained",
            **dict.fromkeys(("EMA", "EMAOptions"), "pluglab.training.ema"),
            "scale_lr": "pluglab.training.optimizers",
            "TrainerBase": "pluglab.training.trainer",
        },
    )
