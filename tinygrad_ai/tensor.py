"""A value and its history. Knows arrays only through the backend, and nothing of any operation.

`Tensor.array` is the value; `Tensor.node` says how it came about, or is None where no gradient is
needed. Operators and methods that compute something are attached by the rooms above.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeVar

from . import backend
from .backend import storage
from .backend.device import device
from .errors import GradError
from .hooks import RETAIN, HookHandle

F = TypeVar("F", bound=Callable[..., Any])


class Node:
    """One entry of the tape: an op, the nodes of its inputs, and what its rule will need.

    A node refers only to older nodes, never to Tensors: there are no cycles, and an activation
    nobody saved is freed as soon as it is dropped. A leaf has no op, and keeps its gradient.
    """

    op: Any = None
    parents: tuple[Node | None, ...] = ()
    saved: tuple[Any, ...] | None = ()  # None: freed by a backward pass
    attrs: dict[str, Any] = {}
    place: storage.Place | None = None  # the user's line that made it
    hooks: dict[int, Callable[[Tensor], Tensor | None]] | None = None
    grad: Tensor | None = None
    id: int
    shape: Any

    def name(self) -> str:
        return self.op.name if self.op else "leaf"

    def where(self) -> str:
        """The user's line that made it, as file:line."""
        return storage.line_of(self.place)

    def __repr__(self) -> str:
        return f"<{self.name()} {self.shape}>"


def leaf(array: Any) -> Node:
    """The node at which gradients for `array` are gathered."""
    if array.dtype.kind not in "fV":
        raise GradError(
            f"only floating-point tensors can require gradients, got {array.dtype}",
            "write 2.0 instead of 2, or convert with .float()",
        )
    node = Node()
    node.id, node.shape, node.attrs = storage.tick(), array.shape, {"dtype": array.dtype}
    return node


class Tensor:
    """An array of numbers of one dtype that remembers how it was computed.

    Make one with `tensor`, `zeros`, `randn`, ...; `Tensor(data)` gives the default dtype.
    """

    __slots__ = ("__weakref__", "_grad", "array", "node")
    __array_ufunc__ = None  # so that ndarray * Tensor reaches Tensor.__rmul__
    __hash__ = object.__hash__

    array: Any
    node: Node | None

    def __init__(self, data: Any = (), requires_grad: bool = False) -> None:
        self.array = backend.floats(data.array if isinstance(data, Tensor) else data)
        self.node = leaf(self.array) if requires_grad else None

    shape = property(lambda self: self.array.shape)
    dtype = property(lambda self: self.array.dtype)
    ndim = property(lambda self: self.array.ndim)
    itemsize = property(lambda self: self.array.itemsize)
    nbytes = property(lambda self: self.array.nbytes)
    is_leaf = property(lambda self: self.node is None or self.node.op is None)
    grad_fn = property(lambda self: None if self.is_leaf else self.node)

    @property
    def device(self) -> device:
        return backend.device_of(self.array)

    @property
    def data(self) -> Tensor:
        """The same memory without history. Assigning gives this tensor other memory."""
        return wrap(self.array)

    @data.setter
    def data(self, other: Tensor) -> None:
        self.array = other.array
        if self.node is not None:
            fresh = leaf(other.array)
            fresh.grad, fresh.hooks, self.node = self.node.grad, self.node.hooks, fresh

    @property
    def _version(self) -> int:
        """How often the memory behind this tensor was written in place."""
        last = storage.last_write(self.array)
        return last.writes if last else 0

    @property
    def grad(self) -> Tensor | None:
        """The gradient gathered by backward(): of a leaf, or after retain_grad()."""
        node = self.node
        if node is None:
            return getattr(self, "_grad", None)
        if node.op is not None and node.grad is None and not self.retains_grad:
            warnings.warn(
                f"the result of {node.name()} keeps no gradient: .grad is filled for leaves\n"
                "  fix: call y.retain_grad() before backward(), or look at the leaf's .grad",
                stacklevel=2,
            )
        return node.grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None and (not isinstance(value, Tensor) or value.shape != self.shape):
            came = getattr(value, "shape", type(value).__name__)
            raise GradError(f"expected a gradient of shape {self.shape} or None, got {came}")
        if self.node is None:
            self._grad = value
        else:
            self.node.grad = value

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded."""
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, flag: bool) -> None:
        self.requires_grad_(flag)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Starts or stops the recording of operations on this leaf; returns it."""
        if requires_grad and self.node is None:
            before, self.node = self.grad, leaf(self.array)
            self.node.grad = before
        elif not requires_grad and self.node is not None:
            if not self.is_leaf:
                raise GradError(
                    f"only leaves can stop requiring a gradient, this is a {self.node.name()}",
                    "use x.detach()",
                )
            self._grad, self.node = self.node.grad, None
        return self

    def retain_grad(self) -> None:
        """Makes backward() keep the gradient of a tensor that is no leaf."""
        if self.node is None:
            raise GradError("retain_grad needs a tensor that requires a gradient")
        if not self.is_leaf and not self.retains_grad:
            self.register_hook(RETAIN)

    @property
    def retains_grad(self) -> bool:
        """Whether this is no leaf and backward() keeps its gradient."""
        return RETAIN in ((self.node and self.node.hooks) or {}).values()

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> HookHandle:
        """Calls `hook(grad)` once this tensor's gradient is known; it may return another."""
        if self.node is None:
            raise GradError("register_hook needs a tensor that requires a gradient")
        if self.node.hooks is None:
            self.node.hooks = {}
        return HookHandle(self.node.hooks, hook)


def wrap(array: Any, node: Node | None = None) -> Tensor:
    """A Tensor around an array that is known to be one."""
    made = Tensor.__new__(Tensor)
    made.array, made.node = array, node
    return made


def method(function: F) -> F:
    """Attaches a function of a tensor to Tensor, under the same name."""
    setattr(Tensor, function.__name__, function)
    return function


def methods(*functions: Any, **named: Any) -> None:
    """Attaches functions, ops and properties to Tensor, under their own or other names."""
    for name, f in {**{f.__name__: f for f in functions}, **named}.items():
        setattr(Tensor, name, f if hasattr(f, "__get__") else _plain(f))


def _plain(op: Any) -> Callable[..., Any]:
    def call(self: Tensor, *args: Any, **attrs: Any) -> Any:
        return op(self, *args, **attrs)

    call.__name__, call.__doc__ = op.__name__, op.__doc__
    return call
