"""construction: its construction seeds torch's global random generator"""

import torch

from tests.testing.good import Linear


class Mine(Linear):
    def __init__(self, config, data):  # here
        torch.manual_seed(0)
        super().__init__(config, data)


def lab_register(registry):
    registry.add("trainer", "seeds_weights", Mine, summary="faulty")
