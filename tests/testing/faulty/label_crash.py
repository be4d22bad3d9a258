"""unlabeled: it fails on data without labels: ValueError"""

from pluglab import Evaluation
from tests.testing.good import Look


class Mine(Look):
    def evaluate(self, trainer, data, context):
        split = data["train"]["test"]
        labels = split.labels if split.labeled else None
        if labels is None:
            raise ValueError("no labels")  # here
        return Evaluation({"share": labels.float().mean().item()})


def lab_register(registry):
    registry.add("evaluator", "label_crash", Mine, summary="faulty")
