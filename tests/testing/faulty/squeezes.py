"""one image: IndexError"""

from tests.testing.good import Linear


class Mine(Linear):
    def step(self, batch, progress):
        images = batch["train"].images.squeeze(0)
        assert images[0, 0, 0, 0] is not None  # here
        return super().step(batch, progress)


def lab_register(registry):
    registry.add("trainer", "squeezes", Mine, summary="faulty")
