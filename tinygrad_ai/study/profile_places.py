"""Where work belongs: the layer and the source line of an op, and of the rule of its node."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any
from weakref import WeakKeyDictionary

from ..autograd.anomaly import modules_at_work
from ..autograd.graph import tensors
from ..backend import storage
from ..tensor import Node
from .watched import producer


def class_name(module: Any) -> str:
    return type(module).__name__


class Places:
    """The layers of a model by their dotted names, of other modules below their class's name.
    `called` names a module that is in no other."""

    def __init__(self, model: Any, called: Callable[[Any], str] = class_name) -> None:
        self.model, self.called = model, called
        self.paths: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        self.made: WeakKeyDictionary[Node, str] = WeakKeyDictionary()
        self.lines: dict[tuple[int, int], tuple[str, CodeType]] = {}
        if model is not None:
            self.learn(model, "")

    def learn(self, root: Any, prefix: str) -> None:
        """All modules below a root. The root itself has a name, as work may be its own."""
        for name, module in root.named_modules():
            below = f"{prefix}.{name}" if prefix and name else name or prefix or self.called(root)
            self.paths.setdefault(module, below)

    def path(self) -> str:
        """The layer whose forward is running; "" outside of all."""
        at_work = modules_at_work()
        if not at_work:
            return ""
        if at_work[0] not in self.paths:
            root = self.model if self.model in at_work else at_work[-1]
            self.learn(root, "" if root is self.model else self.called(root))
        # One that is called, but no submodule of any, belongs to the one that calls it.
        found = next((m for m in at_work if m in self.paths), None)
        path = "" if found is None else self.paths[found]
        self.paths.setdefault(at_work[0], path)
        return path

    def note(self, result: Any, path: str) -> None:
        """The nodes of a call are of this layer; so are their rules."""
        for t in tensors(result):
            if t.node is not None and t.node.op is not None:
                self.made.setdefault(producer(t), path)

    def of(self, node: Node) -> tuple[str, str]:
        """Layer and line of a node."""
        return self.made.get(node, ""), self.line(node.place) if node.place else ""

    def here(self) -> str:
        """The user's line that is being run. Python's own decorators on the way are nobody's."""
        frame = sys._getframe(1)
        while frame.f_back is not None:
            file = frame.f_code.co_filename
            ours = file in storage.inside or (file not in storage.outside and storage.is_ours(file))
            if not ours and file != contextlib.__file__:
                break
            frame = frame.f_back
        return self.line((frame.f_code, frame.f_lasti))

    def line(self, place: storage.Place) -> str:
        """A place as train.py:18, seen from the current folder."""
        key = id(place[0]), place[1]  # equal code may stand in two files
        if key not in self.lines:
            base = f"{Path.cwd()}/"
            self.lines[key] = storage.line_of(place).removeprefix(base), place[0]
        return self.lines[key][0]
