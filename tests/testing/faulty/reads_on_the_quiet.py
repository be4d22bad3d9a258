"""evaluate: it reads the labels of 'train', which its check does not name"""

from pluglab import Evaluation
from tests.testing.good import Look


class Mine(Look):
    def check(self, trainer, data):  # here
        return {"share": []}

    def evaluate(self, trainer, data, context):
        return Evaluation({"share": data["train"]["test"].labels.float().mean().item()})


def lab_register(registry):
    registry.add("evaluator", "reads_on_the_quiet", Mine, summary="faulty")
