"""translate: `translations` must be pairs of its roles"""

from tests.testing.good import Linear


class Mine(Linear):
    translations = (("train", "elsewhere"),)

    def translate(self, images, role, to):  # here
        return -images


def lab_register(registry):
    registry.add("trainer", "translates_elsewhere", Mine, summary="faulty")
