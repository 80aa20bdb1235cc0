"""What the tape keeps: how it is picked, and errors in our words where it was freed or changed."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

from .. import backend
from ..backend import storage
from ..errors import DTypeError, GraphFreedError, InplaceError, ShapeError, TinygradError
from ..tensor import Node


def picker(given: list[str], names: tuple[str, ...]) -> Callable[[Any], Any] | None:
    """From what `given` names to a tuple of `names`; None if not all are there as they are."""
    if not names or "xs" in given or not set(names) <= set(given):
        return None
    places = [given.index(name) for name in names]
    return itemgetter(*places) if len(places) > 1 else itemgetter(slice(places[0], places[0] + 1))


def taking(rule: Callable[..., Any], attrs: tuple[str, ...]) -> Callable[..., Any]:
    """A rule that is given all of a node's attributes, and uses these."""
    if not attrs:
        return lambda g, *saved, **_: rule(g, *saved)
    return lambda g, *saved, **given: rule(g, *saved, **{name: given[name] for name in attrs})


def freed(node: Node) -> GraphFreedError:
    return GraphFreedError(
        f"backward through {node.name()} a second time: what it saved was freed by the "
        f"first pass\n  made at {node.where()}",
        "backward(retain_graph=True) the first time, or build this part inside the loop",
    )


def check_unchanged(array: Any, role: str, node: Node) -> None:
    """Raises InplaceError if an array that a node saved was written since."""
    last = storage.last_write(array)
    if last is not None and last.tick < node.id:
        raise InplaceError(
            f"the buffer saved by {node.name()} ({role}, shape {array.shape}, "
            f"{array.dtype}) was changed after the forward pass\n"
            f"  saved   at {node.where()}\n  changed at {storage.line_of(last.place)}",
            "write x = x + 1 instead of x += 1, or change x.clone()",
        )


def said_clearly(error: Exception, name: str, arrays: list[Any]) -> Exception:
    """The array library's complaint about shapes or numbers that do not fit, in our words."""
    if isinstance(error, OverflowError):
        dtype = next(a.dtype for a in arrays if hasattr(a, "dtype"))
        return DTypeError(f"{name}: {error}", f"x.to(ta.int64) holds what {dtype} cannot")
    known = [a for a in arrays if type(a) in backend.TABLE]
    if isinstance(error, TypeError) and len({type(a) for a in known}) > 1:
        return backend.apart(known)
    if isinstance(error, TinygradError) or "broadcast" not in str(error):
        return error
    shapes = " and ".join([str(a.shape) for a in arrays if hasattr(a, "shape")])
    return ShapeError(f"{name} expected shapes that broadcast, got {shapes}")
