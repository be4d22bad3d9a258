"""twice: made twice from one seed it differs"""

import random

from tests.testing.good import Linear


class Mine(Linear):
    def __init__(self, config, data):  # here
        super().__init__(config, data)
        self.net[2].bias.data.fill_(random.SystemRandom().random())


def lab_register(registry):
    registry.add("trainer", "unseeded_weights", Mine, summary="faulty")
