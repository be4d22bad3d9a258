"""Evaluators and metrics: what a trained model can do, as numbers and as pictures.

What other plugins build on is named here; docs/building.md says how.
"""

from typing import TYPE_CHECKING

from pluglab import lazily

__all__ = [
    "FeatureExtractor",
    "Features",
    "Titled",
]

if TYPE_CHECKING:
    from pluglab_metrics.extractors.base import FeatureExtractor as FeatureExtractor
    from pluglab_metrics.extractors.base import Features as Features
    from pluglab_metrics.titled import Titled as Titled
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            **dict.fromkeys(("FeatureExtractor", "Features"), "pluglab_metrics.extractors.base"),
            **dict.fromkeys(("Titled",), "pluglab_metrics.titled"),
        },
    )
