"""predict: must return class logits, 3 x 3"""

from tests.testing.good import Linear


class Mine(Linear):
    def predict(self, images, role):  # here
        return self.net(images).argmax(1, keepdim=True).float()


def lab_register(registry):
    registry.add("trainer", "one_logit", Mine, summary="faulty")
