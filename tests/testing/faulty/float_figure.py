"""evaluate: the figure 'picture' must be uint8 H x W x 3"""

import numpy as np

from pluglab import Evaluation
from tests.testing.good import Look


class Mine(Look):
    def evaluate(self, trainer, data, context):  # here
        return Evaluation(figures={"picture": np.zeros((8, 8, 3))})


def lab_register(registry):
    registry.add("evaluator", "float_figure", Mine, summary="faulty")
