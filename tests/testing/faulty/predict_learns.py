"""predict: predict changes the trainer"""

from tests.testing.good import Linear


class Mine(Linear):
    def predict(self, images, role):  # here
        for parameter in self.net.parameters():
            parameter.add_(1)
        return self.net(images)


def lab_register(registry):
    registry.add("trainer", "predict_learns", Mine, summary="faulty")
