"""In a step of several processes: random numbers, and the statistics of batch norm, are of the whole batch.

Each process has the rows rank, rank + n, rank + 2 n, ... of a batch that n processes share. All of them have
the same random state, draw for every row, and keep their own. So what is drawn for an image does not depend
on how many processes there are, and no trainer, network or transform has to know of it.

What is drawn by rows is told by the first axis: so many as this process has of the batch, several batches one
after the other, or an equal part of one. All else, such as one number for a whole batch, is drawn alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, distributed
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

# The functions of Python inside which something is drawn. Others are not looked into, which costs time.
DRAWING = frozenset(
    (
        *("rand", "randn", "randint", "rand_like", "randn_like", "randint_like"),
        *("normal", "bernoulli", "multinomial", "poisson", "rrelu", "gumbel_softmax"),
        *("normal_", "uniform_", "random_", "bernoulli_", "exponential_", "log_normal_", "cauchy_"),
        *("geometric_", "dropout", "dropout_", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"),
        *("feature_dropout", "feature_alpha_dropout", "native_dropout", "multi_head_attention_forward"),
    )
)
Arguments = Mapping[str, Any] | None


@dataclass(frozen=True)
class Share:
    """What one of several processes has of each batch: its rank, of how many, and how many rows."""

    rank: int
    processes: int
    rows: int

    def blocks(self, size: int) -> int:
        """How many parts of batches an axis of this size holds, one after the other; 0: it has no rows."""
        if size % self.rows == 0:
            return size // self.rows
        return int(size > 1 and self.rows % size == 0)

    def whole(self, shape: torch.Size | list[int] | tuple[int, ...]) -> list[int]:
        """The shape with the rows of all processes."""
        return [shape[0] * self.processes, *shape[1:]]

    def own(self, tensor: Tensor, blocks: int) -> Tensor:
        """This process's rows of all of them."""
        found: Tensor = tensor.unflatten(0, (blocks, -1))[:, self.rank :: self.processes].flatten(0, 1)
        return found

    def spread(self, tensor: Tensor) -> Tensor:
        """A tensor for the rows of all processes, laid out alike: each has the values of this one's."""
        last = tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if last and not tensor.is_contiguous() else torch.contiguous_format
        return tensor.repeat_interleave(self.processes, 0).contiguous(memory_format=layout)


class _Drawing(TorchDispatchMode):
    """Inside a function that draws: each operation that does, does so for all rows."""

    def __init__(self, share: Share) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.share = share

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Arguments = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        given = {**dict(zip((one.name for one in func._schema.arguments), args, strict=False)), **kwargs}
        like = next((v for v in given.values() if isinstance(v, Tensor) and v.ndim), None)
        shape = like.shape if like is not None else given.get("size")
        blocks = self.share.blocks(shape[0]) if shape else 0
        if not blocks:
            return func(*args, **kwargs)
        found = func(**{name: self._for_all(name, value, shape) for name, value in given.items()})
        if func._schema.is_mutable and like is not None:
            return like.copy_(self.share.own(found, blocks))
        if isinstance(found, Tensor):
            return self.share.own(found, blocks)
        return tuple(self.share.own(one, blocks) for one in found)

    def _for_all(self, name: str, value: Any, shape: Any) -> Any:
        if isinstance(value, Tensor) and value.ndim and value.shape[0] == shape[0]:
            return self.share.spread(value)
        return self.share.whole(value) if name == "size" else value


class _WholeBatch(TorchFunctionMode):
    def __init__(self, share: Share) -> None:
        super().__init__()
        self.share = share

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Arguments = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if func is F.batch_norm:
            return batch_norm(self.share.processes, *args, **kwargs)
        if name not in DRAWING:
            return func(*args, **kwargs)
        with _Drawing(self.share):
            return func(*args, **kwargs)


@contextmanager
def whole_batch(rank: int, processes: int, rows: int) -> Iterator[None]:
    """Inside, `rows` of a batch are this process's. Of one process alone nothing changes."""
    with nullcontext() if processes == 1 else _WholeBatch(Share(rank, processes, rows)):
        yield


class _Summed(torch.autograd.Function):
    """A sum over all processes, whose gradient is that of the sum of what all of them make of it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return summed(gradients[0])


def summed(x: Tensor) -> Tensor:
    """The sum of all processes' x; it can be differentiated, also twice."""
    found: Tensor = _Summed.apply(x)
    return found


def batch_norm(
    processes: int,
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`F.batch_norm` of x, N x C x ..., with the mean and variance over all processes, each with N rows.

    Differentiable twice, as penalties on gradients need it.
    """
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    axes = [axis for axis in range(x.ndim) if axis != 1]
    count = processes * x.numel() // x.shape[1]
    values = x.to(torch.promote_types(x.dtype, torch.float32))
    mean = summed(values.sum(axes, keepdim=True)) / count
    centered = values - mean
    variance = summed(centered.square().sum(axes, keepdim=True)) / count
    normal = centered * (variance + eps).rsqrt()
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean.flatten(), momentum)
            running_var.lerp_(variance.flatten() * (count / (count - 1)), momentum)
    shape = [-1 if axis == 1 else 1 for axis in range(x.ndim)]
    if weight is not None:
        normal = normal * weight.view(shape)
    if bias is not None:
        normal = normal + bias.view(shape)
    return normal.to(x.dtype)
