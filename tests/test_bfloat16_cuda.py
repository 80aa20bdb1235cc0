"""bfloat16 on the CuPy backend: what CuPy has not goes through float32. On the stand-in, or with
TINYGRAD_AI_REQUIRE=gpu on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tests import fakecupy
from tests.optable import Made, Row
from tests.test_bfloat16 import Run, largest, refused, unit, values
from tests.test_cuda_ops import every_row
from tinygrad_ai import nn
from tinygrad_ai.errors import DTypeError
from tinygrad_ai.tensor import Tensor


def on(device: str) -> Any:
    def make(m: Made) -> Tensor:
        x = ta.tensor(m.array).to(device)
        x = x.to(ta.bfloat16) if m.array.dtype == "f8" else x
        return x.requires_grad_() if m.grad else x

    return make


class FarRun(Run):
    def weight(self, y: Any, rng: np.random.Generator) -> Any:
        return super().weight(y, rng).to(y.device)


def assert_beside(far: Any, near: Any, units: float = 2) -> None:
    """Two units in the last place of the number, or of the largest: a linear layer rounds its
    product before the bias and the slope, and sums are in another order."""
    assert far.dtype == near.dtype and far.device == "cuda:0"
    a, b = values(far.cpu()), values(near)
    assert a.shape == b.shape
    if a.dtype.kind != "f":
        assert (a == b).all()
        return
    with np.errstate(all="ignore"):
        close = np.abs(a - b) <= units * np.maximum(unit(b), unit(largest(b)))
    assert (close | (a == b) | (np.isnan(a) & np.isnan(b))).all(), (a, b)


@every_row
def test_values_and_gradients(row: Row, gpu: Any) -> None:
    if why := refused(row):
        pytest.skip(why)
    # 1 - y of a sigmoid near 1, which has a few bits left, where y may be one unit off.
    units = 4 if row.name == "linear_sigmoid" else 2
    far, near = FarRun(row, make=on("cuda")), Run(row, make=on("cpu"))
    for a, b in zip(far.outputs, near.outputs, strict=True):
        assert_beside(a, b)
    order = min(row.order, 1)
    for first, second in zip(far.gradients(order), near.gradients(order), strict=True):
        for a, b in zip(first, second, strict=True):
            if a is None or b is None:
                assert a is b
            else:
                assert_beside(a, b, units)


def test_a_network_learns_in_bfloat16(gpu: Any) -> None:
    """Parameters, gradients and the optimizer's states are bfloat16, and as the CPU's."""
    ends = []
    for device in ("cuda", "cpu"):
        ta.manual_seed(0)
        model = nn.Sequential(
            nn.Linear(8, 16, activation="gelu"), nn.LayerNorm(16), nn.Linear(16, 3)
        )
        x, labels = ta.randn(64, 8), ta.arange(64) % 3
        model, x, labels = model.bfloat16().to(device), x.to(device, ta.bfloat16), labels.to(device)
        steps, losses = ta.optim.AdamW(model.parameters(), lr=0.02), []
        for _ in range(20):
            steps.zero_grad()
            loss = nn.functional.cross_entropy(model(x), labels)
            loss.backward()
            steps.step()
            losses.append(loss.item())
        for p in model.parameters():
            assert p.dtype == p.grad.dtype == steps.state[p]["exp_avg"].dtype == ta.bfloat16
            assert p.device.type == device
        assert losses[-1] < losses[0] * 0.9
        ends.append(losses[-1])
    assert ends[0] == pytest.approx(ends[1], abs=0.05)


def test_to_the_gpu_and_back(gpu: Any) -> None:
    x = ta.tensor([1.5, float("inf"), -3.0], dtype=ta.bfloat16)
    y = x.cuda()
    assert y.dtype == ta.bfloat16 and y.cpu().equal(x) and y.tolist() == x.tolist()
    assert repr(y) == "tensor([ 1.5000,     inf, -3.0000], device='cuda:0', dtype=bfloat16)"
    assert (y + y[0]).dtype == (y > 1).float().bfloat16().dtype == ta.bfloat16
    made = [f(2, dtype="bfloat16", device="cuda") for f in (ta.zeros, ta.ones, ta.randn, ta.empty)]
    made += [ta.full((2,), 3.0, dtype=ta.bfloat16, device="cuda"), ta.zeros_like(y)]
    made += [ta.arange(3, dtype=ta.bfloat16, device="cuda"), y.clone(), y[ta.tensor([0, 2]).cuda()]]
    assert {(v.dtype, str(v.device)) for v in made} == {(ta.bfloat16, "cuda:0")}
    y[1] = 2.0
    y += 1
    assert y.tolist() == [2.5, 3, -2]


def test_autocast_multiplies_in_bfloat16(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The product is CuPy's own, on bfloat16 matrices; of stacks of matrices it has none."""
    seen, be = [], ta.backend.on("cuda")
    product = be.xp.matmul
    monkeypatch.setattr(be.xp, "matmul", lambda a, b: seen.append(a.dtype) or product(a, b))
    w = ta.ones(3, 5, device="cuda", requires_grad=True)
    with ta.autocast("cuda", ta.bfloat16):
        y = nn.functional.linear(ta.ones(2, 4, 5, device="cuda"), w, ta.ones(3, device="cuda"))
        assert y.dtype == ta.bfloat16 and seen == [ta.bfloat16]
        assert (y @ y.mT).dtype == ta.bfloat16 and seen[1:] == [ta.float32]
    y.sum().backward()
    assert w.grad is not None and w.grad.dtype == ta.float32 and w.grad.tolist() == [[8.0] * 5] * 3


def test_on_a_gpu_that_is_not_the_current_one(gpu: Any) -> None:
    if ta.cuda.device_count() < 2:
        pytest.skip("this machine has one GPU")
    model = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True).bfloat16().to("cuda:1")
    x = ta.randn(2, 3, 8, dtype=ta.bfloat16, device="cuda:1", requires_grad=True)
    y = model(x)
    (y * y).sum().backward()
    for t in (y, x.grad, *[p.grad for p in model.parameters()]):
        assert t.dtype == ta.bfloat16 and t.device == "cuda:1"


def test_older_versions_say_what_they_lack() -> None:
    with fakecupy.installed(version=13):
        x = ta.ones(2, device="cuda")
        for work in (
            lambda: x.bfloat16(), lambda: ta.zeros(2, dtype=ta.bfloat16, device="cuda"),
            lambda: ta.tensor([1.0], dtype=ta.bfloat16, device="cuda"),
            lambda: ta.randn(2, dtype=ta.bfloat16, device="cuda"),
            lambda: ta.zeros(2, dtype=ta.bfloat16).cuda(),
            lambda: ta.full((2,), 1.0, dtype=ta.bfloat16, device="cuda"),
            lambda: ta.eye(2, dtype=ta.bfloat16, device="cuda"),
        ):  # fmt: skip
            with pytest.raises(DTypeError, match="bfloat16 on a GPU needs CuPy 14, this one is 13"):
                work()
        with ta.autocast("cuda", ta.bfloat16), pytest.raises(DTypeError, match="CuPy 14"):
            x[None] @ x[:, None]


def test_the_stand_in_has_little_bfloat16(cupy: Any) -> None:
    x = ta.ones(2, 2, 2, dtype=ta.bfloat16, device="cuda").array
    for work in (
        lambda: cupy.where(x > 0, x, x), lambda: cupy.sort(x), lambda: x.argmax(),
        lambda: cupy.matmul(x, x), lambda: x @ x, lambda: x // 2, lambda: cupy.concatenate([x, x]),
    ):  # fmt: skip
        with pytest.raises(TypeError, match="bfloat16"):
            work()
    assert (x + 0.1).dtype == cupy.add(x, 1).dtype == cupy.sum(x).dtype == x.dtype


def test_a_real_cupy_has_this_much_bfloat16() -> None:
    """The stand-in's list of what CuPy 14 has; its functions can be asked without a GPU."""
    real = pytest.importorskip("cupy", reason="CuPy is not installed", exc_type=ImportError)
    if int(real.__version__.split(".")[0]) < 14:
        pytest.skip("CuPy has no bfloat16 before 14")
    letter = ta.bfloat16.char
    for name in fakecupy.array.BFLOAT16:
        if isinstance(function := getattr(real, name, None), real.ufunc) and name != "matmul":
            assert any([loop.startswith(letter) for loop in function.types]), name
