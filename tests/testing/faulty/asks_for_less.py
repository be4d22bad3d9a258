"""evaluate: it reads trainer.predict, and `needs` does not ask for it"""

from pluglab import Evaluation
from tests.testing.good import Look


class Mine(Look):
    def evaluate(self, trainer, data, context):
        images = next(data["train"]["test"].batches(8))
        return Evaluation({"score": trainer.predict(images, "train").mean().item()})  # here


def lab_register(registry):
    registry.add("evaluator", "asks_for_less", Mine, summary="faulty")
