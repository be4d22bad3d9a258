"""twice: it says another thing of the same model the second time: scalars.looks"""

from pluglab import Evaluation
from tests.testing.good import Look


class Mine(Look):
    looks = 0

    def evaluate(self, trainer, data, context):  # here
        self.looks += 1
        return Evaluation({"looks": self.looks})


def lab_register(registry):
    registry.add("evaluator", "remembers", Mine, summary="faulty")
