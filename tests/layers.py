"""What a forward pass computes, operation by operation, in the notation in which reports print networks.

`conv(3,64,4,2,1)!b` is a convolution from 3 to 64 channels with kernel 4, stride 2 and padding 1, without
bias; `convT` is transposed, `dconv` one of each channel by itself. Read off what is called, functions and
modules alike, so that it holds the order in which layers act and not only which there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

Describe = Callable[..., str]


def operations(network: nn.Module, *inputs: Tensor, leave_out: tuple[str, ...] = ()) -> list[str]:
    """The layers that act on the way from the inputs to the output, in their order.

    `+` is a sum of feature maps. Other arithmetic, reshaping and what else has no name here are left out, and
    so are the names in `leave_out`.
    """
    # With attention as one operation, which a CPU otherwise writes out, and convolutions by torch's way.
    one_operation = patch("pluglab.training.attention.WRITTEN_OUT", -1)
    torchs_way = patch("pluglab.training.convolutions.WAYS_FOR", ())
    with _Recorder() as recorder, torch.no_grad(), one_operation, torchs_way:
        network(*inputs)
    found = (name for name in recorder.found if name)
    return [name for name in found if name.partition("(")[0] not in leave_out]


class _Recorder(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        describe = KNOWN.get(getattr(func, "__name__", ""))
        if describe is not None:
            self.found.append(describe(*args, **(kwargs or {})))
        return func(*args, **(kwargs or {}))


def _first(value: Any) -> int:
    return int(value[0] if isinstance(value, (tuple, list)) else value)


def _bias(bias: Tensor | None) -> str:
    return "" if bias is not None else "!b"


def _conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> str:
    outputs, inputs, kernel, _ = weight.shape
    name, inputs = ("dconv", outputs) if groups > 1 else ("conv", inputs)
    if groups > 1 and bool((weight == weight[0]).all()):
        return "blur"  # the same filter for every channel is none that is learned
    return f"{name}({inputs},{outputs},{kernel},{_first(stride)},{_first(padding)}){_bias(bias)}"


def _conv_transposed(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, *more: Any
) -> str:
    inputs, outputs, kernel, _ = weight.shape
    return f"convT({inputs},{outputs},{kernel},{_first(stride)},{_first(padding)}){_bias(bias)}"


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> str:
    return f"linear({weight.shape[1]},{weight.shape[0]}){_bias(bias)}"


def _batch_norm(x: Tensor, *args: Any, **options: Any) -> str:
    eps = options.get("eps", 1e-5)
    return f"BN({x.shape[1]})" if eps == 1e-5 else f"BN({x.shape[1]},{eps:g})"


def _leaky(x: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> str:
    return f"lrelu({negative_slope:g})"


def _dropout(name: str) -> Describe:
    return lambda x, p=0.5, *more, **options: f"{name}({p:g})"


def _resized(
    x: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", **more: Any
) -> str:
    return f"up({mode},{scale_factor:g})" if size is None else f"up({mode})"


def _attention(query: Tensor, *more: Any, **options: Any) -> str:
    return f"attention({query.shape[-1]})"


def _multi_head(
    query: Tensor, key: Tensor, value: Tensor, width: int, heads: int, *more: Any, **o: Any
) -> str:
    return f"attention({width},{heads})"


def _sum(x: Any, y: Any = None, *more: Any, **options: Any) -> str:
    return "+" if all(isinstance(one, Tensor) and one.ndim == 4 for one in (x, y)) else ""


def _sum_scaled(x: Tensor, y: Tensor, *more: Any, **options: Any) -> str:
    return "+" if x.shape == y.shape else ""


def _named(name: str) -> Describe:
    return lambda *args, **options: name


KNOWN: Mapping[str, Describe] = {
    "add": _sum,
    "__add__": _sum,
    "addcmul": _sum_scaled,
    "conv2d": _conv,
    "conv_transpose2d": _conv_transposed,
    "linear": _linear,
    "batch_norm": _batch_norm,
    "group_norm": lambda x, groups, *more, **options: f"GN({groups})",
    "layer_norm": lambda x, shape, *more, **options: f"LN({_first(shape)})",
    "leaky_relu": _leaky,
    "leaky_relu_": _leaky,
    "dropout": _dropout("dropout"),
    "dropout2d": _dropout("dropout2d"),
    "interpolate": _resized,
    "scaled_dot_product_attention": _attention,
    "multi_head_attention_forward": _multi_head,
    "embedding": lambda labels, weight, *more, **options: f"embedding({weight.shape[0]},{weight.shape[1]})",
    "max_pool2d": lambda x, kernel, *more, **options: f"pool({_first(kernel)})",
    "softmax": _named("softmax"),
    **{name: _named(name.rstrip("_")) for name in ("relu", "relu_", "gelu", "silu", "tanh", "sigmoid")},
}
