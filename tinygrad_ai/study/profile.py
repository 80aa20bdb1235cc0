"""profile: where a training loop's time goes, by op, layer and source line.

An observer at the door, and at the two doors that no op passes: the walk, and an optimizer's step.
One clock runs from the first line of the block to the last. At each boundary the time since the one
before is charged to what was running: an op, a rule, the walk between rules, a step, or the user's
own Python. The profiler's bookkeeping is charged to itself, so that all of it is the wall clock.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from types import FunctionType, MethodType
from typing import Any, NoReturn

from ..autograd.checkpoint import Again
from ..autograd.grad import Walk
from ..autograd.mode import state
from ..autograd.op import Op
from ..autograd.outputs import PICK
from ..errors import ArgumentError, ProfileError
from ..nn.module import Module
from ..optim.optimizer import Optimizer
from ..tensor import Node
from . import counts
from .clock import Clock, Frame
from .counts_optim import counted
from .lint_state import several
from .profile_habits import missing, refuse
from .profile_places import Places, class_name
from .profile_report import Report
from .timeline import Timeline
from .watched import leave

BLOCK = "with profile(model) as report: around the calls"
CLOSURES = FunctionType, MethodType, partial
RUNNING = (
    threading.Lock()
)  # what is put in place of the engine's functions is there for all threads


class profile:
    """`with profile(model, optimizer) as report:` around training steps, or inference.

    Both may be None; with the model, layers are named as in it. The report can be read after the
    block: print it, or `report.by("op" | "layer" | "line")`, `.to_dict()`, `.trace(path)`,
    `.roofline(path)`; with memory=True also `.memory`, by category over time. `called` names a
    module that is in no other, by its class if not told. The random state, the model, gradients
    and the optimizer end as they would have without it.
    ArgumentError for what is no module or optimizer; ProfileError inside another profile.
    """

    def __init__(
        self,
        model: Any = None,
        optimizer: Any = None,
        *,
        memory: bool = False,
        called: Callable[[Any], str] = class_name,
        **others: Any,
    ) -> None:
        refuse(others)
        check(model, optimizer, called)
        self.model, self.optimizer, self.memory, self.called = model, optimizer, memory, called
        self.report = Report()
        self.timeline: Any = None
        self.walks = 0  # under way
        self.last = "", ""  # layer and line of the rule that the walk ran last
        self.steps: Counter[int] = Counter()
        self.undo = ExitStack()

    def __call__(self, *_: Any) -> NoReturn:
        raise ArgumentError("profile does not decorate, and calls nothing", BLOCK)

    def __getattr__(self, name: str) -> NoReturn:
        missing(self, name)

    # ---- around the block

    def __enter__(self) -> Report:
        if self.report.began and not RUNNING.locked():
            raise ProfileError("a profile is used once", "with profile(...) as report: again")
        if not RUNNING.acquire(blocking=False):
            raise ProfileError("a profile is running already, perhaps in another thread",
                               "one profile around both")  # fmt: skip
        self.undo.callback(RUNNING.release)
        self.clock, self.places = Clock(), Places(self.model, self.called)
        self.report.began = True
        try:
            self.stand()
        except BaseException:
            self.undo.close()
            raise
        self.clock.push(python())
        self.clock.go()
        return self.report

    def stand(self) -> None:
        """At the doors."""
        self.undo.enter_context(replaced(Walk, "run", self.walked))
        for kind in kinds(Optimizer):
            if "step" in vars(kind):
                self.undo.enter_context(replaced(kind, "step", self.stepped))
        for optimizer in several(self.optimizer):
            if "step" in vars(optimizer):  # somebody has wrapped it, and holds what it was
                wrapped = without_self(vars(optimizer)["step"])
                self.put(optimizer, partial(self.stepped, wrapped, optimizer))
        if self.memory:
            self.remember()
        state.observers = (*state.observers, self)
        self.undo.callback(leave, self)

    def __exit__(self, *_: object) -> None:
        try:
            self.clock.pause()  # a GPU that has failed says so here
        finally:
            self.undo.close()
        report, clock = self.report, self.clock
        report.memory_timeline, report.devices = self.timeline, sorted(clock.devices)
        report.steps = max(self.steps.values(), default=0)
        del self.places  # and with it the nodes of the tape
        while clock.frames:  # more than one where an interrupt came between two lines of ours
            clock.pop()
        report.events = sorted(clock.events, key=lambda event: event.start)
        report.ended = True
        report.wall, report.overhead = clock.end()  # the last: it is overhead too

    def remember(self) -> None:
        """Memory by category: an observer of its own, whose work is our overhead."""
        self.timeline = Timeline(self.model, self.optimizer)
        self.timeline.begin(self.clock.began, self.places.path)
        self.undo.callback(self.timeline.end)

    def put(self, optimizer: Any, step: Callable[..., Any]) -> None:
        """In the place of a wrapper that an optimizer has for its step()."""
        self.undo.callback(vars(optimizer).__setitem__, "step", vars(optimizer)["step"])
        vars(optimizer)["step"] = step

    # ---- at the door

    def forward(self, op: Any, run: Any, args: Any, attrs: Any) -> Any:
        return self.clock.aside(self.called_op, op, run, args, attrs)

    def backward(self, pull: Any, node: Node, g: Any, *rest: Any) -> Any:
        return self.clock.aside(self.pulled, pull, node, g, *rest)

    def called_op(self, op: Any, run: Any, args: Any, attrs: Any) -> Any:
        """An op; inside of a rule or of a step it is a part of that."""
        self.clock.notice(args)
        outer = self.clock.top
        if not outer.whole:
            self.clock.push(self.framed(op, outer))
        frame = self.clock.top
        try:
            result = self.timed("forward", run, op)(args, attrs)
            self.places.note(result, frame.path)
            if frame is not outer or frame.kind == "optimizer":
                frame.add(counts.forward(op, args, attrs, result))
                if not counts.is_counted(op):
                    self.report.uncounted.add(op.name)
            return result
        finally:
            if frame is not outer:
                self.clock.pop()

    def framed(self, op: Any, outer: Frame) -> Frame:
        """What the walk itself calls, as where it sums a gradient, belongs to the last rule; what a
        hook calls, to the hook's line."""
        kind = "backward" if self.walks else "forward"
        path, place = outer.path, self.places.here()
        if outer.kind == "walk" and place == outer.place:
            path, place = self.last
        return Frame(op.name, kind, self.places.path() or path, place)

    def pulled(self, pull: Any, node: Node, g: Any, graph: bool, needs: Any = None) -> Any:
        """A rule. Of a Function of the user's, the ops inside are pieces of their own."""
        whole, source = isinstance(node.op, (Op, Again)), node
        timed = self.timed("backward", pull)
        if node.op is PICK or self.clock.top.whole:
            return timed(node, g, graph, needs)
        self.clock.notice(g)
        self.last = self.places.of(node)
        while isinstance(source.op, Again):
            frame = Frame("checkpoint", "backward", *self.last, whole=False)
            source = self.clock.within(frame, computed_again, source.op)
        frame = Frame(node.name(), "backward", *self.last, whole=whole)
        self.clock.push(frame)
        try:
            grads = timed(node, g, graph, needs)
            if whole:
                frame.add(counts.backward(source, g, needs, grads))
            return grads
        finally:
            self.clock.pop()

    def timed(self, hook: str, work: Any, *before: Any) -> Any:
        """What the door was asked for, on the clock; the timeline, if there is one, looks on."""
        timed = partial(self.clock.run, work)
        return partial(getattr(self.timeline, hook), *before, timed) if self.timeline else timed

    # ---- the walk and the steps, which are no ops

    def walked(self, run: Any, walk: Any, *args: Any, **options: Any) -> Any:
        self.walks += 1
        try:
            frame = Frame("walk", "walk", "", self.places.here(), whole=False)
            return self.clock.aside(self.clock.within, frame, run, walk, *args, **options)
        finally:
            self.walks -= 1

    def stepped(self, step: Any, optimizer: Any, *args: Any, **options: Any) -> Any:
        if self.clock.top.kind == "optimizer":  # a step that calls its base class's
            return step(optimizer, *args, **options)
        return self.clock.aside(self.timed_step, step, optimizer, *args, **options)

    def timed_step(self, step: Any, optimizer: Any, *args: Any, **options: Any) -> Any:
        cost = counted(optimizer)
        self.clock.notice([p.array for group in optimizer.param_groups for p in group["params"]])
        frame = Frame(type(optimizer).__name__, "optimizer", "", self.places.here())
        given = [self.users(value) for value in args]
        named = {name: self.users(value) for name, value in options.items()}
        work = partial(self.clock.run, step, optimizer)
        if self.timeline:
            work = partial(self.timeline.step, optimizer, work)
        self.clock.push(frame)
        try:
            result = work(*given, **named)
            frame.add(cost())
            self.steps[id(optimizer)] += 1
            return result
        finally:
            self.clock.pop()

    def users(self, value: Any) -> Any:
        """A closure is the user's: all that it does is itself. Anything else is as it was."""
        if not isinstance(value, CLOSURES):
            return value

        def closure(*args: Any, **options: Any) -> Any:
            return self.clock.aside(self.clock.within, python(), value, *args, **options)

        return closure


def python() -> Frame:
    """The user's own code."""
    return Frame("python", "python", whole=False)


def without_self(step: Callable[..., Any]) -> Callable[..., Any]:
    """A method that is bound already, called as one that is not."""
    return lambda _, *args, **options: step(*args, **options)


def computed_again(op: Again) -> Node:
    """The node of a checkpointed stretch with what it saves, as the op's rule will find it."""
    twin = op.stretch.twin(op.number)
    op.stretch.twins[op.number] = twin
    return twin


def kinds(root: type[Any]) -> Iterator[type[Any]]:
    """A class and all that are derived from it."""
    yield root
    kind: type[Any]
    for kind in root.__subclasses__():
        yield from kinds(kind)


@contextmanager
def replaced(owner: Any, name: str, around: Callable[..., Any]) -> Iterator[None]:
    """Inside the block a method is called by `around`, in the thread that is profiled only."""
    original, profiler = vars(owner)[name], around.__self__  # type: ignore[attr-defined]

    @wraps(original)
    def method(self: Any, *args: Any, **options: Any) -> Any:
        if profiler not in state.observers:
            return original(self, *args, **options)
        return around(original, self, *args, **options)

    setattr(owner, name, method)
    try:
        yield
    finally:
        setattr(owner, name, original)


def check(model: Any, optimizer: Any, called: Any) -> None:
    if isinstance(model, Optimizer):
        raise ArgumentError("profile expects the model first", "profile(model, optimizer)")
    if model is not None and not isinstance(model, Module):
        raise ArgumentError(f"profile expects a Module, got {type(model).__name__}", BLOCK)
    if not callable(called):
        raise ArgumentError(f"called is a function of a module, got {type(called).__name__}")
    for one in several(optimizer):
        if not isinstance(one, Optimizer):
            fix = "profile(model, optimizer, memory=True)"
            raise ArgumentError(f"profile expects an Optimizer, got {type(one).__name__}", fix)
