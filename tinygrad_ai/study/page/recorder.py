"""Steps of a training loop, written down to be looked at one after the other."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

from ...autograd.mode import state
from ...errors import ArgumentError, GradError
from ...tensor import Tensor
from ..watched import Recording, names
from .graph import Frame, Graph, Structure, check, looked_at, title_of


class graph_recorder:
    """Records every n-th step of a loop for one page with a slider.

        with graph_recorder(model, every=10) as rec:
            for x, y in loader:
                loss = criterion(model(x), y)
                rec.step(loss)  # between the forward and the backward pass
                loss.backward()
                ...
        rec.graph().save("graph.html")

    A recorded step costs a second backward pass and the statistics; only these are kept, no array.
    The other steps cost one comparison for each op. ArgumentError for `every` below 1.
    """

    def __init__(self, model: Any = None, every: int = 1) -> None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ArgumentError(f"expected every >= 1, a number of steps, got {every!r}")
        self.model, self.every = model, every
        self.steps, self.inside = 0, False
        self.calls: Recording | None = None
        self.structures: list[Structure] = []
        self.frames: list[Frame] = []

    def __enter__(self) -> graph_recorder:
        self.before = state.observers
        state.observers = (*self.before, self)
        self.calls, self.inside = Recording(), True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        state.observers = self.before
        self.calls, self.inside = None, False

    def forward(self, op: Any, run: Callable[..., Any], args: Any, attrs: Any) -> Any:
        """At the door of every op. What runs without gradients is no part of a step."""
        if self.calls is None or not state.grad:
            return run(args, attrs)
        return self.calls.forward(op, run, args, attrs)

    def backward(self, pull: Callable[..., Any], *args: Any) -> Any:
        return pull(*args) if self.calls is None else self.calls.backward(pull, *args)

    def step(self, loss: Tensor) -> None:
        """A step of the loop has its loss; records it if it is one of those asked for."""
        check(loss, self.model)
        if not self.inside:
            raise GradError("step() outside of the recorder's with block", "put it inside")
        if self.steps % self.every == 0:
            calls, self.calls = self.calls, None
            known = names(loss, self.model, depth=2)
            self.add(*looked_at(loss, self.model, known, calls, step=self.steps))
        self.steps += 1
        self.calls = Recording() if self.steps % self.every == 0 else None

    def add(self, structure: Structure, frame: Frame) -> None:
        """Keeps a step; steps of the same structure share it."""
        same = [k for k, s in enumerate(self.structures) if s.signature() == structure.signature()]
        if not same:
            same = [len(self.structures)]
            self.structures.append(structure)
        frame.structure = same[0]
        self.frames.append(frame)

    def graph(self) -> Graph:
        """What was recorded; ArgumentError if that is nothing."""
        if not self.frames:
            raise ArgumentError("no step was recorded", "call rec.step(loss) in the loop")
        return Graph(title_of(self.model), self.structures, self.frames)
