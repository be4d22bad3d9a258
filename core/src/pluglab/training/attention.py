"""Attention, by whichever way is quickest where it is computed."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

WRITTEN_OUT = 2**30  # bytes of the weights of a batch, up to which a CPU writes them out
ALIGNED = 8  # fused kernels want widths that are multiples of it


def attend(query: Tensor, key: Tensor, value: Tensor, scale: float | None = None) -> Tensor:
    """softmax(scale q . k) v, one head: N x queries x D, N x keys x D, N x keys x E to N x queries x E.

    `scale` is 1 / sqrt(D) by default. On a CPU the plain products take less time than
    `scaled_dot_product_attention`. Elsewhere, and where the weights would not fit, that has fused kernels,
    which keep no weights. They cannot be differentiated twice: see `torch.nn.attention.sdpa_kernel`.
    """
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    if written_out(query, query.shape[0] * query.shape[1] * key.shape[1]):
        return ((query if scale == 1 else query * scale) @ key.transpose(1, 2)).softmax(-1) @ value
    if more := -query.shape[-1] % ALIGNED:
        query, key = F.pad(query, (0, more)), F.pad(key, (0, more))
    query, key, value = (part.unsqueeze(1) for part in (query, key, value))  # an axis that fused kernels want
    return F.scaled_dot_product_attention(query, key, value, scale=scale).squeeze(1)


def written_out(like: Tensor, weights: int) -> bool:
    """Whether so many weights, on the device and in the numbers of `like`, are best written out."""
    return like.device.type == "cpu" and weights * like.element_size() <= WRITTEN_OUT
