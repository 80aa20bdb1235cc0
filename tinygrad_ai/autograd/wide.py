"""bfloat16 at the door: an op of bfloat16 tensors computes in float32, and rounds its results once.

So do its gradients, which is what PyTorch's kernels do, too. No op knows of it: what stands on the
tape for such a call is the op made `Wide`. It keeps bfloat16, half of float32's memory.
"""

from __future__ import annotations

from typing import Any

from ..backend.dtypes import float32, is_bfloat16
from ..tensor import Node, Tensor
from .broadcast import fit
from .op import Op
from .promote import align, cast
from .unwrap import unwrap

# They move numbers, and a cast says itself what it makes: there is nothing to compute.
AS_THEY_ARE = {"cast", "clone", "transfer"}
# Results that only the rule reads, by their places: rounded, they would spoil the gradient.
FOR_THE_RULE = {"attention": (1,), "layer_norm": (1, 2), "linear_z": (1,)}
# PyTorch compares with a Python number as with one of bfloat16: 0.1 equals its rounded self.
COMPARISONS = {"eq", "ne", "lt", "le", "gt", "ge"}


def is_narrow(value: Any) -> bool:
    return hasattr(value, "dtype") and is_bfloat16(value.dtype)


def wide(value: Any) -> Any:
    """bfloat16 as float32, also in tuples; anything else as it is. Of Tensors with history."""
    if type(value) is tuple:
        return tuple([wide(v) for v in value])
    return cast(value, dtype=float32) if is_narrow(value) else value


def narrowed(y: Tensor, like: Tensor) -> Tensor:
    """What a function made of a bfloat16 tensor `like`, in bfloat16."""
    return cast(y, dtype=like.dtype) if is_narrow(like) and not is_narrow(y) else y


class Wide(Op):
    """An op for one call with bfloat16 among its inputs, whose dtypes it knows."""

    plain = False  # the walk calls pull

    def __init__(self, op: Op, arrays: list[Any], be: Any) -> None:
        self.__dict__.update(op.__dict__)
        if op.name not in be.in_bfloat16:
            for name in ("forward", "rule"):  # ours, of the class
                self.__dict__.pop(name, None)
        self.op = op
        self.inputs_dtypes = [getattr(a, "dtype", None) for a in arrays]

    def forward(self, be: Any, *arrays: Any, **attrs: Any) -> Any:
        op, dtypes = self.op, self.inputs_dtypes
        if op.view:  # it shows its input's memory
            return op.forward(be, *arrays, **attrs)
        narrow = next(d for d in dtypes if d is not None and is_bfloat16(d))
        if op.name in COMPARISONS:
            arrays = tuple([plainly(a, narrow) for a in arrays])
        y = op.forward(be, *wide(arrays), **{k: wide(v) for k, v in attrs.items()})
        if any([d is not None and d.kind == "f" for d in dtypes]):
            return y  # of several dtypes the op made what it makes
        if type(y) is not tuple:
            return rounded(y, narrow)
        kept = FOR_THE_RULE.get(op.name, ())
        return tuple([a if i in kept else rounded(a, narrow) for i, a in enumerate(y)])

    def rule(self, g: Any, *saved: Any, **attrs: Any) -> Any:
        return self.op.rule(wide(g), *wide(saved), **{k: wide(v) for k, v in attrs.items()})

    def pull(self, node: Node, g: Any, graph: bool, needs: Any = None) -> Any:
        """Gradients in the inputs' dtypes; broadcasting is undone first, as sums are float32's."""
        grads = super().pull(node, g, graph, needs)
        found = grads if type(grads) is tuple else (grads,)
        return tuple(
            [
                gx if gx is None or p is None else self.fitted(node, p, gx, d)
                for gx, p, d in zip(found, node.parents, self.inputs_dtypes)
            ]
        )

    def fitted(self, node: Node, parent: Node, gx: Any, dtype: Any) -> Any:
        gx = gx if gx.shape == parent.shape else fit(gx, parent, node)
        return gx if gx.dtype == dtype else cast(gx, dtype=dtype)


def plainly(value: Any, dtype: Any) -> Any:
    """A Python number as the nearest one of the dtype; anything else as it is."""
    return float(dtype.type(value)) if type(value) in (int, float) else value


def rounded(y: Any, dtype: Any) -> Any:
    return y.astype(dtype) if y.dtype == float32 else y


def prepared(op: Op, args: tuple[Any, ...], found: Any) -> tuple[Op, Any]:
    """For inputs that the door has to look at: what computes the op, itself unless there is
    bfloat16 among them; and as `unwrap` found them, in the dtypes that the op asks for."""
    if op.dtypes is not None:
        found = unwrap(align(op, args))[:3]
    for a in found[0]:
        if hasattr(a, "dtype") and a.dtype.kind == "V" and op.name not in AS_THEY_ARE:
            return Wide(op, found[0], found[2]), found
    return op, found


Op.prepared = staticmethod(prepared)
