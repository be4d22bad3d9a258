"""evaluate: the scalar 'score' is Tensor: it must be a float"""

import torch

from pluglab import Evaluation
from tests.testing.good import Look


class Mine(Look):
    def evaluate(self, trainer, data, context):  # here
        return Evaluation({"score": torch.tensor(1.0)})


def lab_register(registry):
    registry.add("evaluator", "tensor_scalar", Mine, summary="faulty")
