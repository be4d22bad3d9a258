"""names: there is an optimizer 'adam' already, of the plugin 'core'"""

import torch


def mine(parameters, lr: float = 0.1):
    return torch.optim.SGD(parameters, lr)


def lab_register(registry):
    registry.add("optimizer", "adam", mine, summary="faulty")  # here
