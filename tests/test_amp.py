"""Mixed precision: what autocast converts, and GradScaler beside PyTorch's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tests import fakecupy
from tests.required import required
from tinygrad_ai import nn
from tinygrad_ai.errors import CheckpointError, DTypeError, GradError
from tinygrad_ai.nn import functional as F

torch = pytest.importorskip("torch", reason="PyTorch is the reference of these tests")


ON_A_GPU = required("gpu")


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    with nullcontext() if ON_A_GPU else fakecupy.installed():
        yield request.param


@pytest.mark.parametrize("small", [ta.float16, ta.bfloat16])
def test_what_is_converted(device: str, small: Any) -> None:
    ta.manual_seed(0)
    x, w = ta.randn(4, 3, device=device), ta.randn(3, 5, device=device, requires_grad=True)
    with ta.autocast(device, dtype=small):
        assert ta.is_autocast_enabled(device) and not ta.is_autocast_enabled("other")
        y = x @ w
        z = y.relu() + 1
        s = F.softmax(z, -1)
        both = z + x[:, :1]
        with ta.autocast(device, enabled=False):
            assert (x @ w).dtype == ta.float32 and not ta.is_autocast_enabled(device)
        assert (x.double() @ w.double()).dtype == ta.float64
        assert F.layer_norm(y, (5,), ta.ones(5, device=device)).dtype == ta.float32
        assert F.conv1d(ta.ones(1, 2, 4, device=device), ta.ones(3, 2, 2, device=device)).dtype == (
            small
        )
        assert F.cross_entropy(y, ta.zeros(4, device=device).long()).dtype == ta.float32
    assert [t.dtype for t in (y, z, s, both)] == [small, small, ta.float32, ta.float32]
    assert (x @ w).dtype == ta.float32 and not ta.is_autocast_enabled(device)
    s[:, 0].sum().backward()
    assert w.grad is not None and w.grad.dtype == ta.float32
    (g,) = ta.grad(F.softmax((x @ w).relu() + 1, -1)[:, 0].sum(), w)
    atol = 5e-3 if small == ta.float16 else 4e-2  # three binary digits fewer
    np.testing.assert_allclose(w.grad.cpu().numpy(), g.cpu().numpy(), atol=atol)


def test_the_default_is_pytorchs() -> None:
    for kind in ("cpu", "cuda"):
        theirs = torch.get_autocast_dtype(kind)
        assert str(theirs) == f"torch.{ta.autocast(kind).dtype}"


def test_other_devices_are_left_alone() -> None:
    with ta.autocast("cuda"):
        assert (ta.ones(2, 2) @ ta.ones(2, 2)).dtype == ta.float32


def test_as_a_decorator_and_again() -> None:
    @ta.autocast("cpu")
    def product(x: Any) -> Any:
        return x @ x

    assert product(ta.ones(2, 2)).dtype == product(ta.ones(2, 2)).dtype == ta.bfloat16
    with pytest.raises(ValueError, match="device_type"):
        ta.autocast("tpu")
    with pytest.raises(ValueError, match="ta.float16 or ta.bfloat16"):
        ta.autocast("cpu", dtype=ta.float32)


def test_training_in_mixed_precision(device: str) -> None:
    ta.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.LayerNorm(16), nn.Linear(16, 3)).to(
        device
    )
    x = ta.randn(64, 8).to(device)
    labels = x[:, :3].argmax(1)
    steps, scaler = ta.optim.Adam(model.parameters(), lr=0.01), ta.amp.GradScaler(device)
    losses = []
    for _ in range(30):
        steps.zero_grad()
        with ta.autocast(device):
            loss = F.cross_entropy(model(x), labels)
        scaler.scale(loss).backward()
        scaler.step(steps)
        scaler.update()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2 and {p.dtype for p in model.parameters()} == {ta.float32}


def test_grad_scaler_beside_pytorch() -> None:
    """The scale and the weight through growth, an overflow and unscaling by hand."""
    options = {"init_scale": 8.0, "growth_interval": 2, "growth_factor": 3.0}
    found = []
    for library in (ta, torch):
        p, scaler = library.ones(2, requires_grad=True), library.amp.GradScaler("cpu", **options)
        optimizer, seen = library.optim.SGD([p], lr=0.1), []
        for i in range(8):
            optimizer.zero_grad()
            loss = (p * p).sum() * (float("inf") if i in (3, 6) else 1.0)
            scaler.scale(loss).backward()
            if i % 2:
                scaler.unscale_(optimizer)
                seen.append(p.grad.tolist())
            scaler.step(optimizer)
            scaler.update()
            seen.append([scaler.get_scale(), *p.tolist()])
        found.append((seen, scaler.state_dict()))
    assert found[0][1] == found[1][1]
    for mine, twin in zip(found[0][0], found[1][0], strict=True):
        np.testing.assert_allclose(mine, twin, rtol=1e-6)


def test_grad_scaler_errors_and_states() -> None:
    p = ta.ones(2, requires_grad=True)
    optim, scaler = ta.optim.SGD([p], lr=0.1), ta.amp.GradScaler("cpu")
    with pytest.raises(GradError, match="no step"):
        scaler.update()
    scaler.scale([p.sum()])[0].backward()
    scaler.unscale_(optim)
    assert p.grad is not None and p.grad.tolist() == [1, 1]
    with pytest.raises(GradError, match="already been called"):
        scaler.unscale_(optim)
    scaler.update(4.0)
    other = ta.amp.GradScaler("cpu")
    other.load_state_dict(scaler.state_dict())
    assert other.get_scale() == 4.0
    with pytest.raises(CheckpointError, match="empty"):
        other.load_state_dict({})
    off = ta.amp.GradScaler(enabled=False)
    assert off.scale(p) is p and off.get_scale() == 1.0 and off.state_dict() == {}
    off.unscale_(optim)
    off.step(optim)
    off.update()
    assert p.tolist() == [ta.tensor(0.9).item()] * 2 and not off.is_enabled()
    half = ta.ones(1, dtype=ta.float16, requires_grad=True)
    half.sum().backward()
    with pytest.raises(DTypeError, match="float16 gradients"):
        scaler.step(ta.optim.SGD([half], lr=1.0))
    with pytest.raises(ValueError, match="growth_factor"):
        ta.amp.GradScaler(growth_factor=1.0)
