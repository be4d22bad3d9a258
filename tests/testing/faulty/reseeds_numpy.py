"""random numbers: step seeds numpy's global random generator"""

import numpy as np

from tests.testing.good import Linear


class Mine(Linear):
    def step(self, batch, progress):  # here
        np.random.seed(progress.step)  # noqa: NPY002
        return super().step(batch, progress)


def lab_register(registry):
    registry.add("trainer", "reseeds_numpy", Mine, summary="faulty")
