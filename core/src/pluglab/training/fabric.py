"""What we take of Lightning Fabric, imported without what a training does not need.

Fabric asks for the version of torchmetrics, whose import brings scipy.signal and torchvision's models: 1.3 s
of a command that needs none of them, and nothing that we take depends on the answer. Fabric and optimizers of
torch also import torch's compiler, another second, to keep out of it: here they do so once it is there.
Where another version of torch is made otherwise, nothing happens but that it takes the second.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

COMPILER = "torch._dynamo"


class _CompiledOnes(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        compiler = sys.modules.get(COMPILER)
        return compiler is not None and isinstance(instance, compiler.OptimizedModule)


class _OptimizedModule(nn.Module, metaclass=_CompiledOnes):
    """The compiler's class of networks, of which there is no instance before there is a compiler."""


@contextmanager
def _in_place(modules: Mapping[str, ModuleType | None]) -> Iterator[None]:
    """Other modules, or none, in the place of those that have not been imported yet."""
    absent = {name: module for name, module in modules.items() if name not in sys.modules}
    sys.modules.update(absent)  # type: ignore[arg-type]  # None: "not installed"
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def _import_fabric() -> None:
    compiler = ModuleType(COMPILER)
    vars(compiler)["OptimizedModule"] = _OptimizedModule
    with _in_place({"torchmetrics": None, COMPILER: compiler}):
        import lightning_fabric  # noqa: F401


def _outside(method: Any, plain: Any) -> Any:
    """A method that keeps out of the compiler; where there is none yet, `plain` does the same."""

    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        return (method if COMPILER in sys.modules else plain)(*args, **kwargs)

    return call


def _stepping(step: Any) -> Any:
    """What a step of torch's optimizers does besides breaking the graph that is being compiled."""

    def plain(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return step(self, *args, **kwargs)

    return plain


def _optimizers_outside() -> None:
    for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
        method = vars(Optimizer).get(name)
        plain = getattr(method, "__wrapped__", None)
        if plain is not None:
            setattr(Optimizer, name, _outside(method, plain))
    for kind in vars(torch.optim).values():
        step = vars(kind).get("step") if isinstance(kind, type) else None
        if step is not None and step.__code__.co_name == "_use_grad":
            kind.step = _outside(step, _stepping(step.__wrapped__))


_import_fabric()
_optimizers_outside()

from lightning_fabric import Fabric as Fabric  # noqa: E402
from lightning_fabric.plugins.precision import MixedPrecision as MixedPrecision  # noqa: E402
from lightning_fabric.plugins.precision import Precision as Precision  # noqa: E402
from lightning_fabric.wrappers import is_wrapped as is_wrapped  # noqa: E402
