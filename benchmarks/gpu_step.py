"""A training step of 784-1024-10 on a GPU: ours as one graph, PyTorch's eager, and as one graph.

Everyone starts from the same weights, and its first steps are compared with a float64 computation;
the graphs are captured before the last of these, so what they replay is compared too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from . import step
from .contenders import tutorial
from .gpu_clock import Clock, Contender, agree, contest, ratio
from .gpu_place import Place
from .targets import Target

BATCH, PROOFS, WARMUP, TOLERANCE = 128, 6, 3, 5e-3
EAGER, GRAPHED = 0.25, 0.90


def reference(data: step.StepData) -> dict[str, np.ndarray]:
    """The losses of the first steps, and how far the weights have come."""
    losses, weights = [], data.weights
    for loss, moved in step.training(data, PROOFS):
        losses.append(loss)
        weights = moved
    return data.result(np.asarray(losses), weights)  # type: ignore[arg-type]


def contender(
    name: str, lib: Any, nn: Any, optim: Any, data: step.StepData, device: str,
    graphed: Callable[[Any, tuple[Any, Any]], Any] | None = None,
    build: Callable[..., Any] = tutorial.network, **options: Any,
) -> Contender:  # fmt: skip
    """The tutorial's lines. `graphed` makes one call of the step from the function and a batch."""
    model = build(nn, data.sizes)
    model.load_state_dict({name: lib.tensor(w) for name, w in data.weights.items()})
    model.to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=step.LEARNING_RATE, **options)
    batches = [(lib.tensor(x).to(device), lib.tensor(t).to(device)) for x, t in data.batches]

    def plain(inputs: Any, labels: Any) -> Any:
        optimizer.zero_grad()
        loss = criterion(model(inputs), labels)
        loss.backward()
        optimizer.step()
        return loss

    work = graphed(plain, batches[0]) if graphed else plain

    def run(i: int) -> Any:
        return work(*batches[i % len(batches)])

    def proof() -> Mapping[str, np.ndarray]:
        losses = [run(i).item() for i in range(PROOFS)]
        weights = {n: p.detach().cpu().numpy() for n, p in model.named_parameters()}
        return data.result(np.asarray(losses), weights)  # type: ignore[arg-type]

    return Contender(name, run, proof)


class PytorchGraph:
    """Plain steps first, as ours; then one capture of the whole step, replayed ever after."""

    def __init__(self, plain: Callable[..., Any], sample: tuple[Any, Any]) -> None:
        import torch

        self.torch, self.plain, self.left = torch, plain, WARMUP
        self.inputs = [t.clone() for t in sample]
        self.graph: Any = None
        self.stream = torch.cuda.Stream()

    def __call__(self, *inputs: Any) -> Any:
        for own, given in zip(self.inputs, inputs, strict=True):
            own.copy_(given)
        if self.left:
            self.left -= 1
            return self.warm()
        if self.graph is None:
            self.graph = self.torch.cuda.CUDAGraph()
            with self.torch.cuda.graph(self.graph):
                self.loss = self.plain(*self.inputs)
        self.graph.replay()
        return self.loss

    def warm(self) -> Any:
        """On a stream of its own, as PyTorch's documentation asks."""
        current = self.torch.cuda.current_stream()
        self.stream.wait_stream(current)
        with self.torch.cuda.stream(self.stream):
            loss = self.plain(*self.inputs)
        current.wait_stream(self.stream)
        return loss


def against_pytorch(
    data: step.StepData, place: Place, clock: Clock, with_graph: bool
) -> Iterator[Any]:
    """Ours as a graph, with the activation in the layer, beside PyTorch: eager, or as a graph with
    what its optimizer has for that."""
    import torch

    import tinygrad_ai as ta

    from .contenders.ours import fused

    assert place.be  # with compiled kernels
    ours = contender(
        "ours, graphed", ta, ta.nn, ta.optim, data, place.ours, ta.cuda.make_graphed_step, fused
    )
    lib = (torch, torch.nn, torch.optim, data, place.pytorch)
    if with_graph:
        theirs = contender("PyTorch, graphed", *lib, PytorchGraph, fused=True, capturable=True)
    else:
        theirs = contender("PyTorch, eager", *lib)
    agree([ours, theirs], reference(data), TOLERANCE)
    times = contest([ours, theirs], clock)
    text = f"step {step.label((*data.sizes, data.batch))}: {ours.name} / {theirs.name}"
    limit = GRAPHED if with_graph else EAGER
    yield Target(text, ratio(times, ours.name, theirs.name), limit), times


def figures(place: Place) -> dict[str, Any]:
    data = step.data((*step.MAIN, BATCH))
    clock = place.wall_clock
    return {
        "step, PyTorch eager": lambda: against_pytorch(data, place, clock(), False),
        "step, PyTorch graphed": lambda: against_pytorch(data, place, clock(), True),
    }
