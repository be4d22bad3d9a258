"""Scores that read an extractor's class logits: the Inception Score and the share of right classes."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from pluglab.components import Options
from pluglab.errors import RunError, UserError
from pluglab_metrics.extractors.base import Features


def inception_score(logits: Tensor, splits: int = 10) -> tuple[float, float]:
    """exp(E KL(p(y|x) || p(y))), mean and deviation over consecutive splits (Salimans et al. 2016).

    `logits`: N x K. Between 1 and K.
    """
    scores = torch.stack([_score(part) for part in logits.double().tensor_split(splits)])
    return scores.mean().item(), scores.std(correction=0).item()


def _score(logits: Tensor) -> Tensor:
    log_p = logits.log_softmax(1)
    p = log_p.exp()
    log_marginal = p.mean(0).log()
    # A class that no image has is 0 x infinity, which counts as 0.
    return torch.where(p > 0, p * (log_p - log_marginal), 0).sum(1).mean().exp()


class InceptionScore:
    """Confident and varied classes: exp of the mean divergence of p(y|x) from p(y). Uses no real images."""

    reads = "features"
    keys = ("inception_score", "inception_score_std")
    better = "max"

    class Config(Options):
        splits: int = Field(10, ge=1)
        """Parts that the score is averaged over; the fewer images a part has, the lower its score."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.reset()

    def check(self, real: int, made: int) -> None:
        """Raises `UserError` for fewer images than parts."""
        if made < self.config.splits:
            message = f"the Inception Score in {self.config.splits} splits needs as many images, n is {made}"
            raise UserError(message, help=["raise `n`, or lower `splits` of the metric"])

    def reset(self) -> None:
        self._logits: list[Tensor] = []

    def update(self, batch: Features, real: bool, labels: Tensor | None = None) -> None:
        if not real:
            self._logits.append(logits_of(batch, "the Inception Score"))

    def compute(self) -> dict[str, float]:
        """`inception_score`, and `inception_score_std` over the splits."""
        logits = torch.cat(self._logits)
        if len(logits) < self.config.splits:
            raise RunError(f"{self.config.splits} splits need as many images, got {len(logits)}")
        mean, deviation = inception_score(logits, self.config.splits)
        return {"inception_score": mean, "inception_score_std": deviation}


class ClassAccuracy:
    """Share of generated images, in percent, that the extractor's classifier reads as the class asked for."""

    reads = "classes"
    keys = ("class_accuracy",)
    better = "max"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._right: list[Tensor] = []

    def update(self, batch: Features, real: bool, labels: Tensor | None = None) -> None:
        if real:
            return
        if labels is None:
            raise UserError("class accuracy needs the classes that were asked for", help=[NOT_CONDITIONAL])
        self._right.append(logits_of(batch, "class accuracy").argmax(1) == labels.to(batch.features.device))

    def compute(self) -> dict[str, float]:
        """`class_accuracy`, in percent."""
        return {"class_accuracy": 100 * torch.cat(self._right).double().mean().item()}


NOT_CONDITIONAL = "leave the metric 'class_accuracy' out: this trainer makes images of no given class"


def logits_of(batch: Features, score: str) -> Tensor:
    """Raises `UserError` where the extractor has no classifier."""
    if batch.logits is None:
        raise UserError(
            f"{score} needs class logits, which this feature extractor does not give",
            help=['choose feature_extractor = "inception" or "digit_classifier"'],
        )
    return batch.logits
