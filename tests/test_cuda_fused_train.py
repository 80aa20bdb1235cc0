"""Small trainings with all kernels of the simulator: the CPU's losses, and the plain ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
import tinygrad_ai.nn.functional as F
from tests import fakecupy
from tests.cuda_entries import Entries, compiled_entries
from tinygrad_ai import nn


class Model(nn.Module):
    """A word's neighbour from the word: everything that has a kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.norm = nn.Embedding(11, 8), nn.LayerNorm(8)
        self.wide, self.out = nn.Linear(8, 12), nn.Linear(12, 11)

    def forward(self, x: Any, rate: float) -> Any:
        y = F.gelu(self.wide(self.norm(self.table(x))))
        return self.out(F.dropout(y, rate) * F.softmax(y, -1))


def losses(device: str, optimizer: Any, rate: float, dtype: Any = ta.float32) -> list[float]:
    ta.manual_seed(0)
    model = Model().to(dtype).to(device)
    r = np.random.default_rng(1)
    words = ta.tensor(r.integers(0, 11, (7, 5)), device=device)
    steps = optimizer(model.parameters(), lr=0.02)
    found = []
    for _ in range(6):
        steps.zero_grad()
        y = model(words, rate).reshape(35, 11)
        loss = F.cross_entropy(y, ((words + 1) % 11).reshape(35))
        loss = loss - 0.01 * F.log_softmax(y, -1).mean()
        loss.backward()
        steps.step()
        found.append(loss.item())
    assert found[-1] < found[0]
    return found


USED = {
    "embedding", "embedding_order", "embedding_grad", "layer_norm", "layer_norm_grad", "activate",
    "activate_grad", "act_grad", "dropout", "below", "softmax", "softmax_grad", "cross_entropy",
    "cross_entropy_grad",
}  # fmt: skip
OPTIMIZERS = {"adam": ta.optim.AdamW, "sgd": ta.optim.SGD, "rmsprop": ta.optim.RMSprop}


@pytest.fixture
def cuda() -> Any:
    with compiled_entries() as entries:
        yield entries


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_losses_are_the_cpus(cuda: Entries, name: str) -> None:
    for dtype, tol in ((ta.float32, 1e-4), (ta.float64, 1e-9)):
        near, far = [losses(d, OPTIMIZERS[name], 0.0, dtype) for d in ("cpu", "cuda")]
        np.testing.assert_allclose(far, near, rtol=tol)
    assert USED - {"dropout", "below"} | {name} <= set(cuda.called)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_with_and_without_the_kernels_the_same_is_dropped(cuda: Entries, name: str) -> None:
    mine = losses("cuda", OPTIMIZERS[name], 0.3)
    assert USED | {name} <= set(cuda.called)
    with fakecupy.installed():
        plain = losses("cuda", OPTIMIZERS[name], 0.3)
    np.testing.assert_allclose(mine, plain, rtol=1e-4)


def test_halves(cuda: Entries) -> None:
    """Rounded to 16 bits at every store, and no more than that."""
    near, far = losses("cpu", ta.optim.SGD, 0.0), losses("cuda", ta.optim.SGD, 0.0, ta.float16)
    np.testing.assert_allclose(far, near, rtol=5e-3)
    assert USED - {"dropout", "below"} <= set(cuda.called) and "sgd" not in cuda.called
