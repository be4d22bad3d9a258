"""pluglab: a small core for image-generation and domain-adaptation research; methods are plugins.

Importing this package is cheap: no torch, no numpy. A plugin author needs four modules:

- `pluglab.protocols`: what a trainer, a dataset, an evaluator and a metric are;
- `pluglab.components`: `Options`, `Component` and `Reference`, for options of one's own;
- `pluglab.training.trainer`: `TrainerBase`, which saves typing;
- `pluglab.data.batches`: `Images`, what a dataset returns.
"""

from importlib.metadata import PackageNotFoundError, version

import pluggy

try:
    __version__ = version("pluglab")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

hookimpl = pluggy.HookimplMarker("pluglab")

__all__ = ["__version__", "hookimpl"]
