"""What profile() found, to print, to draw and for programs."""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, NoReturn

from rich.console import Console, ConsoleOptions, RenderResult
from rich.jupyter import JupyterMixin

from ..errors import ArgumentError, ProfileError
from . import profile_text
from .events import Event
from .profile_habits import missing
from .profile_rows import PASSES, VIEWS, Row, rows


@dataclass(repr=False)
class Report(JupyterMixin):
    """Fills while the block runs; can be read after it. Prints itself, by op."""

    events: list[Event] = field(default_factory=list)
    wall: float = 0.0  # seconds, from the block's first line to its last
    overhead: float = 0.0  # of them the profiler's own
    steps: int = 0  # of the optimizer that had most
    uncounted: set[str] = field(default_factory=set)  # ops of yours: nobody knows their FLOPs
    devices: list[str] = field(default_factory=list)  # GPUs that had work
    memory_timeline: Any = None
    began: bool = False
    ended: bool = False
    known_machine: Any = None

    def check(self) -> None:
        if not self.ended:
            raise ProfileError(
                "the profile has not ended" if self.began else "nothing was profiled yet",
                "read the report after the with block",
            )

    def by(self, view: str = "op") -> Table:
        """The time by "op", "layer" or "line"."""
        self.check()
        if view not in VIEWS:
            near = get_close_matches(str(view), VIEWS, 1)
            fix = f"did you mean {near[0]!r}?" if near else None
            raise ArgumentError(f"expected 'op', 'layer' or 'line', got {view!r}", fix)
        return Table(self, view, rows(self.events, view))

    @property
    def machine(self) -> Any:
        """What the processor can do at most, or the GPU that had work: measured when first asked
        for, in float32."""
        if self.known_machine is None:
            from .roofline import measured

            self.known_machine = measured(device=self.devices[0] if self.devices else "cpu")
        return self.known_machine

    @property
    def memory(self) -> Any:
        """The memory by category over time. ArgumentError if it was not asked for."""
        self.check()
        if self.memory_timeline is None:
            raise ArgumentError("the memory was not watched", "profile(..., memory=True)")
        return self.memory_timeline

    def trace(self, path: Any) -> Any:
        """Writes the events as a trace for ui.perfetto.dev or chrome://tracing."""
        self.check()
        from . import trace

        return trace.write(self.events, path, self.memory_timeline)

    def roofline(self, path: Any) -> Any:
        """Draws each op below the roof of this machine, as .png, .svg or .pdf."""
        self.check()
        points = [
            (f"{row.name} {PASSES.get(kind)}", work.intensity, work.rate, work.seconds)
            for row in rows(self.events, "op")
            for kind, work in row.passes.items()
            if kind in PASSES and work.intensity and work.rate
        ]
        if not points:
            raise ArgumentError("no op with FLOPs was profiled: there is nothing to draw")
        from . import roofline

        return roofline.picture(self.machine, points, path)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it: times in seconds, FLOPs and bytes, and shares from 0 to 1."""
        self.check()
        machine = self.machine
        found: dict[str, Any] = {
            "wall": self.wall, "overhead": self.overhead, "steps": self.steps,
            "seconds_per_step": self.wall / self.steps if self.steps else None,
            "machine": machine.to_dict(),
            "uncounted": sorted(self.uncounted),
        }  # fmt: skip
        for view in VIEWS:
            found[view] = [row.to_dict(machine) for row in rows(self.events, view)]
        if self.memory_timeline is not None:
            found["memory"] = self.memory_timeline.to_dict()
        return found

    def __getattr__(self, name: str) -> NoReturn:
        missing(self, name)

    def __repr__(self) -> str:
        return f"<profile of {self.steps} steps, {len(self.events)} events>"

    def __rich__(self) -> Any:
        return profile_text.running() if not self.ended else self.by("op")

    def __str__(self) -> str:
        return profile_text.plain(self)


@dataclass(repr=False)
class Table(JupyterMixin):
    """A report by op, layer or line. Prints itself."""

    report: Report
    view: str
    rows: list[Row]

    def __iter__(self) -> Any:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, name: str) -> Row:
        """The row of that name."""
        for row in self.rows:
            if row.name == name:
                return row
        near = get_close_matches(str(name), [row.name for row in self.rows], 1)
        fix = f"did you mean {near[0]!r}?" if near else None
        raise ArgumentError(f"there is no {self.view} {name!r} in the profile", fix)

    def to_dict(self) -> list[dict[str, Any]]:
        """As JSON has it."""
        return [row.to_dict(self.report.machine) for row in self.rows]

    def __repr__(self) -> str:
        return f"<profile by {self.view}, {len(self)} rows>"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield profile_text.shown(self, options.max_width)

    def __str__(self) -> str:
        return profile_text.plain(self)
