"""The same lines for tinygrad_ai and for PyTorch: a tutorial with only its imports changed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

from ..linear import LinearData
from ..overhead import OverheadData
from ..step import LEARNING_RATE, StepData
from ..worker import Task


def network(nn: Any, sizes: tuple[int, int, int]) -> Any:
    """The network of the README."""

    class AILargeModel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1 = nn.Linear(sizes[0], sizes[1])
            self.relu = nn.ReLU()
            self.fc2 = nn.Linear(sizes[1], sizes[2])

        def forward(self, x: Any) -> Any:
            return self.fc2(self.relu(self.fc1(x)))

    return AILargeModel()


def step(
    lib: Any, nn: Any, optim: Any, data: StepData, build: Callable[..., Any] = network,
    compiled: Callable[[Any], Any] | None = None, **options: Any,
) -> Task:  # fmt: skip
    """One training step; with `compiled`, model and loss go through it as one function."""
    model = build(nn, data.sizes)
    model.load_state_dict({name: lib.tensor(w) for name, w in data.weights.items()})
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=LEARNING_RATE, **options)
    batches = cycle([(lib.from_numpy(x), lib.from_numpy(t)) for x, t in data.batches])

    def loss_of(inputs: Any, labels: Any) -> Any:
        outputs = model(inputs)
        return criterion(outputs, labels)

    forward = compiled(loss_of) if compiled else loss_of

    def run() -> Any:
        inputs, labels = next(batches)
        optimizer.zero_grad()
        loss = forward(inputs, labels)
        loss.backward()
        optimizer.step()
        return loss

    def result(loss: Any) -> dict[str, Any]:
        weights = {name: p.detach().numpy() for name, p in model.named_parameters()}
        return data.result(loss.item(), weights)

    return Task(run, result)


def linear(
    lib: Any, layer: Callable[[Any, Any, Any], Any], grad: Callable[..., Any], data: LinearData
) -> Task:
    """linear+ReLU recorded for a gradient, or its three gradients from a given one."""
    x, w, b = [lib.tensor(a, requires_grad=True) for a in (data.x, data.w, data.b)]
    if data.way == "forward":
        return Task(lambda: layer(x, w, b), lambda y: {"y": y.detach().numpy()})
    y, g = layer(x, w, b), lib.tensor(data.g)

    def backward() -> Any:
        return grad(y, (x, w, b), g, retain_graph=True)

    names = ("gx", "gw", "gb")
    return Task(backward, lambda grads: {n: v.numpy() for n, v in zip(names, grads)})


def overhead(lib: Any, data: OverheadData) -> Task:
    """Small tensors, where arithmetic takes no time."""
    a, b = lib.tensor(data.a), lib.tensor(data.b)
    w = lib.tensor(data.a, requires_grad=True)

    def chain() -> Any:
        x = w
        for _ in range(data.links):
            x = x * b
            x = x + a
        w.grad = None
        x.sum().backward()
        return w.grad

    runs: dict[str, Callable[[], Any]] = {
        "a + b": lambda: a + b,
        "a + b, recorded": lambda: a + w,
        "chain of 100, both ways": chain,
    }
    return Task(runs[data.name], lambda y: {"result": y.detach().numpy()})
