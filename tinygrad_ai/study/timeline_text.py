"""A memory timeline to read and to look at: tables of the peak, and areas over time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ..errors import ArgumentError
from .ledger import CATEGORIES, Holder, Origin, Sample
from .picture import INK, SUFFIXES, bare, file, paper, readable, unit_of
from .profile_text import Name
from .sweep import BARS

if TYPE_CHECKING:
    from .timeline import Timeline

COLORS = {
    "parameters": "#1f4e79", "optimizer state": "#4f86b8", "gradients": "#d1495b",
    "activations": "#edae49", "inputs": "#7a9e7e", "temporaries": "#c9c4bd",
}  # fmt: skip
MOST = 2000  # steps of a curve: more than a picture has points
WIDTH = 60  # of the curve in text


def shown(timeline: Timeline) -> Group:
    """The peak by category, and the arrays that hold it."""
    peak = timeline.peak
    head = Text.assemble(("memory ", "bold"), (curve(timeline.samples), "cyan"))
    line = f"peak {readable(peak.bytes)} after {1e3 * peak.seconds:.1f} ms, at {named(peak.event)}"
    return Group(head, Text(line, "bold"), categories(timeline), holders(timeline.holders()))


def named(origin: Origin) -> str:
    """An event in words."""
    return ", ".join([part for part in origin if part])


def categories(timeline: Timeline) -> Table:
    table = Table("category", box=None, pad_edge=False, header_style="dim")
    for name in ("at the peak", "share", "its own peak"):
        table.add_column(name, justify="right")
    whole = max(timeline.peak.bytes, 1)
    for i, (category, size) in enumerate(timeline.peak.by_category.items()):
        most = max(s.sizes[i] for s in timeline.samples)
        table.add_row(category, readable(size), f"{size / whole:.0%}", readable(most))
    return table


def holders(found: list[Holder]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("held by", justify="right", no_wrap=True)
    for name in ("shape", "category", "made by", "layer", "line"):
        table.add_column(name, no_wrap=name not in ("layer", "line"))
    for h in found:
        shape = f"{'×'.join(map(str, h.shape)) or '1'} {h.dtype}"
        table.add_row(readable(h.bytes), shape, h.category, h.op, Name(h.path), Name(h.place))
    return table


def curve(samples: list[Sample]) -> str:
    """The bytes over time as bars from 0 to the peak, each the most of its stretch."""
    end = samples[-1].seconds or 1.0
    heights = [0] * WIDTH
    at = 0
    for sample, later in zip(samples, [*samples[1:], samples[-1]]):
        at = min(WIDTH - 1, int(sample.seconds / end * WIDTH))
        until = min(WIDTH - 1, int(later.seconds / end * WIDTH))
        heights[at : until + 1] = [max(h, sample.bytes) for h in heights[at : until + 1]]
    top = max(heights) or 1
    return "".join([BARS[int(h / top * (len(BARS) - 1))] for h in heights])


def thinned(samples: list[Sample]) -> list[Sample]:
    """No more samples than can be seen: of each stretch the highest and the lowest."""
    if len(samples) <= MOST:
        return samples
    size = -(-len(samples) // (MOST // 2))
    stretches = [samples[i : i + size] for i in range(0, len(samples), size)]
    ends = [{f(s, key=lambda x: x.bytes): 0 for f in (min, max)} for s in stretches]
    return sorted([s for pair in ends for s in pair], key=lambda s: s.seconds)


def picture(timeline: Timeline, path: Any) -> Path:
    """The areas, stacked from what stays longest to what goes soonest, and the peak."""
    target = file(path, *SUFFIXES)
    if not timeline.samples:
        raise ArgumentError("there is no memory to draw", "with Timeline(model) as memory: ...")
    figure = paper(9, 4.6)
    axes = figure.add_axes((0.085, 0.12, 0.89, 0.7))
    samples, peak = thinned(timeline.samples), timeline.peak
    unit, name = unit_of(peak.bytes)
    times = [1e3 * s.seconds for s in samples]
    rows = [[s.sizes[i] / unit for s in samples] for i in range(len(CATEGORIES))]
    colors = [COLORS[c] for c in CATEGORIES]
    labels = [f"{c}  {readable(n)}" for c, n in peak.by_category.items()]
    axes.stackplot(times, rows, labels=labels, colors=colors, step="post", linewidth=0)
    top = peak.bytes / unit
    axes.plot([1e3 * peak.seconds], [top], "o", color=INK, markersize=4, clip_on=False)
    axes.axhline(top, color=INK, linewidth=0.7, linestyle=(0, (4, 3)))
    bare(axes)
    axes.set(xlim=(0, max(times[-1], 1e-9)), ylim=(0, 1.08 * top or 1), xlabel="time, ms")
    axes.set_ylabel(name, rotation=0, ha="right", y=1.04, labelpad=-8)
    title = f"Memory: peak {readable(peak.bytes)}"
    figure.text(0.02, 0.955, title, size=12, weight="bold", va="center")
    figure.text(0.975, 0.957, f"at {named(peak.event)}", size=8, va="center", ha="right")
    handles, texts = axes.get_legend_handles_labels()
    figure.legend(handles, texts, loc="upper left", bbox_to_anchor=(0.012, 0.935), ncols=6,
                  frameon=False, fontsize=7.5, handlelength=1, columnspacing=1.2)  # fmt: skip
    figure.savefig(target)
    return target
