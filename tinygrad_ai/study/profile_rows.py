"""Events summed: by op, by layer or by source line, forward and backward apart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .events import Event

VIEWS = {"op": "name", "layer": "path", "line": "place"}
OWN = ("forward", "backward")  # kinds of events that have a row by their op, layer or line
PASSES = {"forward": "forward", "backward": "backward", "optimizer": "step"}  # and how they read
NOWHERE = {"path": "(no layer)", "place": "(no line)"}


@dataclass
class Work:
    """What was done, in how much time."""

    calls: int = 0
    seconds: float = 0.0
    flops: int = 0
    bytes: int = 0

    def add(self, other: Event | Work) -> None:
        self.calls += other.calls
        self.seconds += other.seconds
        self.flops += other.flops
        self.bytes += other.bytes

    @property
    def intensity(self) -> float | None:
        """FLOPs for each byte."""
        return self.flops / self.bytes if self.bytes else None

    @property
    def rate(self) -> float | None:
        """FLOPs a second."""
        return self.flops / self.seconds if self.flops and self.seconds else None

    def share(self, machine: Any) -> float | None:
        """Of the roofline: the time that a machine needs at least, by the time that it took."""
        if not self.seconds or not (self.flops or self.bytes):
            return None
        least = max(self.flops / machine.flops, self.bytes / machine.bandwidth)
        return float(least / self.seconds)

    def to_dict(self, machine: Any) -> dict[str, Any]:
        return {
            "calls": self.calls, "seconds": self.seconds, "flops": self.flops,
            "bytes": self.bytes, "intensity": self.intensity, "flops_per_second": self.rate,
            "roofline": self.share(machine),
        }  # fmt: skip


@dataclass
class Row:
    """An op, a layer or a line; or an optimizer, the walk, the user's Python."""

    name: str
    kind: str  # "work", or the event's kind if that is neither forward nor backward
    passes: dict[str, Work] = field(default_factory=dict)

    @property
    def total(self) -> Work:
        found = Work()
        for work in self.passes.values():
            found.add(work)
        return found

    def add(self, kind: str, other: Event | Work) -> None:
        self.passes.setdefault(kind, Work()).add(other)

    def to_dict(self, machine: Any) -> dict[str, Any]:
        parts = {kind: work.to_dict(machine) for kind, work in self.passes.items()}
        shown = parts if self.kind == "work" else {}
        return {"name": self.name, "kind": self.kind, **shown, "total": self.total.to_dict(machine)}


def rows(events: Iterable[Event], view: str) -> list[Row]:
    """A row for each op, layer or line, the longest first; below them the rest of the time. A layer
    has all that its submodules do in its sums, and stands before them."""
    found: dict[tuple[str, str], Row] = {}
    for event in events:
        own = event.kind in OWN
        name = getattr(event, VIEWS[view]) if own else event.name
        name = name or NOWHERE[VIEWS[view]]
        key = name, "work" if own else event.kind
        found.setdefault(key, Row(*key)).add(event.kind, event)
    work = [row for row in found.values() if row.kind == "work"]
    rest = [row for row in found.values() if row.kind != "work"]
    work.sort(key=lambda row: -row.total.seconds)
    rest.sort(key=lambda row: ("optimizer", "walk", "python").index(row.kind))
    return [*(nested(work) if view == "layer" else work), *rest]


def nested(layers: list[Row]) -> list[Row]:
    """Layers with their parents, which are the sum of what is inside them."""
    sums: dict[str, Row] = {}
    for row in layers:
        for name in [row.name, *parents(row.name)]:
            for kind, work in row.passes.items():
                sums.setdefault(name, Row(name, "work")).add(kind, work)
    own = {row.name for row in layers}
    children: dict[str, int] = {}
    for name in sums:
        for parent in parents(name)[:1]:
            children[parent] = children.get(parent, 0) + 1
    shown = [r for n, r in sums.items() if n in own or children[n] > 1]
    return sorted(shown, key=lambda row: [-sums[n].total.seconds for n in chain(row.name)])


def parents(name: str) -> list[str]:
    """The modules a layer is in, the nearest first."""
    parts = name.split(".") if not name.startswith("(") else [name]
    return [".".join(parts[:i]) for i in range(len(parts) - 1, 0, -1)]


def chain(name: str) -> list[str]:
    """The outermost module of a layer, ..., itself."""
    return [*parents(name)[::-1], name]
