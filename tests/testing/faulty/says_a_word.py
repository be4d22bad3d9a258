"""diagnose: diagnose returns str"""

from tests.testing.good import Linear


class Mine(Linear):
    def diagnose(self, scalars):  # here
        return "all is well"


def lab_register(registry):
    registry.add("trainer", "says_a_word", Mine, summary="faulty")
