"""PyTorch's tutorial with only its imports changed, and 100 of its steps beside PyTorch's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
import tinygrad_ai.nn as nn
import tinygrad_ai.optim as optim
from tinygrad_ai.data.digits import load_digits
from tinygrad_ai.utils.data import DataLoader, TensorDataset

torch = pytest.importorskip("torch", reason="PyTorch is the reference of these tests")

HIDDEN, BATCH, STEPS = 64, 16, 100


class AILargeModel(nn.Module):
    def __init__(self, hidden: int = 1024) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, hidden)
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(hidden, 10)

    def forward(self, x: ta.Tensor) -> ta.Tensor:
        return self.fc2(self.relu(self.fc1(x)))


class Twin(torch.nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.fc1 = torch.nn.Linear(784, hidden)
        self.relu = torch.nn.ReLU()
        self.fc2 = torch.nn.Linear(hidden, 10)

    def forward(self, x: Any) -> Any:
        return self.fc2(self.relu(self.fc1(x)))


def digits(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.train_images))[: BATCH * STEPS]
    images = found.train_images[order].reshape(-1, 784).astype(dtype) / np.dtype(dtype).type(255)
    return images, found.train_labels[order]


def test_the_tutorial_runs() -> None:
    ta.manual_seed(0)
    images, labels = digits("float32")
    loader = DataLoader(
        TensorDataset(ta.tensor(images), ta.tensor(labels)), batch_size=BATCH, shuffle=True
    )
    model = AILargeModel()
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=0.001)
    losses = []
    for inputs, targets in loader:
        optimizer.zero_grad()
        outputs = model(inputs)
        loss = criterion(outputs, targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


OPTIMIZERS = [
    ("SGD", {"lr": 0.05}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3}),
    ("Adam", {"lr": 1e-3}),
    ("Adam", {"lr": 1e-3, "amsgrad": True}),
    ("AdamW", {"lr": 1e-3}),
    ("RMSprop", {"lr": 1e-3}),
    ("RMSprop", {"lr": 1e-3, "centered": True, "momentum": 0.5}),
]
IDS = [f"{n}-{i}" for i, (n, _) in enumerate(OPTIMIZERS)]


def train(ours: bool, model: Any, name: str, kwargs: dict[str, Any], dtype: str) -> list[float]:
    lib = ta if ours else torch
    images, labels = digits(dtype)
    criterion = lib.nn.CrossEntropyLoss()
    optimizer = getattr(lib.optim, name)(model.parameters(), **kwargs)
    losses = []
    for i in range(0, len(images), BATCH):
        inputs, targets = lib.tensor(images[i : i + BATCH]), lib.tensor(labels[i : i + BATCH])
        optimizer.zero_grad()
        loss = criterion(model(inputs), targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def pair(dtype: str) -> tuple[AILargeModel, Twin]:
    torch.manual_seed(0)
    twin = Twin(HIDDEN)
    twin = twin.double() if dtype == "float64" else twin
    ours = AILargeModel(HIDDEN).to(getattr(ta, dtype))
    ours.load_state_dict({k: ta.tensor(v.numpy()) for k, v in twin.state_dict().items()})
    return ours, twin


@pytest.mark.parametrize(("name", "kwargs"), OPTIMIZERS, ids=IDS)
def test_hundred_steps_in_float64(name: str, kwargs: dict[str, Any]) -> None:
    ours, twin = pair("float64")
    mine, theirs = (train(o, m, name, kwargs, "float64") for o, m in ((True, ours), (False, twin)))
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-9)
    for a, b in zip(ours.parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("name", "kwargs"), OPTIMIZERS, ids=IDS)
def test_hundred_steps_in_float32(name: str, kwargs: dict[str, Any]) -> None:
    """Losses only: where a gradient is nearly 0, Adam and RMSprop divide it by its own size, so
    that its rounding decides the sign of a whole step, and single weights part visibly."""
    ours, twin = pair("float32")
    mine, theirs = (train(o, m, name, kwargs, "float32") for o, m in ((True, ours), (False, twin)))
    np.testing.assert_allclose(mine, theirs, rtol=1e-4)
