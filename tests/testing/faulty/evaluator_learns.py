"""evaluate: Mine.evaluate changes the trainer: 'net.1.weight'"""

from tests.testing.good import Look


class Mine(Look):
    def evaluate(self, trainer, data, context):  # here
        for parameter in trainer.net.parameters():
            parameter.mul_(0.5)
        return super().evaluate(trainer, data, context)


def lab_register(registry):
    registry.add("evaluator", "evaluator_learns", Mine, summary="faulty")
