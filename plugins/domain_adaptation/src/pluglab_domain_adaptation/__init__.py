"""Unsupervised domain adaptation: train on a labeled source, do well on an unlabeled target.

What other plugins build on is named here; docs/building.md says how.
"""

from typing import TYPE_CHECKING

from pluglab import lazily

__all__ = [
    "AdaptiveOptions",
    "ClassifierOptions",
    "ClassifierTrainer",
    "Decoder",
    "DomainOptions",
    "Encoder",
    "TargetLoss",
    "TargetOptions",
    "Unlabeled",
    "one_spec",
    "parameters_of",
    "require_labels",
    "reverse",
]

if TYPE_CHECKING:
    from pluglab_domain_adaptation.base import ClassifierTrainer as ClassifierTrainer
    from pluglab_domain_adaptation.base import one_spec as one_spec
    from pluglab_domain_adaptation.base import parameters_of as parameters_of
    from pluglab_domain_adaptation.base import require_labels as require_labels
    from pluglab_domain_adaptation.encoders import Decoder as Decoder
    from pluglab_domain_adaptation.encoders import Encoder as Encoder
    from pluglab_domain_adaptation.networks import reverse as reverse
    from pluglab_domain_adaptation.options import AdaptiveOptions as AdaptiveOptions
    from pluglab_domain_adaptation.options import ClassifierOptions as ClassifierOptions
    from pluglab_domain_adaptation.options import DomainOptions as DomainOptions
    from pluglab_domain_adaptation.options import TargetOptions as TargetOptions
    from pluglab_domain_adaptation.target_losses import TargetLoss as TargetLoss
    from pluglab_domain_adaptation.target_losses import Unlabeled as Unlabeled
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            **dict.fromkeys(
                ("ClassifierTrainer", "one_spec", "parameters_of", "require_labels"),
                "pluglab_domain_adaptation.base",
            ),
            **dict.fromkeys(("Decoder", "Encoder"), "pluglab_domain_adaptation.encoders"),
            **dict.fromkeys(("reverse",), "pluglab_domain_adaptation.networks"),
            **dict.fromkeys(
                ("AdaptiveOptions", "ClassifierOptions", "DomainOptions", "TargetOptions"),
                "pluglab_domain_adaptation.options",
            ),
            **dict.fromkeys(("TargetLoss", "Unlabeled"), "pluglab_domain_adaptation.target_losses"),
        },
    )
