"""The multilayer perceptron of the main job: 784-1024-10."""

from __future__ import annotations

from .. import nn
from ..tensor import Tensor


class MLP(nn.Module):
    """y = W₂ relu(W₁ x + b₁) + b₂: images (N, ...) to scores (N, classes)."""

    def __init__(self, inputs: int = 784, hidden: int = 1024, classes: int = 10) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(inputs, hidden, activation="relu")
        self.fc2 = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.fc1(self.flatten(x)))
