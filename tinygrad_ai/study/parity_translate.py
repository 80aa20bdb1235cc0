"""The same function for the other library: its globals and what it encloses with PyTorch's names
instead of ours. That is enough where a program uses what both have, and we have nothing else.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

from .. import backend
from ..errors import ArgumentError
from ..nn.module import Module
from ..tensor import Tensor

PACKAGE = "tinygrad_ai"


def ours(value: Any) -> bool:
    return str(getattr(value, "__module__", "")).split(".")[0] == PACKAGE


class Translator:
    """Gives the counterpart of a value; what is neither ours nor uses ours stays itself."""

    def __init__(self, lib: Any, module: Callable[[Module], Any]) -> None:
        self.lib, self.module = lib, module
        self.known: dict[int, Any] = {}

    def __call__(self, value: Any) -> Any:
        if isinstance(value, types.ModuleType):
            return self.library(value)
        if isinstance(value, Module):
            return self.module(value)
        if isinstance(value, Tensor):
            return self.lib.from_numpy(value.detach().cpu().numpy().copy())
        if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
            return type(value)([self(v) for v in value])
        if type(value) is dict:
            return {k: self(v) for k, v in value.items()}
        if isinstance(value, functools.partial):
            keywords = {k: self(v) for k, v in value.keywords.items()}
            return functools.partial(self(value.func), *[self(a) for a in value.args], **keywords)
        if ours(value) or type(value).__module__.startswith(PACKAGE):
            return self.named(value)
        if isinstance(value, type(backend.numpy.dtype("float32"))):
            return getattr(self.lib, value.name)
        return self.function(value) if isinstance(value, types.FunctionType) else value

    def member(self, value: Any) -> Any:
        """What stands in the body of a class."""
        if isinstance(value, (staticmethod, classmethod)):
            return type(value)(self.member(value.__func__))
        if isinstance(value, property):
            return property(value.fget and self.member(value.fget))
        return self.function(value) if isinstance(value, types.FunctionType) else self(value)

    def library(self, value: types.ModuleType) -> Any:
        """tinygrad_ai.nn.functional as torch.nn.functional."""
        if value.__name__.split(".")[0] != PACKAGE:
            return value
        found = self.lib
        for part in value.__name__.split(".")[1:]:
            found = getattr(found, part, None)
        if found is None:
            raise ArgumentError(f"PyTorch has no counterpart of {value.__name__}", "reference=...")
        return found

    def named(self, value: Any) -> Any:
        """A function, op or class of ours: what PyTorch has under its name."""
        name = getattr(value, "__name__", type(value).__name__).strip("_")
        for place in (self.lib.nn.functional, self.lib, self.lib.nn, self.lib.linalg):
            if hasattr(place, name):
                return getattr(place, name)
        raise ArgumentError(f"PyTorch has no counterpart of {name}", "reference=a torch module")

    def function(self, value: types.FunctionType) -> Any:
        """A function of the user's, with what it refers to translated."""
        if id(value) in self.known:
            return self.known[id(value)]
        scope: dict[str, Any] = {**value.__globals__}
        cells = tuple([types.CellType() for _ in value.__closure__ or ()])
        made = types.FunctionType(value.__code__, scope, value.__name__, None, cells or None)
        self.known[id(value)] = made
        for name in _names(value.__code__):
            if name in scope:
                scope[name] = self(scope[name])
        for new, old in zip(cells, value.__closure__ or ()):
            if not isinstance(old.cell_contents, type):  # __class__, for super()
                new.cell_contents = self(old.cell_contents)
        made.__defaults__ = self(value.__defaults__)
        made.__kwdefaults__ = self(value.__kwdefaults__)
        return made


def _names(code: types.CodeType) -> set[str]:
    """Names that a function and those inside it look up."""
    inner = [_names(c) for c in code.co_consts if isinstance(c, types.CodeType)]
    return set(code.co_names).union(*inner)
