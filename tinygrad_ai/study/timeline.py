"""Memory by category over time: an observer at the door that sees every array, and keeps none.

What it sees: parameters, buffers, `.grad` and the optimizers' state; what ops are given and make;
what nodes save; gradients in flight. Not seen is what lives and dies inside one kernel, one rule or
one step of an optimizer without passing the door, and the kernels' own workspace.
"""

from __future__ import annotations

import sys
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Group
from rich.jupyter import JupyterMixin

from .. import backend
from ..autograd.graph import tensors
from ..autograd.mode import state
from ..autograd.outputs import PICK, Part
from ..backend import storage
from ..errors import ArgumentError
from ..nn.module import Module
from ..tensor import Node, Tensor
from . import profile_text, timeline_text
from .ledger import Block, Holder, Ledger, Origin, Sample
from .lint_state import Subject
from .watched import leave

DRAWN = {"keep"}  # attributes that ops' callers draw for them: dropout's mask is no data


@dataclass(eq=False)
class Hold:
    """What a node of the tape keeps alive. Its attributes stay when a backward pass frees it."""

    key: int
    origin: Origin
    saved: list[Block]
    attrs: list[Block]
    ref: Callable[[], Node | None] = lambda: None


class Timeline(JupyterMixin):
    """`with Timeline(model, optimizer) as memory:` around training steps, or inference.

    Both may be None, `optimizer` may be a list. Someone else may put it at the door: then `begin`
    and `end` stand around, and whoever sees an optimizer's step() calls `step`. Without a model and
    an optimizer, leaves that require a gradient count as parameters. Of this thread; used once.
    """

    def __init__(
        self, model: Any = None, optimizer: Any = None, clock: Callable[[], float] | None = None
    ) -> None:
        self.subject = Subject(model, optimizer)
        self.anonymous = model is None and not self.subject.optimizers
        self.ledger = Ledger(clock or time.perf_counter)
        self.holds: dict[int, Hold] = {}  # by the node's id
        self.dropped: deque[Hold] = deque()  # whose nodes died
        self.visited: list[Hold] = []  # whose rules have run: the walk may free what they saved
        self.leaves: weakref.WeakSet[Node] = weakref.WeakSet()
        self.rules: list[Origin] = []  # at work, outermost first
        self.walking = self.stepping = False

    # ---- what it found

    @property
    def samples(self) -> list[Sample]:
        """The bytes alive, whenever that changed, in order."""
        return self.ledger.samples

    @property
    def peak(self) -> Sample:
        """The moment with the most bytes alive, the first of them."""
        if not self.samples:
            raise ArgumentError("there is no memory to show", "with Timeline(model) as memory: ...")
        return self.samples[self.ledger.highest]

    def now(self) -> dict[str, int]:
        """The bytes alive, by category, at this moment inside the block."""
        self.look("now")
        return dict(self.ledger.sizes)

    def holders(self, n: int | None = 10) -> list[Holder]:
        """The n largest arrays that were alive at the peak; with None all."""
        if n is not None and (type(n) is not int or n < 1):
            raise ArgumentError(f"expected a number of arrays from 1 on, or None, got {n!r}")
        return sorted(self.ledger.holders(), key=lambda h: -h.bytes)[:n]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "peak": self.peak.to_dict(),
            "holders": [h.to_dict() for h in self.holders()],
            "samples": [s.to_dict() for s in self.samples],
        }

    def __rich__(self) -> Group:
        return timeline_text.shown(self)

    def __str__(self) -> str:
        return profile_text.plain(self)

    def picture(self, path: Any) -> Path:
        """Draws the bytes over time, stacked by category, as .png, .svg or .pdf."""
        return timeline_text.picture(self, path)

    # ---- around the block

    def __enter__(self) -> Timeline:
        self.begin()
        self.subject.wrap_steps(self.step)
        state.observers = (*state.observers, self)
        return self

    def __exit__(self, *_: object) -> None:
        leave(self)
        self.subject.unwrap_steps()
        self.end()

    def begin(self, start: float | None = None, layer: Callable[[], str] | None = None) -> None:
        """What is there already. Seconds count from `start` of the clock, or from now; `layer` says
        which one is at work, if not the model does."""
        if self.samples:
            raise ArgumentError("a Timeline is used once", "make another one")
        model = self.subject.model
        names = {m: name for name, m in model.named_modules()} if model else {}
        self.layer = layer or partial(innermost, names)
        self.ledger.start = self.ledger.clock() if start is None else start
        self.look("begin")

    def end(self) -> None:
        """The last sample; lets go of everything."""
        self.look("end")
        self.ledger.close()
        for hold in self.holds.values():
            hold.ref = Hold.ref
        self.holds.clear()
        self.leaves.clear()

    # ---- at the door

    def forward(self, op: Any, run: Any, args: Any, attrs: Any) -> Any:
        given = list(tensors(list(args)))
        if self.walking and not self.rules and given:
            self.walked()  # the walk itself calls ops on arrays only
        self.bury()
        origin = self.origin(op.name)
        self.arriving(given, args, attrs, origin)
        start = self.ledger.clock()
        result = run(args, attrs)
        in_flight = self.walking and not given  # rules and the walk work on arrays
        for array in arrays(result):
            self.ledger.enter(array, "gradients" if in_flight else "temporaries", origin)
        for t in tensors(result):
            self.hold(t.node, origin)
        self.ledger.sample(origin, start)
        self.bury()
        return result

    def backward(self, pull: Any, node: Node, g: Any, *rest: Any) -> Any:
        if not self.walking:
            self.bury()
            self.gradients()
        self.hold(node)
        hold = self.holds[id(node)]
        whose = node.parents[0] if node.op is PICK else node
        origin = hold.origin._replace(op=f"{whose.name() if whose else ''} backward")
        self.flying([g, node.grad], origin)  # a sum of gradients is made by the walk
        self.ledger.sample(origin)
        self.bury()
        self.walking, start = True, self.ledger.clock()
        self.rules.append(origin)
        try:
            grads = pull(node, g, *rest)
        finally:
            self.rules.pop()
        self.flying(grads, origin)
        self.leaves.update([p for p in node.parents if p is not None and p.op is None])
        self.ledger.sample(origin, start)
        self.visited.append(hold)
        return grads

    def step(self, optimizer: Any, original: Callable[..., Any], *args: Any, **kw: Any) -> Any:
        """A step of an optimizer, also of one that nobody has told of."""
        if optimizer not in self.subject.optimizers:
            self.subject.optimizers.append(optimizer)
        self.look(name := f"{type(optimizer).__name__}.step")
        before, self.stepping = self.stepping, True
        try:
            return original(*args, **kw)
        finally:
            self.stepping = before
            self.walked()
            self.survey()
            self.ledger.sample(Origin(name, "", short(storage.user_place())))
            self.bury()

    # ---- what arrays are for

    def arriving(self, given: list[Tensor], args: Any, attrs: Any, origin: Origin) -> None:
        """What an op is given and nobody has seen yet came from outside: data."""
        for t in given:
            self.hold(t.node)
            if self.anonymous and t.node is not None and t.node.op is None:
                self.ledger.enter(t.array, "parameters", origin._replace(op=""))
        inside = self.rules or self.walking or (self.stepping and not state.grad)
        seen = {k: v for k, v in attrs.items() if k not in DRAWN}
        for array in arrays([args, seen]):
            category = "temporaries" if inside else "inputs"
            self.ledger.enter(array, category, origin if inside else origin._replace(op=""))

    def flying(self, grads: Any, origin: Origin) -> None:
        """Gradients on their way through the walk."""
        for array in arrays(grads):
            block = self.ledger.enter(array, "gradients", origin)
            if block.category == "temporaries":
                self.ledger.move(block, "gradients")

    def walked(self) -> None:
        """The walk is over, if there was one. What is gone since its last rule was still there when
        it gathered the gradients, so those are counted first."""
        if self.walking:
            self.walking = False
            self.gradients()
            self.ledger.sample(Origin("backward"))
            self.bury()

    def hold(self, node: Node | None, origin: Origin | None = None) -> None:
        """What a node saved is an activation; so with those before it, if nobody saw them made."""
        waiting = [node]
        while waiting:
            node = waiting.pop()
            if node is None or node.op is None or self.known(node):
                continue
            made = origin or Origin(node.name(), "", short(node.place))
            saved, attrs = (self.saving(arrays(v), made) for v in (node.saved, node.attrs))
            hold = self.holds[id(node)] = Hold(id(node), made, saved, attrs)
            hold.ref = weakref.ref(node, partial(self.drop, hold))
            waiting += node.parents

    def known(self, node: Node) -> bool:
        hold = self.holds.get(id(node))
        return hold is not None and hold.ref() is node

    def drop(self, hold: Hold, _: object) -> None:
        """A node died."""
        self.dropped.append(hold)

    def saving(self, kept: Iterator[Any], origin: Origin) -> list[Block]:
        blocks = [self.ledger.enter(array, "activations", origin) for array in kept]
        for block in blocks:
            block.nodes += 1
            if block.category == "temporaries":
                self.ledger.move(block, "activations")
        return blocks

    def release(self, blocks: list[Block]) -> None:
        """A node saves these no longer: what a variable still holds is a temporary again."""
        for block in blocks:
            block.nodes -= 1
            if not block.nodes and block.category == "activations":
                self.ledger.move(block, "temporaries")
        blocks.clear()

    def bury(self) -> None:
        """Takes note of what was freed since the last event."""
        while self.dropped:
            hold = self.dropped.popleft()
            self.release(hold.saved)
            self.release(hold.attrs)
            if self.holds.get(hold.key) is hold:
                del self.holds[hold.key]
        for hold in self.visited:
            node = hold.ref()
            if node is not None and node.saved is None:
                self.release(hold.saved)
        self.visited.clear()
        self.ledger.bury()
        if self.samples:
            self.ledger.sample(Origin("freed"))

    # ---- what stays from step to step

    def look(self, event: str) -> None:
        """Takes note of all that is there, also of what passes no door."""
        self.walked()
        self.bury()
        self.survey()
        self.ledger.sample(Origin(event))

    def survey(self) -> None:
        """Parameters, buffers, gradients, and the optimizers' state."""
        model, names = self.subject.model, self.subject.named()
        kept = [*model.named_parameters(), *model.named_buffers()] if model else []
        for name, t in (*kept, *[(n, p) for p, n in names.items()]):
            self.put(t, "parameters", Origin("", name))
        for o in self.subject.optimizers:
            for p, kept_for in o.state.items():
                made = Origin(type(o).__name__, names.get(p, ""))
                for t in tensors(kept_for):
                    self.put(t, "optimizer state", made)
        self.gradients()

    def gradients(self) -> None:
        """Those of the parameters, and of the leaves that walks have reached."""
        for p, name in self.subject.named().items():
            if p.grad is not None:
                self.put(p.grad, "gradients", Origin("backward", name))
        for node in list(self.leaves):
            if node.grad is not None:
                self.put(node.grad, "gradients", Origin("backward", "", short(node.place)))

    def put(self, t: Tensor, category: str, origin: Origin) -> None:
        if t.nbytes:
            self.ledger.move(self.ledger.enter(t.array, category, origin), category)

    def origin(self, name: str) -> Origin:
        """Where an op is at work: ops inside a rule, where the rule's node was made."""
        if self.rules:
            return self.rules[-1]._replace(op=name)
        return Origin(name, self.layer(), short(storage.user_place()))


def arrays(value: Any) -> Iterator[Any]:
    """The arrays in nested tuples, lists and dictionaries, those of Tensors too."""
    if isinstance(value, Tensor):
        value = value.array
    if type(value) in backend.TABLE:
        if value.nbytes:
            yield value
    elif isinstance(value, Part):
        yield from arrays(value.g)
    elif isinstance(value, (tuple, list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from arrays(item)


CALL = Module.__call__.__code__


def innermost(names: dict[Any, str]) -> str:
    """The innermost module of a model that is at work. Other frames than modules' are not looked
    into: a look at a frame's variables keeps them alive."""
    frame: FrameType | None = sys._getframe(1) if names else None
    while frame is not None:
        if frame.f_code is CALL:
            module = frame.f_locals["self"]
            if module in names:
                return names[module]
        frame = frame.f_back
    return ""


@lru_cache(maxsize=4096)
def short(place: storage.Place | None) -> str:
    """A place as file:line, without folders."""
    return Path(storage.line_of(place)).name if place else ""
