"""The docstrings' formulas cannot lie: each is run, and compared with the op and its rule."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import special

from tinygrad_ai import backend
from tinygrad_ai.autograd.op import REGISTRY, Op
from tinygrad_ai.errors import ArgumentError
from tinygrad_ai.ops.samples import SAMPLES
from tinygrad_ai.study import vocabulary
from tinygrad_ai.study.formula import definitions, expression
from tinygrad_ai.study.formula_text import latex, numpy_code

OPS = sorted(
    op.name for op in REGISTRY.values()
    if op.differentiable and op.forward.__module__.startswith("tinygrad_ai.")
)  # fmt: skip
WORDS = {
    "np": np, "erfinv": special.erfinv, "gamma": special.gamma, "digamma": special.digamma,
    **{k: v for k, v in vars(vocabulary).items() if callable(v)},
}  # fmt: skip


def names_of(op: Op, arrays: list[Any], attrs: dict[str, Any], y: Any, g: Any) -> dict[str, Any]:
    """What the names of an op's formulas stand for."""
    found: dict[str, Any] = {**op.defaults, **attrs, "y": y, "g": g}
    if op.inputs == ("xs",):
        found["xs"] = arrays
    else:
        found.update(zip(op.inputs, [*arrays, *[None] * len(op.inputs)]))
    for name in op.inputs:
        if hasattr(found[name], "shape"):
            found[f"{name}_shape"], found[f"{name}_dtype"] = found[name].shape, found[name].dtype
    dim = found.get("dim")
    found["axis"] = -1 if dim is None else dim
    if "keepdim" in op.attrs and not isinstance(y, tuple):
        kept = [1 if i in np.atleast_1d(dim) else n for i, n in enumerate(arrays[0].shape)]
        found["y"], found["g"] = y.reshape(kept), g.reshape(kept)
    if not isinstance(y, tuple) and y.size:
        found["n"] = arrays[0].size / y.size if hasattr(arrays[0], "size") else 1
    return found


def fitted(value: Any, shape: Any) -> Any:
    """As the walk does: broadcast to a shape, or summed to it."""
    value = np.asarray(value, dtype=float)
    if value.size <= math.prod(shape) and value.shape != shape:
        try:
            return np.broadcast_to(value, shape)
        except ValueError:
            pass
    return vocabulary.sum_to(value, shape).reshape(shape)


@pytest.mark.parametrize("name", OPS)
def test_each_formula_is_what_the_op_does(name: str) -> None:
    op = REGISTRY[name]
    formulas = definitions(op.__doc__ or "")
    random = np.random.default_rng(0)
    for call in SAMPLES[name]:
        tensors, attrs = call.made()
        arrays = [getattr(t, "array", t) for t in tensors]
        y = op.forward(backend.numpy, *arrays, **{**op.defaults, **attrs})
        y = tuple(map(np.asarray, y)) if isinstance(y, tuple) else np.asarray(y)
        g = (
            tuple([random.standard_normal(a.shape) for a in y])
            if isinstance(y, tuple)
            else (random.standard_normal(y.shape))
        )
        names = names_of(op, arrays, attrs, y, g)
        compare(name, formulas, names, y)
        result = op(*tensors, **attrs)
        outputs = result if isinstance(result, tuple) else (result,)
        seeds = g if isinstance(g, tuple) else (g,)
        from tinygrad_ai.autograd import backward
        from tinygrad_ai.tensor import wrap

        pairs = [(o, wrap(s)) for o, s in zip(outputs, seeds) if o.node is not None]
        backward([o for o, _ in pairs], [s for _, s in pairs])
        wanted = [(n, t) for n, t in zip(op.inputs if op.inputs != ("xs",) else [], tensors)]
        for key, t in wanted:
            if getattr(t, "grad", None) is not None:
                got = fitted(names[f"g{key}"], t.shape)
                np.testing.assert_allclose(got, t.grad.numpy(), rtol=1e-9, atol=1e-12, err_msg=key)


def compare(name: str, formulas: Any, names: dict[str, Any], y: Any) -> None:
    """Runs the definitions in order; the first, y, must be what the op gave."""
    for key, term in formulas.items():
        code = numpy_code(term)
        with np.errstate(all="ignore"):
            value = eval(code, {**WORDS, **names})
        if key == "y" and not isinstance(y, tuple):
            got = np.broadcast_to(np.asarray(value, dtype=float), names["y"].shape)
            np.testing.assert_allclose(got, names["y"], rtol=1e-9, atol=1e-12, err_msg=code)
        elif key != "y":
            names[key] = value
