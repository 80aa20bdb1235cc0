"""Activation functions as modules."""

from __future__ import annotations

from typing import Any

from ..ops.create import full
from ..tensor import Tensor
from . import functional as F
from .module import Module
from .parameter import Parameter

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SELU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]


class _Activation(Module):
    """A function of one tensor with options, which are attributes, arguments and the repr."""

    options: dict[str, Any] = {}  # name -> default, in PyTorch's order
    shown: tuple[str, ...] = ()  # those repr shows by name
    function: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        if len(args) > len(self.options) or set(kwargs) - set(self.options):
            wrong = ", ".join(sorted(set(kwargs) - set(self.options))) or f"{len(args)} arguments"
            raise TypeError(f"{type(self).__name__} takes {list(self.options)}, got {wrong}")
        given = {**self.options, **dict(zip(self.options, args)), **kwargs}
        for name, value in given.items():
            setattr(self, name, value)

    def forward(self, input: Tensor) -> Tensor:
        own = self.__dict__
        return type(self).function(input, *[own[name] for name in self.options])

    def extra_repr(self) -> str:
        parts = [f"{name}={getattr(self, name)!r}" for name in self.shown]
        return ", ".join(parts + (["inplace=True"] if getattr(self, "inplace", False) else []))


class ReLU(_Activation):
    """max(x, 0)"""

    options, function = {"inplace": False}, staticmethod(F.relu)


class ReLU6(_Activation):
    """min(max(x, 0), 6)"""

    options, function = {"inplace": False}, staticmethod(F.relu6)


class SELU(_Activation):
    """elu with the constants that keep mean 0 and variance 1."""

    options, function = {"inplace": False}, staticmethod(F.selu)


class SiLU(_Activation):
    """x sigmoid(x)"""

    options, function = {"inplace": False}, staticmethod(F.silu)


class Mish(_Activation):
    """x tanh(softplus(x))"""

    options, function = {"inplace": False}, staticmethod(F.mish)


class Hardsigmoid(_Activation):
    """min(max(x + 3, 0), 6) / 6"""

    options, function = {"inplace": False}, staticmethod(F.hardsigmoid)


class Hardswish(_Activation):
    """x hardsigmoid(x)"""

    options, function = {"inplace": False}, staticmethod(F.hardswish)


class LeakyReLU(_Activation):
    """x where x > 0, else negative_slope x."""

    options, function = {"negative_slope": 0.01, "inplace": False}, staticmethod(F.leaky_relu)
    shown = ("negative_slope",)


class RReLU(_Activation):
    """x where x > 0, else a x: in training a is drawn from [lower, upper], else their mean."""

    options = {"lower": 1 / 8, "upper": 1 / 3, "inplace": False}
    shown = ("lower", "upper")

    def forward(self, input: Tensor) -> Tensor:
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)


class ELU(_Activation):
    """x where x > 0, else alpha (eˣ - 1)."""

    options, function = {"alpha": 1.0, "inplace": False}, staticmethod(F.elu)
    shown = ("alpha",)


class CELU(_Activation):
    """x where x > 0, else alpha (e^(x / alpha) - 1)."""

    options, function = {"alpha": 1.0, "inplace": False}, staticmethod(F.celu)
    shown = ("alpha",)


class GELU(_Activation):
    """x Φ(x), or its tanh approximation."""

    options, function, shown = {"approximate": "none"}, staticmethod(F.gelu), ("approximate",)


class Hardtanh(_Activation):
    """Limited to [min_val, max_val]."""

    options = {"min_val": -1.0, "max_val": 1.0, "inplace": False}
    function, shown = staticmethod(F.hardtanh), ("min_val", "max_val")


class Softplus(_Activation):
    """log(1 + e^(beta x)) / beta"""

    options, function = {"beta": 1.0, "threshold": 20.0}, staticmethod(F.softplus)
    shown = ("beta", "threshold")


class Sigmoid(_Activation):
    """1 / (1 + e⁻ˣ)"""

    function = staticmethod(F.sigmoid)


class Tanh(_Activation):
    """tanh x"""

    function = staticmethod(F.tanh)


class Softsign(_Activation):
    """x / (1 + |x|)"""

    function = staticmethod(F.softsign)


class LogSigmoid(_Activation):
    """log sigmoid(x)"""

    function = staticmethod(F.logsigmoid)


class Tanhshrink(_Activation):
    """x - tanh x"""

    function = staticmethod(F.tanhshrink)


class Softshrink(_Activation):
    """x moved towards 0 by lambd."""

    options, function = {"lambd": 0.5}, staticmethod(F.softshrink)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Hardshrink(_Activation):
    """x, but 0 where |x| <= lambd."""

    options, function = {"lambd": 0.5}, staticmethod(F.hardshrink)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Threshold(Module):
    """x where x > threshold, else value."""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold, self.value, self.inplace = threshold, value, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}" + (
            ", inplace=True" if self.inplace else ""
        )


class GLU(_Activation):
    """The first half of dim times the sigmoid of the second."""

    options, function, shown = {"dim": -1}, staticmethod(F.glu), ("dim",)


class Softmax(_Activation):
    """eˣ / Σ eˣ along dim."""

    options, function, shown = {"dim": None}, staticmethod(F.softmax), ("dim",)


class LogSoftmax(_Activation):
    """log softmax along dim."""

    options, function, shown = {"dim": None}, staticmethod(F.log_softmax), ("dim",)


class Softmin(_Activation):
    """softmax of -x along dim."""

    options, function, shown = {"dim": None}, staticmethod(F.softmin), ("dim",)


class Softmax2d(Module):
    """softmax over the channels of images (N, C, H, W) or (C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, -3)


class PReLU(Module):
    """x where x > 0, else w x, w learned: one number or one per channel."""

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.weight = Parameter(full((num_parameters,), float(init), dtype=dtype, device=device))

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"
