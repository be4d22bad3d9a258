"""resume: 6 steps are not 3, saved, loaded and 3 more"""

from tests.testing.good import Linear


class Mine(Linear):
    def state_dict(self):  # here
        return {"net": self.net.state_dict()}

    def load_state_dict(self, state):
        self.net.load_state_dict(state["net"])


def lab_register(registry):
    registry.add("trainer", "forgets_momentum", Mine, summary="faulty")
