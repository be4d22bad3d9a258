"""modes: step leaves 'net' in evaluation mode"""

from tests.testing.good import Linear


class Mine(Linear):
    def step(self, batch, progress):  # here
        logs = super().step(batch, progress)
        self.net.eval()
        return logs


def lab_register(registry):
    registry.add("trainer", "stays_in_eval", Mine, summary="faulty")
