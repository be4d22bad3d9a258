"""explained: the option 'rate' does not say what it is"""

from tests.testing.good import Linear


class Mine(Linear):
    class Config(Linear.Config):
        rate: float = 0.1  # here


def lab_register(registry):
    registry.add("trainer", "no_meaning", Mine, summary="faulty")
