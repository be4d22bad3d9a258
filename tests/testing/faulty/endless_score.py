"""finite: the scalar 'score' is inf"""

from pluglab import Evaluation
from tests.testing.good import Look


class Mine(Look):
    def evaluate(self, trainer, data, context):  # here
        return Evaluation({"score": float("inf")})


def lab_register(registry):
    registry.add("evaluator", "endless_score", Mine, summary="faulty")
