"""A profile as text: a table by op, layer or line, with forward and backward below each other."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from .profile_rows import PASSES, Work

UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
WIDTH = 110  # where nobody knows the terminal's
NARROW = 96  # below, words are short and stand close
SHORT = {"forward": "fwd", "backward": "bwd", "roofline": "roof"}


def plain(value: Any) -> str:
    """As a terminal without colours shows it."""
    out, width = io.StringIO(), min(WIDTH, shutil.get_terminal_size((WIDTH, 0)).columns)
    Console(file=out, width=width, color_system=None, force_jupyter=False).print(value)
    return "\n".join([line.rstrip() for line in out.getvalue().splitlines()])


@dataclass
class Name:
    """In a column that is too narrow for it: the end of a layer or of a line tells most."""

    text: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room, text = options.max_width, self.text
        yield Text(text if len(text) <= room else f"…{text[len(text) - room + 1 :]}")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(min(len(self.text), options.max_width), len(self.text))


def running() -> Text:
    return Text("a profile that has not ended", style="dim")


def shown(table: Any, width: int) -> Group:
    """Head, table, and what has to be said about it."""
    report, body = table.report, drawn(table, width < NARROW)
    return Group(Text(head(report), style="bold"), body, *[Text(n) for n in notes(report)])


def head(report: Any) -> str:
    text = f"{milliseconds(report.wall)} ms"
    if report.steps:
        each = milliseconds(report.wall / report.steps)
        text += f", {report.steps} step{'s' * (report.steps != 1)} of {each} ms"
    flops, bandwidth = report.machine.flops, report.machine.bandwidth
    where = report.devices[0] if report.devices else "this machine"
    return f"{text}; {where}: {flops / 1e9:.3g} GFLOP/s, {bandwidth / 1e9:.3g} GB/s"


def notes(report: Any) -> Iterable[str]:
    if report.uncounted:
        yield f"FLOPs unknown: {', '.join(sorted(report.uncounted))}"
    if report.devices:
        yield f"waited for {', '.join(report.devices)} after each op"


def drawn(table: Any, narrow: bool) -> Table:
    report, say = table.report, SHORT if narrow else {}
    works = [work for row in table.rows for work in row.passes.values()]
    flops, bytes_ = unit([w.flops for w in works]), unit([w.bytes for w in works])
    shown = Table(box=None, pad_edge=False, header_style="dim", padding=(0, int(not narrow), 0, 1))
    shown.add_column(table.view, overflow="fold", min_width=12)
    shown.add_column("", no_wrap=True)
    names = ("calls", "ms", "share", f"{flops[1]}FLOP", f"{bytes_[1]}B", "FLOP/B", "GFLOP/s")
    for name in (*names, "roofline"):
        shown.add_column(say.get(name, name), justify="right", no_wrap=True)
    for row in table.rows:
        name, style = row.name, None if row.kind == "work" else "dim"
        for kind in sorted(row.passes, key=(*PASSES, row.kind).index):
            cells = numbers(kind, row.passes[kind], report, flops[0], bytes_[0])
            word = PASSES.get(kind, "")
            shown.add_row(Name(name), say.get(word, word), *cells, style=style)
            name = ""
    for name, seconds in (("profiler", report.overhead), ("all", report.wall)):
        cells = ["", milliseconds(seconds), percent(seconds / report.wall), *[""] * 5]
        shown.add_row(name, "", *cells, style="dim" if name == "profiler" else "bold")
    return shown


def numbers(kind: str, work: Work, report: Any, flops: float, bytes_: float) -> list[str]:
    """A line's cells; nothing where there is nothing to say."""
    share = work.share(report.machine)
    return [
        str(work.calls) if kind != "python" else "",
        milliseconds(work.seconds),
        percent(work.seconds / report.wall),
        short(work.flops / flops) if work.flops else "",
        short(work.bytes / bytes_) if work.bytes else "",
        "" if not work.intensity else short(work.intensity),
        "" if work.rate is None else short(work.rate / 1e9),
        "" if share is None else percent(share),
    ]


def unit(values: Iterable[int]) -> tuple[float, str]:
    """The unit in which the largest of these numbers is easy to read."""
    largest = max(values, default=0)
    return next((u for u in UNITS if largest >= u[0]), UNITS[-1])


def milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.1f}" if seconds >= 0.1 else f"{1e3 * seconds:.2f}"


def percent(share: float) -> str:
    return f"{100 * share:.0f}%" if share >= 0.1 else f"{100 * share:.1f}%"


def short(value: float) -> str:
    """About three digits."""
    if value >= 100:
        return f"{value:.0f}"
    if value >= 1:
        return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    return f"{value:.2g}" if value >= 0.001 else "<0.001"
