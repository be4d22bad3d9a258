"""values: what it returns depends on what it was asked before"""


class Mine:
    calls = 0

    def __call__(self, p):  # here
        self.calls += 1
        return self.calls * p


def lab_register(registry):
    registry.add("schedule", "schedule_of_calls", Mine, summary="faulty")
