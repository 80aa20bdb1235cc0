"""A profile as a trace for ui.perfetto.dev or chrome://tracing.

The format is Chrome's trace events: an object with a list `traceEvents`. "X" is a piece of work
with its beginning and duration in microseconds, "C" a counter, "M" the name of a row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError
from ..serialization import write_text
from .events import Event
from .picture import file

if TYPE_CHECKING:
    from .timeline import Timeline

PROCESS = 1
ROWS = {"forward": 1, "backward": 2, "walk": 2, "optimizer": 3, "python": 4}
NAMES = {1: "forward", 2: "backward", 3: "optimizer", 4: "python"}


def write(events: Iterable[Event], path: Any, memory: Timeline | None = None) -> Path:
    """Writes events, and the bytes alive by category, into a .json; ArgumentError for another
    suffix, an unknown kind of event, or times that are none."""
    target = file(path, ".json")
    found = [*named(), *counted(memory)] if memory is not None else [*named()]
    found += [worked(event) for event in events]
    found.sort(key=lambda e: (e["ts"], -e.get("dur", 0)))  # what encloses comes first
    write_text(target, json.dumps({"traceEvents": found, "displayTimeUnit": "ms"}, allow_nan=False))
    return target


def named() -> Iterator[dict[str, Any]]:
    """The names of the process and its rows, in the order of a step."""
    yield meta("process_name", 0, {"name": "tinygrad_ai"})
    for row, name in NAMES.items():
        yield meta("thread_name", row, {"name": name})
        yield meta("thread_sort_index", row, {"sort_index": row})


def meta(name: str, row: int, args: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "ph": "M", "ts": 0, "pid": PROCESS, "tid": row, "args": args}


def worked(event: Event) -> dict[str, Any]:
    """A piece of work. Where it has a layer or a line, one can search for it."""
    if event.kind not in ROWS:
        raise ArgumentError(f"expected an event's kind to be one of {', '.join(ROWS)}, "
                            f"got {event.kind!r}")  # fmt: skip
    if not (0 <= event.start < float("inf") and 0 <= event.seconds < float("inf")):
        raise ArgumentError(
            f"expected times from 0 on, got {event.start} and {event.seconds} of {event.name}"
        )
    told = {"path": event.path, "place": event.place, "flops": event.flops, "bytes": event.bytes}
    return {
        "name": event.name, "cat": event.kind, "ph": "X", "ts": 1e6 * event.start,
        "dur": 1e6 * event.seconds, "pid": PROCESS, "tid": ROWS[event.kind],
        "args": {k: v for k, v in told.items() if v},
    }  # fmt: skip


def counted(memory: Timeline) -> Iterator[dict[str, Any]]:
    """Memory by category, drawn as stacked areas."""
    for sample in memory.samples:
        yield {
            "name": "memory, bytes", "ph": "C", "ts": 1e6 * sample.seconds, "pid": PROCESS,
            "tid": 0, "args": sample.by_category,
        }  # fmt: skip
