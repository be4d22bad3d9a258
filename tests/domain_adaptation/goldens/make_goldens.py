"""Writes goldens.json: what other people's code computes, for tests that do not need that code.

    pip install pytorch-adapt==0.0.83   # somewhere else than in the project's environment
    git clone https://github.com/thuml/Transfer-Learning-Library
    git clone https://github.com/tim-learn/SHOT
    python tests/domain_adaptation/goldens/make_goldens.py Transfer-Learning-Library SHOT

Of the two checkouts (at 9fcd99c and 3bad26d) one class and one function are run, without the rest of their
modules, which import much. What is given to all is a function of a seed, which the tests repeat.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Optional

import numpy as np
import torch
import torch.nn.functional as F
from pytorch_adapt.layers import CORALLoss, EntropyWeights, MCCLoss, MCDLoss, RandomizedDotProduct
from pytorch_adapt.layers.mmd_loss import MMDLoss
from pytorch_adapt.layers.normalizers import SumNormalizer
from scipy.spatial.distance import cdist
from torch import Tensor, nn

WIDTH, CLASSES = 6, 4


def given(count: int, width: int, seed: int, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator, dtype=torch.float64) * scale


def losses() -> dict[str, Any]:
    """By pytorch-adapt."""
    source, target = given(10, WIDTH, 0), given(8, WIDTH, 1, 2.0) + 0.5
    first, second = given(9, CLASSES, 2, 2.0), given(9, CLASSES, 3, 2.0)
    torch.manual_seed(0)
    sums = RandomizedDotProduct([WIDTH, CLASSES], 16).double()
    scales = torch.tensor([0.5, 5e-2, 5e-3], dtype=torch.float64)
    kernel = MMDLoss(kernel_scales=scales, mmd_type="quadratic", bandwidth=1.0)
    return {
        "coral": CORALLoss()(source, target).item(),
        "discrepancy": MCDLoss()(first, second).item(),
        "class_confusion": MCCLoss(T=2.5)(first).item(),
        "certainty": EntropyWeights(normalizer=SumNormalizer(scale_by_batch_size=True))(first).tolist(),
        # Without the pairs of an image and itself, and the mean of the kernels exp(-scale |a - b|^2).
        "mmd": {"scales": scales.tolist(), "value": kernel(source, target).item()},
        "random_sums": {
            "of_features": sums.rand_mat0.tolist(),
            "of_classes": sums.rand_mat1.tolist(),
            "value": sums(given(3, WIDTH, 4), given(3, CLASSES, 5).softmax(1)).tolist(),
        },
    }


def picked(path: Path, name: str, **known: Any) -> Any:
    """One function or class of a file."""
    wanted = [x for x in ast.parse(path.read_text()).body if getattr(x, "name", "") == name]
    scope = {"torch": torch, "nn": nn, "F": F, "np": np, "Optional": Optional, **known}
    exec(compile(ast.Module(wanted, []), str(path), "exec"), scope)
    return scope[name]


def class_weights(tllib: Path) -> list[float]:
    """Those of PADA after one batch, by TLlib, at temperature 1."""
    weigh = picked(tllib / "tllib/alignment/pada.py", "ClassWeightModule")(1.0)
    return weigh(given(12, CLASSES, 11, 2.0)).tolist()


class OneBatch:
    """A loader as the authors of SHOT iterate over it."""

    def __iter__(self) -> OneBatch:
        return self

    def __len__(self) -> int:
        return 1

    def next(self) -> tuple[Any, Tensor]:
        return SimpleNamespace(cuda=lambda: None), torch.zeros(36)

    __next__ = next


def pseudo_labels(shot: Path) -> list[int]:
    """Those of SHOT's authors, for three groups of features of which the classifier knows little."""
    features = torch.cat([given(12, WIDTH, 12 + k) + 2 * given(1, WIDTH, 20 + k) for k in range(3)])
    logits = given(36, CLASSES, 30, 2.0) + 1.5 * F.one_hot(torch.arange(36) // 12, CLASSES)
    label = picked(shot / "digit/uda_digit.py", "obtain_label", cdist=cdist)
    args = SimpleNamespace(out_file=SimpleNamespace(write=lambda _: None, flush=lambda: None))
    found: np.ndarray = label(OneBatch(), lambda x: x, lambda x: features, lambda x: logits, args)
    return found.tolist()


def main(tllib: Path, shot: Path) -> None:
    found = {**losses(), "class_weights": class_weights(tllib), "pseudo_labels": pseudo_labels(shot)}
    Path(__file__).with_name("goldens.json").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
