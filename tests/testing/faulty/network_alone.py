"""networks: must give 'net' as (network, inputs)"""

from tests.testing.good import Linear


class Mine(Linear):
    def networks(self):  # here
        return {"net": self.net}


def lab_register(registry):
    registry.add("trainer", "network_alone", Mine, summary="faulty")
