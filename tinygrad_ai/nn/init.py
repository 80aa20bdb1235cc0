"""Initial values of parameters, in place and unrecorded, under PyTorch's names."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from threading import local
from typing import Any

from ..autograd.mode import no_grad
from ..errors import ArgumentError
from ..ops.create import eye
from ..ops.elementwise import sign
from ..ops.random import normal, randperm
from ..tensor import Tensor

GAINS = {
    "linear": 1.0, "conv1d": 1.0, "conv2d": 1.0, "conv3d": 1.0, "sigmoid": 1.0,
    "tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 3.0 / 4,
}  # fmt: skip


def calculate_gain(nonlinearity: str, param: Any = None) -> float:
    """The factor that keeps a layer's variance through an activation."""
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else float(param)
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity not in GAINS:
        raise ArgumentError(f"no gain is known for {nonlinearity!r}")
    return GAINS[nonlinearity]


class _Skip(local):
    on = False


_skip = _Skip()


@contextmanager
def skipped() -> Iterator[None]:
    """Inside the block nothing is drawn, as for a model whose values are about to be loaded:
    parameters hold whatever their memory held."""
    before, _skip.on = _skip.on, True
    try:
        yield
    finally:
        _skip.on = before


def skipping() -> bool:
    """Whether this thread is inside of `skipped()`."""
    return _skip.on


@no_grad()
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """U(a, b)"""
    return tensor if _skip.on else tensor.uniform_(a, b, generator=generator)


@no_grad()
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """N(mean, std²)"""
    return tensor if _skip.on else tensor.normal_(mean, std, generator=generator)


@no_grad()
def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Any = None,
) -> Tensor:
    """N(mean, std²) confined to [a, b], by the inverse of the distribution function."""
    if _skip.on:
        return tensor
    low, high = [0.5 * (1 + math.erf((v - mean) / (std * math.sqrt(2)))) for v in (a, b)]
    tensor.uniform_(2 * low - 1, 2 * high - 1, generator=generator).erfinv_()
    return tensor.mul_(std * math.sqrt(2)).add_(mean).clamp_(min=a, max=b)


@no_grad()
def constant_(tensor: Tensor, val: float) -> Tensor:
    """Filled with val."""
    return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """Filled with 1."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Filled with 0."""
    return constant_(tensor, 0.0)


@no_grad()
def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix."""
    _expect(tensor, tensor.ndim == 2, "eye_ expects a matrix")
    return tensor.copy_(eye(*tensor.shape))


@no_grad()
def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution that passes its channels on unchanged."""
    _expect(tensor, tensor.ndim in (3, 4, 5), "dirac_ expects 3, 4 or 5 dimensions")
    out, inner = tensor.shape[0] // groups, tensor.shape[1]
    tensor.zero_()
    centre = tuple([n // 2 for n in tensor.shape[2:]])
    for group in range(groups):
        for channel in range(min(out, inner)):
            tensor[(group * out + channel, channel) + centre] = 1.0
    return tensor


def fans(tensor: Tensor) -> tuple[int, int]:
    """How many inputs and outputs a unit has: sizes 1 and 0 times the kernel's."""
    _expect(tensor, tensor.ndim >= 2, "fan in and fan out need two dimensions or more")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def _expect(tensor: Tensor, holds: bool, what: str) -> None:
    if not holds:
        raise ArgumentError(f"{what}, got shape {tensor.shape}")


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """U(-a, a), a = gain √(6 / (fan_in + fan_out)) (Glorot & Bengio, 2010)."""
    bound = gain * math.sqrt(6.0 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """N(0, std²), std = gain √(2 / (fan_in + fan_out)) (Glorot & Bengio, 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(fans(tensor))), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError(f"expected mode 'fan_in' or 'fan_out', got {mode!r}")
    fan = fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:
    """U(-b, b), b = gain √(3 / fan) (He et al., 2015)."""
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:
    """N(0, std²), std = gain / √fan (He et al., 2015)."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


@no_grad()
def orthogonal_(tensor: Tensor, gain: float = 1, generator: Any = None) -> Tensor:
    """A (semi-)orthogonal matrix (Saxe et al., 2013); dimensions after the first count as one."""
    _expect(tensor, tensor.ndim >= 2, "orthogonal_ expects two dimensions or more")
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    size = (max(rows, columns), min(rows, columns))
    flat = normal(0.0, 1.0, size, generator=generator, device=tensor.device).double()
    from ..ops.decompositions import qr

    q, r = qr(flat)
    q = q * sign(r.diagonal())
    return tensor.copy_((q if rows >= columns else q.mT).reshape(tensor.shape) * gain)


@no_grad()
def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Any = None) -> Tensor:
    """N(0, std²) with a share `sparsity` of each column zero (Martens, 2010)."""
    _expect(tensor, tensor.ndim == 2, "sparse_ expects a matrix")
    rows, columns = tensor.shape
    normal_(tensor, 0.0, std, generator)
    for column in range(columns):
        order = randperm(rows, generator=generator, device=tensor.device)
        tensor[order[: math.ceil(sparsity * rows)], column] = 0.0
    return tensor
