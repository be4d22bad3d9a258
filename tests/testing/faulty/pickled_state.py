"""state: 'half' is a Fraction"""

from fractions import Fraction

from tests.testing.good import Linear


class Mine(Linear):
    def state_dict(self):  # here
        return {**super().state_dict(), "half": Fraction(1, 2)}

    def load_state_dict(self, state):
        super().load_state_dict(state)


def lab_register(registry):
    registry.add("trainer", "pickled_state", Mine, summary="faulty")
