"""bf16: TypeError: Got unsupported ScalarType BFloat16"""

import torch
from torch import nn

from tests.testing.good import Linear


class Twice(nn.Module):
    def forward(self, values):
        return values + torch.from_numpy(values.detach().numpy())  # here


class Mine(Linear):
    def __init__(self, config, data):
        super().__init__(config, data)
        self.net.append(Twice())


def lab_register(registry):
    registry.add("trainer", "float32_only", Mine, summary="faulty")
