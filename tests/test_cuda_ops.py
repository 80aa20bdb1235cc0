"""Every op of the table on CuPy arrays: the values and gradients are the CPU's.

On the stand-in, or with TINYGRAD_AI_REQUIRE=gpu on a GPU.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tests.optable import Row
from tests.test_ops import ROWS, Run, assert_close, in_float32
from tinygrad_ai import backend
from tinygrad_ai.autograd.op import REGISTRY
from tinygrad_ai.ops.samples import SAMPLES
from tinygrad_ai.tensor import Tensor

# Rows that make raw arrays of their own, on the CPU; dropout is tested below by its samples.
SPARED = ("transfer", "tril_indices", "triu_indices", "dropout", "dropped attention")
every_row = pytest.mark.parametrize("row", [p for p in ROWS if p.values[0].name not in SPARED])


def on(device: str) -> Any:
    return lambda m: ta.tensor(m.array, device=device, requires_grad=m.grad)


class CudaRun(Run):
    """A row run on the GPU."""

    def weight(self, y: Any, rng: np.random.Generator) -> Any:
        return super().weight(y, rng).to(y.device)


def check(row: Row, make: Any, rtol: float, device: str = "cuda:0", order: int = 2) -> None:
    far, near = CudaRun(row, make=make(on(device))), Run(row, make=make(on("cpu")))
    assert len(far.outputs) == len(near.outputs)
    if not near.outputs:
        assert far.raw == near.raw
    for a, b in zip(far.outputs, near.outputs, strict=True):
        assert a.device == device and a.dtype == b.dtype
        assert_close(a, b, rtol)
    order = min(row.order, order)
    for first, second in zip(far.gradients(order), near.gradients(order), strict=True):
        for a, b in zip(first, second, strict=True):
            assert a is None or a.device == device
            assert_close(a, b, rtol)


@every_row
def test_values_and_gradients(row: Row, gpu: Any) -> None:
    check(row, lambda make: make, 1e-9)


@every_row
def test_on_a_gpu_that_is_not_the_current_one(row: Row, gpu: Any) -> None:
    if ta.cuda.device_count() < 2:
        pytest.skip("this machine has one GPU")
    check(row, lambda make: make, 1e-9, "cuda:1", 1)


@every_row
def test_in_float32(row: Row, gpu: Any) -> None:
    check(row, in_float32, 2e-4)


def far_away(value: Any) -> Any:
    """Inputs and configuration of an op on the GPU, arrays in tuples too."""
    if isinstance(value, Tensor):
        return value.detach().cuda().requires_grad_(value.requires_grad)
    if type(value) is tuple:
        return tuple([far_away(v) for v in value])
    return backend.moved(value, "cuda") if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_ops_themselves(name: str, gpu: Any) -> None:
    """The table of the derivative checks: op by op, arrays in the configuration too."""
    op = REGISTRY[name]
    for call in SAMPLES[name]:
        inputs, attrs = call.made()
        far = [far_away(x) for x in inputs]
        y, z = op(*inputs, **attrs), op(*far, **{k: far_away(v) for k, v in attrs.items()})
        ys, zs = [v if isinstance(v, tuple) else (v,) for v in (y, z)]
        for a, b in zip(zs, ys, strict=True):
            assert_close(a.cpu() if name != "transfer" else a, b, 1e-10)
        tracked = [i for i, v in enumerate(ys) if v.requires_grad]
        leaves = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
        if not tracked or not leaves:
            continue
        found = []
        for outputs, given in ((zs, far), (ys, inputs)):
            total = sum((outputs[i] * outputs[i]).sum() for i in tracked)
            found.append(ta.grad(total, [given[i] for i in leaves], allow_unused=True))
        for a, b in zip(*found, strict=True):
            assert_close(a if a is None else a.cpu(), b, 1e-9)


def test_no_op_refuses_a_gpu(gpu: Any) -> None:
    """If CuPy lacks something that an op needs, the op belongs into this list, and raises a
    DeviceError that says .cpu()."""
    refused: list[str] = []
    assert refused == []
    with pytest.raises(ta.errors.DeviceError, match=r"CuPy has no interpolated\n  fix: .*x.cpu"):
        backend.on("cuda").interpolated  # noqa: B018
