"""predict: says something else of an image of 'train' alone than among others"""

from tests.testing.good import Linear


class Mine(Linear):
    def predict(self, images, role):  # here
        return self.net(images - images.mean(0))


def lab_register(registry):
    registry.add("trainer", "predicts_together", Mine, summary="faulty")
