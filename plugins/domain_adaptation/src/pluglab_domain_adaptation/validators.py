"""Scores of a model on unlabeled target images, to pick a checkpoint or an option without target labels.

Every score is oriented so that larger is better. None is a proof: each can prefer a model that is sure and
wrong. Probabilities are softmax(logits), entropies are in nats.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pluglab.capabilities import Classifies, Embeds
from pluglab.components import Options
from pluglab.errors import UserError
from pluglab.evaluating import RoleData, embed, predict, require_finite, sample_rows, select_splits
from pluglab.protocols import Evaluation, EvaluationContext, EvaluationData
from pluglab_domain_adaptation.target_losses import entropy_of_mean, mean_entropy, nuclear_norm

Name = Literal["entropy", "information_maximization", "nuclear_norm", "snd", "dev"]


class Validators:
    """Label-free scores of the target: entropy, information maximization, nuclear norm, soft neighborhood
    density, and deep embedded validation, which also reads held-out labeled source images."""

    class Config(Options):
        names: tuple[Name, ...] = ("entropy", "information_maximization", "nuclear_norm", "snd", "dev")
        """Which scores to compute; `dev` is left out where there is no labeled source."""
        images: int = Field(2000, ge=2)
        """Images a domain, drawn over the split."""
        split: str = "train"
        """Split of the target; its labels are never read."""
        held_out: str = "test"
        """Split of the source that it was not trained on, for `dev`."""
        temperature: float = Field(0.05, gt=0)
        """Temperature of the neighborhoods of `snd`; the paper's is 0.05."""

    needs: ClassVar[tuple[type, ...]] = (Classifies, Embeds)

    def __init__(self, config: Config) -> None:
        self.config = config

    def check(self, trainer: Any, data: RoleData) -> Mapping[str, Collection[str]]:
        """Only `dev` is computed from labels, those of the source."""
        (target,) = select_splits(data, ["target"], self.config.split)
        if target.spec.count < 2:
            raise UserError("one image of 'target' has no neighborhood", help=["take more images"])
        labels = {"dev": ("source",)}
        names = [name for name in self.config.names if name != "dev" or self._has_source(data)]
        if not names:
            message = "'dev' is computed from labeled images of the role 'source', and there are none"
            raise UserError(message, help=["add further `names`, or a labeled source"])
        return {f"validators/{name}": labels.get(name, ()) for name in names}

    def evaluate(self, trainer: Any, data: RoleData, context: EvaluationContext) -> Evaluation:
        """Scalars `validators/<name>`."""
        (target,) = select_splits(data, ["target"], self.config.split)
        logits = predict(trainer, target, self._rows(target, context.seed))
        require_finite(logits, "no score can be computed", "predictions of 'target'")
        scores = {name: score for name, score in self._of_logits(logits).items() if name in self.config.names}
        if "dev" in self.config.names and self._has_source(data):
            scores["dev"] = self._dev(trainer, data, context.seed)
        protocol = {"evaluator": "validators", "split": self.config.split, "images": self.config.images}
        own: dict[str, dict[str, Any]] = {
            "snd": {"temperature": self.config.temperature},
            "dev": {"held out": self.config.held_out},
        }
        return Evaluation(
            {f"validators/{name}": score for name, score in scores.items()},
            protocol=protocol,
            protocols={f"validators/{name}": own[name] for name in scores if name in own},
            better={f"validators/{name}": "max" for name in scores},
        )

    def _of_logits(self, logits: Tensor) -> dict[str, float]:
        return {
            "entropy": -mean_entropy(logits).item(),
            "information_maximization": (entropy_of_mean(logits) - mean_entropy(logits)).item(),
            "nuclear_norm": nuclear_norm(logits).item(),
            "snd": soft_neighborhood_density(logits.softmax(1), self.config.temperature).item(),
        }

    def _has_source(self, data: RoleData) -> bool:
        return "source" in data and data["source"][self.config.held_out].labeled

    def _dev(self, trainer: Any, data: RoleData, seed: int) -> float:
        held_out, train = data["source"][self.config.held_out], data["source"]["train"]
        rows = self._rows(held_out, seed)
        logits, labels = predict(trainer, held_out, rows), held_out.labels[rows]
        parts = train, data["target"][self.config.split], held_out
        features = [_embedded(trainer, part, self._rows(part, seed)) for part in parts]
        return -dev_risk((logits.argmax(1) != labels).double().numpy(), density_ratio(*features))

    def _rows(self, part: EvaluationData, seed: int) -> Tensor:
        return sample_rows(part, self.config.images, seed, "validators")


def soft_neighborhood_density(codes: Tensor, temperature: float = 0.05) -> Tensor:
    """Mean entropy of each code's similarities to the others: high where target images form few, dense
    groups (SND, Saito et al. 2021, eq. 1 to 3). `codes`: N x K probabilities, or features."""
    unit = F.normalize(codes, dim=1)
    similarity = (unit @ unit.T / temperature).fill_diagonal_(-torch.inf)
    p = similarity.softmax(1)
    return -torch.special.xlogy(p, p).sum(1).mean()


def density_ratio(source: np.ndarray, target: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Estimate of p_target(x) / p_source(x) at the rows of `at`, from a logistic regression that tells N x F
    features of the two domains apart (Bickel et al. 2007; You et al. 2019, eq. 3)."""
    from sklearn.linear_model import LogisticRegression  # here, so that a run does not begin with it
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    domain = np.repeat([0, 1], [len(source), len(target)])
    model.fit(np.concatenate([source, target]), domain)
    # The odds by their logarithm: the probability of the source is rounded to 0 where the domains lie apart.
    return np.exp(model.decision_function(at)) * (len(source) / len(target))


def dev_risk(losses: np.ndarray, weights: np.ndarray) -> float:
    """Target risk from source losses: mean(w l) + eta (mean(w) - 1), where eta = -cov(w l, w) / var(w) makes
    the variance least (deep embedded validation, You et al. 2019, algorithm 1). Unbiased up to eta."""
    weighted, variance = weights * losses, weights.var(ddof=1)
    eta = -np.cov(weighted, weights)[0, 1] / variance if variance > 0 else 0.0
    return float(weighted.mean() + eta * (weights.mean() - 1))


def _embedded(trainer: Embeds, part: EvaluationData, rows: Tensor) -> np.ndarray:
    features = embed(trainer, part, rows).numpy()
    require_finite(features, "nothing can tell the domains apart", f"features of '{part.role}'")
    return features
