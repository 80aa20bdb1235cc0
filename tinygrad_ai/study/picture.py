"""What the pictures of this room share: paper to draw on, units, errors that say what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import ArgumentError

SUFFIXES = (".png", ".svg", ".pdf")
INK, FAINT = "#333333", "#e4e4e4"


def file(path: Any, *suffixes: str) -> Path:
    """A path to write to; ArgumentError for another suffix, or where there is no folder."""
    found = Path(path)
    if found.suffix not in suffixes:
        raise ArgumentError(f"cannot save as {found.name!r}", f"use {', '.join(suffixes)}")
    if not found.parent.is_dir():
        raise ArgumentError(f"there is no folder {str(found.parent)!r}", "make it first")
    return found


def paper(width: float, height: float) -> Any:
    """An empty figure that knows how to measure its text."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        fix = "pip install 'tinygrad-ai[plot]'; print(report) needs no picture"
        raise ArgumentError("matplotlib is missing", fix) from None
    figure = Figure(figsize=(width, height), dpi=150)
    FigureCanvasAgg(figure)
    return figure


def bare(axes: Any) -> None:
    """A light grid, and no more lines than it takes."""
    axes.grid(color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#999999")
    axes.tick_params(color="#999999", labelcolor=INK)


def unit_of(size: float) -> tuple[float, str]:
    """The unit of bytes in which a size is easy to read."""
    for power, name in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size >= 2**power:
            return 2.0**power, name
    return 1.0, "B"


def readable(size: float) -> str:
    """Bytes as 12.3 MiB."""
    unit, name = unit_of(size)
    return f"{size / unit:.{0 if name == 'B' else 1}f} {name}"
