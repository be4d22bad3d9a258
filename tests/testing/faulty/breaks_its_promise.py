"""evaluate: Mine reports 'brightness', which its check() did not announce"""

from tests.testing.good import Look


class Mine(Look):
    def check(self, trainer, data):  # here
        return {"darkness": []}


def lab_register(registry):
    registry.add("evaluator", "breaks_its_promise", Mine, summary="faulty")
