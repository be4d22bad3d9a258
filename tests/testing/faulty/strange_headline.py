"""evaluate: headline names 'accuracy', and there is no such scalar"""

from pluglab import Evaluation
from tests.testing.good import Look


class Mine(Look):
    def evaluate(self, trainer, data, context):  # here
        return Evaluation({"score": 1.0}, headline=("accuracy",))


def lab_register(registry):
    registry.add("evaluator", "strange_headline", Mine, summary="faulty")
