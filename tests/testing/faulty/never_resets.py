"""scores: after reset it returns another score of the same"""


class Mine:
    reads = "vectors"

    def __init__(self):
        self.total = 0.0

    def update(self, features):
        self.total += features.sum().item()

    def compute(self):
        return self.total

    def reset(self):  # here
        """Forgets nothing."""


def lab_register(registry):
    registry.add("metric", "never_resets", Mine, summary="faulty")
