"""predict: predict changes the mode of a network"""

from tests.testing.good import Linear


class Mine(Linear):
    def predict(self, images, role):  # here
        self.net.train()
        return self.net(images)


def lab_register(registry):
    registry.add("trainer", "predict_trains", Mine, summary="faulty")
