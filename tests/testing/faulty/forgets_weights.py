"""state: is not what it was once its state is loaded"""

from tests.testing.good import Linear


class Mine(Linear):
    def load_state_dict(self, state):  # here
        self.optimizer.load_state_dict(state["optimizer"])


def lab_register(registry):
    registry.add("trainer", "forgets_weights", Mine, summary="faulty")
