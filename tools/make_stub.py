"""Writes tinygrad_ai/tensor.pyi: what Tensor offers once the rooms above have attached to it.

    python tools/make_stub.py

Type checkers cannot see methods that are attached at import; the stub lists them with their
signatures. A test fails while the stub is not what this program would write.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import tinygrad_ai as ta
from tinygrad_ai.tensor import Tensor

TARGET = Path(ta.__file__).with_name("tensor.pyi")

HEAD = """\
# Written by tools/make_stub.py. Do not edit.
from collections.abc import Callable
from typing import Any, TypeVar

from .backend.device import device as _device
from .hooks import HookHandle

F = TypeVar("F", bound=Callable[..., Any])

class Node:
    op: Any
    parents: tuple[Node | None, ...]
    saved: tuple[Any, ...] | None
    attrs: dict[str, Any]
    place: Any
    hooks: dict[int, Callable[..., Any]] | None
    grad: Tensor | None
    id: int
    shape: Any
    def name(self) -> str: ...
    def where(self) -> str: ...

def leaf(array: Any) -> Node: ...
def wrap(array: Any, node: Node | None = None) -> Tensor: ...
def method(function: F) -> F: ...
def methods(*functions: Any, **named: Any) -> None: ...

class Tensor:
    array: Any
    node: Node | None
    shape: tuple[int, ...]
    dtype: Any
    ndim: int
    device: _device
    grad: Tensor | None
    requires_grad: bool
    data: Tensor
    def __init__(self, data: Any = (), requires_grad: bool = False) -> None: ...
    def __hash__(self) -> int: ...
    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> HookHandle: ...
"""
IN_HEAD = {"__init__", "__hash__", "__new__", "register_hook", "array", "node", "device", "grad"}
IN_HEAD |= {"shape", "dtype", "ndim", "requires_grad", "data"}
NOT_METHODS = {
    "__module__", "__doc__", "__slots__", "__annotations__", "__weakref__", "_grad",
    "__static_attributes__", "__firstlineno__",
}  # fmt: skip
RESULTS = {"__len__": "int", "__bool__": "bool", "__float__": "float", "__int__": "int"}
RESULTS |= {"__index__": "int", "__repr__": "str", "__format__": "str", "__eq__": "Any"}


def parameter(p: inspect.Parameter) -> str:
    """One parameter, untyped, with a default where there is one."""
    star = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
    return f"{star}{p.name}: Any" + ("" if p.default is p.empty else " = ...")


def signature(name: str, function: Any) -> str:
    """A line for a method; the first parameter is called self."""
    parameters = list(inspect.signature(function).parameters.values())
    words, seen_star = ["self"], False
    for p in parameters[1:]:
        seen_star = seen_star or p.kind is p.VAR_POSITIONAL
        if p.kind is p.KEYWORD_ONLY and not seen_star:
            words.append("*")
            seen_star = True
        words.append(parameter(p))
    ignore = "  # type: ignore[override]" if name in ("__eq__", "__ne__") else ""
    return f"    def {name}({', '.join(words)}) -> {RESULTS.get(name, 'Any')}: ...{ignore}"


def stub() -> str:
    lines = []
    for name, value in sorted(vars(Tensor).items()):
        if name in IN_HEAD | NOT_METHODS:
            continue
        if isinstance(value, property):
            lines.append(f"    @property\n    def {name}(self) -> Any: ...")
        elif inspect.isfunction(value):
            lines.append(signature(name, value))
        else:
            lines.append(f"    {name}: Any")
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    TARGET.write_text(stub())
    print(f"{TARGET}: {len(stub().splitlines())} lines")
