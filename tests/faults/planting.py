"""How a fault is planted: a function runs with one place of its source changed."""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from tinygrad_ai.autograd.op import REGISTRY


class Fault(NamedTuple):
    """`target` is "rule of NAME" or "module:Class.function"; `old` in its source becomes `new`.
    `tests` is a pattern of the names of tests, one of which has to fail."""

    name: str
    target: str
    old: str
    new: str
    tests: str


def function_of(target: str) -> Any:
    """The plain function that a target means."""
    if target.startswith("rule of "):
        rule = REGISTRY[target.removeprefix("rule of ")].rule
        if rule.__name__ == "<lambda>":  # it is wrapped, see autograd/saved.py
            cells = dict(zip(rule.__code__.co_freevars, rule.__closure__ or (), strict=True))
            rule = cells["rule"].cell_contents
        return rule
    module, _, path = target.partition(":")
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = inspect.getattr_static(found, name)
    found = getattr(found, "forward", found)  # of an op
    return inspect.unwrap(getattr(found, "__func__", found))


def changed(function: Any, old: str, new: str) -> Any:
    """The code of the function with the change; ValueError unless `old` is there exactly once."""
    source = textwrap.dedent(inspect.getsource(function))
    if source.count(old) != 1:
        raise ValueError(f"{old!r} is {source.count(old)} times in\n{source}")
    tree = ast.parse(source.replace(old, new))
    (made,) = tree.body
    made.decorator_list = []  # type: ignore[attr-defined]
    scope: dict[str, Any] = {}
    exec(
        compile(tree, f"<planted in {function.__qualname__}>", "exec"), function.__globals__, scope
    )
    return scope[function.__name__].__code__


@contextmanager
def planted(fault: Fault) -> Iterator[None]:
    """The package with the fault in it."""
    function = function_of(fault.target)
    before = function.__code__
    function.__code__ = changed(function, fault.old, fault.new)
    try:
        yield
    finally:
        function.__code__ = before
