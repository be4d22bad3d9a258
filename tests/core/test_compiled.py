"""`run.compile`: the whole of a network is compiled, and it draws what it would have drawn."""

from __future__ import annotations

import copy

import torch
from torch import nn

from pluglab.engine import hardware
from pluglab.engine.hardware import Hardware, LabFabric, compile_whole


class Counted:
    """A backend that compiles nothing and notes how many operations each graph has."""

    def __init__(self) -> None:
        self.graphs: list[int] = []

    def __call__(self, graph, example_inputs):
        self.graphs.append(sum(node.op.startswith("call") for node in graph.graph.nodes))
        return graph.forward


def sequential() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Sequential(nn.Linear(4, 3), nn.Tanh()))


def test_a_sequential_network_is_one_graph():
    torch._dynamo.reset()
    network, backend, x = sequential(), Counted(), torch.ones(2, 4)
    expected = network(x)
    compile_whole(network, backend=backend)
    torch.testing.assert_close(network(x), expected)
    assert backend.graphs == [4]


def test_a_copy_of_a_compiled_network_has_its_own_weights():
    """As an average of weights needs it."""
    torch._dynamo.reset()
    network, x = sequential(), torch.ones(2, 4)
    compile_whole(network, backend=Counted())
    copied = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.zero_()
    assert not copied(x).any()
    assert network(x).any()


def test_the_engine_compiles_what_it_sets_up(monkeypatch):
    torch._dynamo.reset()
    backend = Counted()
    monkeypatch.setattr(hardware, "compile_whole", lambda module: compile_whole(module, backend=backend))
    fabric = LabFabric(Hardware("cpu", 1, "32", False, True, 1, ""))
    fabric.setup_module(sequential())(torch.ones(2, 4))
    assert backend.graphs == [4]
