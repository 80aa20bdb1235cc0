"""A whole training step as one CUDA graph: `ta.cuda.make_graphed_step`.

A small step on a GPU is mostly waiting for Python to launch its kernels. A graph launches them all
at once. What it repeats are kernels and addresses; so inputs are copied to where they were, numbers
that change are read from the GPU's memory (backend/capture.py), and what is made meanwhile lives in
a pool of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from traceback import walk_tb
from typing import Any

from . import backend
from .autograd.mode import state
from .backend import capture, fused_cuda, fused_cuda_linear, storage
from .errors import ArgumentError, CaptureError, ShapeError, TinygradError
from .tensor import Tensor, wrap

REASONS = (
    "item(), print, int() and the like wait for the GPU; tensors of numbers of the host's, einsum, "
    "convolutions and optimizers besides SGD, Adam, AdamW and RMSprop cannot be captured"
)


def make_graphed_step(
    step_fn: Callable[..., Any], sample_inputs: Any, warmup: int = 3
) -> Callable[..., Any]:
    """`step_fn` as a function that is captured once and then replayed as one CUDA graph.

    It takes GPU tensors shaped as `sample_inputs` and gives tensors without history. The first
    `warmup` calls are plain training steps, with the same kernels; the next captures. So all
    losses are those of a plain loop with the same kernels, bit for bit.

        def step(x, y):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        step = ta.cuda.make_graphed_step(step, (x, y))

    Learning rates, step counts and random numbers go on as in a plain loop. CaptureError says what
    cannot be captured, and what changed since. Labels and indices are not checked in a replay.
    """
    inputs = (sample_inputs,) if isinstance(sample_inputs, Tensor) else tuple(sample_inputs)
    if not inputs or not all([isinstance(t, Tensor) and t.device.type == "cuda" for t in inputs]):
        raise ArgumentError("expected tensors on a GPU as sample inputs", "x.cuda()")
    if warmup < 1:
        raise ArgumentError(f"expected at least one warm-up step, got {warmup}")
    if backend.of(inputs[0].array).compiled is None:
        raise CaptureError(f"a captured step needs the compiled kernels: {fused_cuda.load()[1]}")
    return GraphedStep(step_fn, inputs, warmup)


class GraphedStep:
    """See make_graphed_step."""

    def __init__(self, step_fn: Callable[..., Any], inputs: tuple[Tensor, ...], warmup: int):
        self.step_fn, self.warmup = step_fn, warmup
        self.inputs = [wrap(backend.copied(t.array)) for t in inputs]
        self.be = backend.of(self.inputs[0].array)
        self.gpu = self.be.xp.cuda.Device(self.inputs[0].device.index)
        self.graph: Any = None

    def __call__(self, *inputs: Tensor) -> Any:
        self.receive(inputs)
        with self.gpu:
            if self.warmup:
                self.warmup -= 1
                with fused_cuda_linear.capturable():
                    return each(self.step_fn(*self.inputs), Tensor.detach)
            if self.graph is None:
                self.capture()
            return self.replay()

    def receive(self, inputs: tuple[Tensor, ...]) -> None:
        """Copies the inputs to where the graph reads them."""
        if len(inputs) != len(self.inputs):
            raise ArgumentError(f"expected {len(self.inputs)} inputs, got {len(inputs)}")
        for i, (own, given) in enumerate(zip(self.inputs, inputs, strict=True)):
            if not isinstance(given, Tensor):
                raise ArgumentError(f"expected tensors, got {type(given).__name__}")
            if given.shape != own.shape or given.dtype != own.dtype:
                raise ShapeError(
                    f"expected input {i} as it was captured, {own.dtype} {tuple(own.shape)}, "
                    f"got {given.dtype} {tuple(given.shape)}",
                    "DataLoader(drop_last=True), and the plain step for the rest",
                )
            self.be.write(own.array, backend.moved(given.array, own.device))

    def capture(self) -> None:
        cupy, start = self.be.xp, storage.tick()
        self.pool, stream = cupy.cuda.MemoryPool(), cupy.cuda.Stream(non_blocking=True)
        self.seen, before = Seen(), state.observers
        with (
            stream,
            cupy.cuda.using_allocator(self.pool.malloc),
            fused_cuda_linear.capturable(),
            capture.capturing(self.be) as self.numbers,
        ):
            stream.begin_capture()
            state.observers = (*before, self.seen)
            try:
                self.outputs = each(self.step_fn(*self.inputs), Tensor.detach)
                self.graph = stream.end_capture()
            except BaseException as error:
                with suppress(Exception):  # it is broken already, and this says so again
                    stream.end_capture()
                self.seen.forget_gradients()
                found = refused(error)
                raise found from (None if found is error else error)
            finally:
                state.observers = before
        self.written = [w.ref() for w in storage.written.values() if w.tick < start]

    def replay(self) -> Any:
        self.seen.check()
        self.numbers.refresh()
        self.graph.launch()
        self.numbers.passed()
        storage.wrote(*[array for array in self.written if array is not None])
        return each(self.outputs, lambda t: wrap(backend.copied(t.array)))


class Seen:
    """The observer of a capture. The graph reads arrays that were there before: they are kept."""

    def __init__(self) -> None:
        self.kept: dict[int, Any] = {}
        self.made: set[int] = set()
        self.leaves: dict[int, tuple[Tensor, Any]] = {}

    def forward(self, op: Any, run: Any, args: Any, attrs: Any) -> Any:
        for value in flat((args, attrs)):
            array = value.array if isinstance(value, Tensor) else value
            if type(array) in backend.TABLE and id(array) not in self.made:
                self.kept[id(array)] = array
            if isinstance(value, Tensor) and value.node is not None and value.is_leaf:
                self.leaves[id(value)] = (value, value.array)
        result = run(args, attrs)
        for t in result if isinstance(result, tuple) else (result,):
            if isinstance(t, Tensor) and id(t.array) not in self.kept:
                self.made.add(id(t.array))
        return result

    def backward(self, pull: Any, node: Any, g: Any, *rest: Any) -> Any:
        return pull(node, g, *rest)

    def check(self) -> None:
        for tensor, array in self.leaves.values():
            if tensor.array is not array:
                raise CaptureError(
                    f"a parameter of shape {tuple(tensor.shape)} has other memory than when the "
                    "step was captured",
                    capture.AGAIN,
                )

    def forget_gradients(self) -> None:
        """Nothing computed them."""
        for tensor, _ in self.leaves.values():
            tensor.grad = None


def flat(value: Any) -> Iterator[Any]:
    """What is in nested tuples, lists and dicts."""
    if isinstance(value, (tuple, list, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from flat(part)
    else:
        yield value


def each(result: Any, work: Callable[[Tensor], Any]) -> Any:
    """What a step returned - tensors, None, and tuples, lists and dicts of them - with `work` done
    to every tensor."""
    if isinstance(result, Tensor):
        return work(result)
    if isinstance(result, (tuple, list)):
        return type(result)([each(r, work) for r in result])
    if isinstance(result, dict):
        return {k: each(r, work) for k, r in result.items()}
    if result is not None:
        raise ArgumentError(
            f"expected the step to return tensors, got {type(result).__name__}: a replay could "
            "not bring it up to date",
            "return loss instead of loss.item()",
        )
    return None


def refused(error: BaseException) -> BaseException:
    """What stopped a capture, with the user's line."""
    if isinstance(error, CaptureError) or not isinstance(error, Exception):
        return error
    frames = [
        f for f in walk_tb(error.__traceback__) if not storage.is_ours(f[0].f_code.co_filename)
    ]
    frame, line = next(reversed([f for f in frames if "cupy" not in f[0].f_code.co_filename]))
    said = error.message if isinstance(error, TinygradError) else str(error)
    return CaptureError(
        f"the step cannot be captured: {frame.f_code.co_filename}:{line}: {said}", REASONS
    )
