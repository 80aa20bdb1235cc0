"""bfloat16 beside PyTorch's, for every row of the table of ops that PyTorch computes in it.

A number may be 2 units in the last place away from PyTorch's, or, where terms cancel, one unit of
the largest number in its array. Where it is farther off, PyTorch rounds on the way and we do not:
then the array must be no farther from the values in float64 than PyTorch's is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tests import test_ops
from tests.optable import Made, Row
from tests.test_ops import ROWS, every_row
from tinygrad_ai.tensor import Tensor

torch = pytest.importorskip("torch", reason="PyTorch is the reference of these tests")
pytest.importorskip("ml_dtypes", reason="bfloat16 is ml_dtypes'")

# Second derivatives made from a result that was rounded, which goes into a power or a quotient: so
# many units, or so many times PyTorch's error.
FEW_DIGITS = {
    "cumprod": (18, 1), "logcumsumexp": (8, 2.1),
    "nn.functional.scaled_dot_product_attention": (12, 1),
}  # fmt: skip
MIXED = "its twin multiplies by a float32 mask"


def ours(m: Made) -> Tensor:
    x = ta.tensor(m.array)
    x = x.to(ta.bfloat16) if m.array.dtype == "f8" else x
    return x.requires_grad_() if m.grad else x


def theirs(m: Made) -> Any:
    x = torch.tensor(np.ascontiguousarray(m.array).reshape(m.array.shape))
    x = x.bfloat16() if m.array.dtype == "f8" else x
    return x.requires_grad_(m.grad)


def in_double(m: Made) -> Any:
    """The numbers that bfloat16 holds, to compute with in float64."""
    x = theirs(m).detach()
    x = x.double() if x.dtype == torch.bfloat16 else x
    return x.requires_grad_(m.grad)


class Run(test_ops.Run):
    """A row run with cotangents that bfloat16 holds."""

    def weight(self, y: Any, rng: np.random.Generator) -> Any:
        array = torch.tensor(rng.uniform(0.5, 1.5, tuple(y.shape))).bfloat16().double().numpy()
        return ta.tensor(array).to(y.dtype) if self.kind is Tensor else torch.tensor(array).to(y)


def refused(row: Row) -> str:
    """Why PyTorch does not compute a row in bfloat16, or nothing."""
    try:
        Run(row, ours=False, make=theirs).gradients(min(row.order, 1))
    except (RuntimeError, NotImplementedError) as error:
        return f"PyTorch: {str(error)[:90]}"
    return MIXED if row.name == "dropout" else ""


def values(x: Any) -> np.ndarray:
    x = x.detach()
    if isinstance(x, Tensor):
        return np.asarray(x.array, "f8") if x.is_floating_point() else x.array
    x = x.double() if x.is_floating_point() else x
    return np.asarray(x.numpy(force=True))


def unit(x: Any) -> Any:
    """The distance of neighbours in bfloat16."""
    return 2.0 ** (np.floor(np.log2(np.maximum(np.abs(x), 2.0**-126))) - 7)


def same(a: Any, b: Any) -> Any:
    return (a == b) | (np.isnan(a) & np.isnan(b))


def largest(x: Any) -> float:
    return float(np.abs(x[np.isfinite(x)]).max(initial=0))


def off(x: Any, real: Any) -> float:
    """The largest error."""
    with np.errstate(invalid="ignore"):
        return float(np.where(same(x, real), 0, np.abs(x - real)).max(initial=0))


def assert_near(mine: Any, twin: Any, exact: Any) -> None:
    a, b = values(mine), values(twin)
    assert a.shape == b.shape
    if a.dtype.kind != "f":
        assert (a == b).all()
        return
    with np.errstate(all="ignore"):
        allowed = np.maximum(2 * unit(b), unit(largest(b)))
        if (same(a, b) | (np.abs(a - b) <= allowed)).all():
            return
        real = values(exact)
        assert off(a, real) <= off(b, real), f"{a}\nand PyTorch's\n{b}\nfor\n{real}"


@every_row
def test_values_and_gradients(row: Row) -> None:
    if why := refused(row):
        pytest.skip(why)
    mine, twin, exact = (
        Run(row, make=ours), Run(row, ours=False, make=theirs),
        Run(row, ours=False, make=in_double),
    )  # fmt: skip
    for a, b, c in zip(mine.outputs, twin.outputs, exact.outputs, strict=True):
        assert str(a.dtype) == str(b.dtype).removeprefix("torch.")
        assert_near(a, b, c)
    order = min(row.order, 1)
    for lists in zip(*[r.gradients(order) for r in (mine, twin, exact)], strict=True):
        for leaf, a, b, c in zip(mine.leaves, *lists, strict=True):
            assert (a is None) == (b is None) or not np.any(values(b if a is None else a))
            if a is not None and b is not None:
                assert a.dtype == leaf.dtype
                assert_near(a, b, c)


@every_row
def test_second_derivatives(row: Row) -> None:
    """Few digits are left in these: they are measured by float64's, within 8 units in the last
    place of the largest number, or no farther off than PyTorch's."""
    if row.order < 2:
        return
    if why := refused(row):
        pytest.skip(why)
    runs = (
        Run(row, make=ours), Run(row, ours=False, make=theirs),
        Run(row, ours=False, make=in_double),
    )  # fmt: skip
    try:
        found = [r.gradients(2)[1:] for r in runs]
    except RuntimeError as error:
        pytest.skip(f"PyTorch: {str(error)[:90]}")
    for lists in zip(*found, strict=False):
        for leaf, *three in zip(runs[0].leaves, *lists, strict=True):
            if not any([g is None for g in three]):
                a, b, real = [values(g) for g in three]
                assert three[0].dtype == leaf.dtype
                error = off(a, real)
                units, share = FEW_DIGITS.get(row.name, (8, 1))
                close = error <= units * unit(largest(real)) or error <= share * off(b, real)
                assert close, (a, b, real)


def test_pytorch_refuses_few_rows() -> None:
    skipped = {p.values[0].name for p in ROWS if refused(p.values[0])}
    assert len(skipped) < 40 and not skipped & {"matmul", "sum", "nn.functional.linear", "sort"}
