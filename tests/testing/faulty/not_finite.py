"""step: 'ratio' is nan at step 0"""

from tests.testing.good import Linear


class Mine(Linear):
    def step(self, batch, progress):  # here
        logs = super().step(batch, progress)
        return {**logs, "ratio": logs["loss"] * 0 / 0}


def lab_register(registry):
    registry.add("trainer", "not_finite", Mine, summary="faulty")
