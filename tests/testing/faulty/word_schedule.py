"""values: at 0.0 it returns 'full'"""


def mine(p):  # here
    return "full" if p < 0.5 else 0.0


def lab_register(registry):
    registry.add("schedule", "word_schedule", mine, summary="faulty")
