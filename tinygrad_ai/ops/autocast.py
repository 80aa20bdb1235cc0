"""Mixed precision: products in 16 bits, sensitive functions in float32, as PyTorch sorts them.

`autocast` is an observer at the door of the ops: it converts what goes in, by the op `cast`, so
that gradients arrive in the dtype that a tensor had. No op knows of it.
"""

from __future__ import annotations

from contextlib import ContextDecorator
from typing import Any

from ..autograd.mode import state
from ..autograd.promote import cast
from ..backend import dtypes
from ..errors import ArgumentError
from ..tensor import Tensor

__all__ = ["autocast", "is_autocast_enabled"]

# PyTorch's lists ("Autocast Op Reference"), and the moments that normalisations are made of. What
# is in neither goes by its inputs.
SMALL = {
    "attention", "convolve", "convolve_input", "convolve_weight", "einsum", "linear", "linear_z",
    "matmul",
}  # fmt: skip
FLOAT32 = {
    "acos", "asin", "cosh", "cross_entropy", "cumprod", "cumsum", "erfinv", "exp", "expm1",
    "layer_norm", "log", "log10", "log1p", "log2", "log_softmax", "logcumsumexp", "logsumexp",
    "mean", "norm2", "norm_p", "pow", "prod", "reciprocal", "rsqrt", "sinh", "softmax", "softplus",
    "std", "sum", "tan", "var",
}  # fmt: skip


class autocast(ContextDecorator):
    """`with autocast("cuda"):` or `@autocast("cuda")`: forward passes in mixed precision.

    Affects float32 tensors on devices of that type. `dtype` is float16 or bfloat16, by default
    float16 on "cuda" and bfloat16 on "cpu"; backward() belongs outside the block. A nested autocast
    with enabled=False computes in the inputs' dtypes again. ArgumentError for another dtype.
    """

    def __init__(
        self, device_type: str, dtype: Any = None, enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:  # fmt: skip
        if device_type not in ("cpu", "cuda"):
            raise ArgumentError(f"expected device_type 'cpu' or 'cuda', got {device_type!r}")
        self.device_type, self.enabled = device_type, enabled
        if dtype is None:
            dtype = "bfloat16" if device_type == "cpu" else "float16"
        self.dtype = dtypes.named(dtype)
        if self.dtype.name not in ("float16", "bfloat16"):
            raise ArgumentError(f"autocast expects ta.float16 or ta.bfloat16, got {self.dtype}")
        self.before: list[tuple[Any, ...]] = []

    def __enter__(self) -> autocast:
        self.before.append(state.observers)
        others = [o for o in state.observers if not self.replaces(o)]
        state.observers = (*others, self) if self.enabled else tuple(others)
        return self

    def __exit__(self, *_: object) -> None:
        state.observers = self.before.pop()

    def replaces(self, observer: Any) -> bool:
        return isinstance(observer, autocast) and observer.device_type == self.device_type

    def forward(self, op: Any, run: Any, args: Any, attrs: Any) -> Any:
        if op.name in SMALL:
            return run(tuple([self.converted(a, self.dtype) for a in args]), attrs)
        if op.name in FLOAT32:
            return run(tuple([self.converted(a, dtypes.float32) for a in args]), attrs)
        return run(args, attrs)

    def converted(self, value: Any, dtype: Any) -> Any:
        """A floating tensor but of float64 in the dtype wanted; anything else as it is."""
        if not isinstance(value, Tensor) or not dtypes.is_floating(value.dtype):
            return value
        if value.dtype == dtypes.float64:
            return value
        if value.dtype == dtype or value.device.type != self.device_type:
            return value
        return cast(value, dtype=dtype)

    def backward(self, pull: Any, *args: Any) -> Any:
        return pull(*args)


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether an autocast for that type of device is on."""
    return any([isinstance(o, autocast) and o.device_type == device_type for o in state.observers])
