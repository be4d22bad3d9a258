"""explained: it has no summary"""

from tests.testing.good import Linear


class Mine(Linear):
    pass


def lab_register(registry):
    registry.add("trainer", "no_summary", Mine)  # here
