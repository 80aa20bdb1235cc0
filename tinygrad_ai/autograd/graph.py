"""The tape seen from outside: the nodes behind tensors, and writes that only the user knows of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..backend import storage
from ..tensor import Node as Node
from ..tensor import Tensor

__all__ = ["Node", "history", "increment_version", "tensors"]


def history(*tensors: Tensor, after: int | None = None) -> list[Node]:
    """Every node behind these tensors, newest first; only those made after a tick, if given."""
    found: set[Node] = set()
    stack = [t.node for t in tensors if t.node is not None]
    while stack:
        node = stack.pop()
        if node not in found and (after is None or node.id < after):
            found.add(node)
            stack += [p for p in node.parents if p is not None]
    return sorted(found, key=lambda n: n.id)


def needed_for(outputs: Iterable[Tensor], wanted: Iterable[Node]) -> set[Node]:
    """The nodes on some path from an output to a wanted node: the rest is not computed."""
    needed = set(wanted)
    oldest = max([n.id for n in needed])
    for node in reversed(history(*outputs, after=oldest + 1)):
        if any([p in needed for p in node.parents]):
            needed.add(node)
    return needed


def tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in nested lists, tuples and dictionaries, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from tensors(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors(item)


def increment_version(tensor: Any) -> None:
    """Tells the tape that a tensor's memory (or several tensors') was written past it."""
    for t in tensors(tensor):
        storage.wrote(t.array)
