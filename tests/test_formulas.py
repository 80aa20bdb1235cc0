"""The docstrings' formulas cannot lie: each is run, and compared with the op and its rule."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tinygrad_ai.autograd import backward
from tinygrad_ai.autograd.op import REGISTRY, Op
from tinygrad_ai.errors import ArgumentError
from tinygrad_ai.ops.samples import SAMPLES
from tinygrad_ai.study import meaning, vocabulary
from tinygrad_ai.study.formula import definitions, expression, walk
from tinygrad_ai.study.formula_text import NAMES, is_gradient, latex, notation, numpy_code
from tinygrad_ai.tensor import wrap

OPS = sorted(
    op.name for op in REGISTRY.values()
    if op.differentiable and op.forward.__module__.startswith("tinygrad_ai.")
)  # fmt: skip


def kept(a: Any, shape: Any, dim: Any) -> Any:
    """A reduction's result with its dimensions of size 1."""
    return a.reshape(
        [1 if i in np.atleast_1d(dim) % len(shape) else n for i, n in enumerate(shape)]
    )


def names_of(op: Op, arrays: list[Any], attrs: dict[str, Any], y: Any, g: Any) -> dict[str, Any]:
    """What the names of an op's formulas stand for."""
    shapes = [getattr(a, "shape", None) for a in arrays]
    found = {**dict.fromkeys(op.inputs), **meaning.settings(op, shapes, attrs)}
    if op.inputs == ("xs",):
        found["xs"] = arrays
    else:
        found.update(zip(op.inputs, arrays))
        found.update({f"{n}_dtype": getattr(a, "dtype", None) for n, a in zip(op.inputs, arrays)})
    if "keepdim" in op.attrs:
        y, g = [kept(a, shapes[0], found["dim"]) for a in (y, g)]
    return {**found, "y": y, meaning.incoming(op): g}


def fitted(value: Any, shape: Any) -> Any:
    """As the walk does: broadcast to a shape, or summed to it."""
    value = np.asarray(value, dtype=float)
    if value.size <= math.prod(shape) and value.shape != shape:
        return np.broadcast_to(value, shape)
    return vocabulary.sum_to(value, shape).reshape(shape)


def evaluated(term: Any, names: dict[str, Any]) -> Any:
    known = {NAMES.get(name, name): value for name, value in names.items()}
    return eval(numpy_code(term), {"np": np, "math": math, **meaning.WORDS, **known})


@pytest.mark.parametrize("name", OPS)
def test_each_formula_is_what_the_op_does(name: str) -> None:
    op = REGISTRY[name]
    random = np.random.default_rng(0)
    for call in SAMPLES[name]:
        tensors, attrs = call.made()
        arrays = [getattr(t, "array", t) for t in tensors]
        result = op(*tensors, **attrs)
        outputs = result if isinstance(result, tuple) else (result,)
        ys = [t.array for t in outputs]
        gs = [random.standard_normal(a.shape) if t.node else None for a, t in zip(ys, outputs)]
        several = isinstance(result, tuple)
        y, g = (tuple(ys), tuple(gs)) if several else (ys[0], gs[0])
        names = names_of(op, arrays, attrs, y, g)
        formulas = meaning.of_call(op, names, absent=["h[3]"] if len(ys) < 4 else [])
        compare_outputs(op, formulas, names)
        pairs = [(t, wrap(g)) for t, g in zip(outputs, gs) if g is not None]
        backward([t for t, _ in pairs], [g for _, g in pairs])
        compare_gradients(op, formulas, names, tensors)


def compare_outputs(op: Op, formulas: Any, names: dict[str, Any]) -> None:
    """Runs the definitions of y with nothing known of it, and compares."""
    values = {k: v for k, v in names.items() if k not in ("y", meaning.incoming(op))}
    y = names["y"]
    several = isinstance(y, tuple)
    keys = meaning.outputs(formulas)[: len(y) if several else 1]
    for key in meaning.ordered(formulas, keys):
        values[key] = evaluated(formulas[key], values)
    assert keys == ["y"] or len(keys) == len(y)
    results = values["y"] if several and keys == ["y"] else [values[k] for k in keys]
    for got, wanted in zip(results, y if several else (y,), strict=True):
        got = np.broadcast_to(np.asarray(got, dtype=float), wanted.shape)
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-12)


def compare_gradients(op: Op, formulas: Any, names: dict[str, Any], tensors: list[Any]) -> None:
    """Runs the definition of each input's gradient, and compares with what the walk gave."""
    if op.inputs == ("xs",):
        pairs = [(f"gxs {i}", t) for i, t in enumerate(tensors)]
    else:
        pairs = [(f"g{name}", t) for name, t in zip(op.inputs, tensors)]
    wanted = [(key, t) for key, t in pairs if getattr(t, "grad", None) is not None]
    assert wanted
    values = dict(names)
    needed = {key.split()[0] for key, _ in wanted}
    assert needed <= set(formulas), f"no formula of {needed - set(formulas)}"
    for key in meaning.ordered(formulas, needed):
        if not meaning.is_output(key):
            values[key] = evaluated(formulas[key], values)
    for key, t in wanted:
        value = values["gxs"][int(key[4:])] if key.startswith("gxs ") else values[key]
        got = fitted(value, t.shape)
        np.testing.assert_allclose(got, t.grad.numpy(), rtol=1e-9, atol=1e-12, err_msg=key)


@pytest.mark.parametrize("name", OPS)
def test_each_input_has_a_formula(name: str) -> None:
    op = REGISTRY[name]
    found = meaning.formulas(op)
    assert {f"g{n}" for n in op.inputs} <= set(found)
    for term in found.values():
        assert latex(term)
        assert expression(notation(term)) == term


@pytest.mark.parametrize("name", OPS)
def test_names_of_gradients(name: str) -> None:
    found = meaning.formulas(REGISTRY[name])
    for term in found.values():
        for part in [t.text for t in walk(term) if t.kind == "name" and t.text[0] == "g"]:
            assert is_gradient(part) == (part != "g" and part in found), part


@pytest.mark.parametrize(
    ("text", "tex"),
    [
        ("a b @ c", r"a \, b \mathbin{@} c"),  # number by number is not as matrices
        ("(a / b)²", r"\left(\frac{a}{b}\right)^{2}"),
        ("-a / b", r"-\frac{a}{b}"),
        ("grow gx", r"\mathrm{grow} \, g_{x}"),
    ],
)
def test_latex(text: str, tex: str) -> None:
    assert latex(expression(text)) == tex


def test_a_lie_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    true = meaning.formulas(REGISTRY["tanh"])
    for lie in ("y = sinh x;   gx = g (1 - y²)", "y = tanh x;   gx = g (1 + y²)"):
        monkeypatch.setattr(meaning, "formulas", lambda op, lie=lie: definitions(lie))
        with pytest.raises(AssertionError, match="Not equal"):
            test_each_formula_is_what_the_op_does("tanh")
    assert true == definitions("y = tanh x;   gx = g (1 - y²)")


def test_what_is_no_formula() -> None:
    with pytest.raises(ArgumentError, match="cannot read"):
        definitions("y = x ? 2")
    with pytest.raises(ArgumentError, match="expected"):
        definitions("y = (x + 2")
