"""The training step as a picture: times beside PyTorch's, and shares of the possible."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import step
from .report import title
from .results import OURS, REFERENCE, Results
from .targets import share_of_floor

# Ours stand out; PyTorch's three are of one family.
COLORS = {
    "tinygrad_ai": "#d1495b", "tinygrad_ai-fused": "#ecaab2", "pytorch": "#1f4e79",
    "pytorch-fused": "#4f86b8", "pytorch-compiled": "#9cc0df", "jax": "#7a9e7e", "numpy": "#b8b2a7",
}  # fmt: skip
GRAY = "#555555"
CUT = 2.0  # times PyTorch's; a bar beyond is cut and its value written


def bars(
    axes: Any, cases: list[str], contenders: list[str], height: Callable[[str, str], float | None],
    top: float, form: str,
) -> None:  # fmt: skip
    """A group for each case, a bar for each contender; our values written above, and cut ones."""
    width = 0.86 / len(contenders)
    for index, who in enumerate(contenders):
        color = COLORS.get(who, GRAY)
        shift = (index - (len(contenders) - 1) / 2) * width
        found = [(group + shift, height(case, who)) for group, case in enumerate(cases)]
        shown = [(x, y) for x, y in found if y is not None]
        heights = [min(y, top) for _, y in shown]
        axes.bar([x for x, _ in shown], heights, 0.92 * width, color=color, label=title(who))
        for x, y in shown:
            if who == OURS or y > top:
                # To the left, where no neighbour's bar is in the way of the first one's.
                place = {"ha": "right", "va": "bottom", "size": 9, "weight": "bold"}
                axes.text(x + width / 2, min(y, top), f"{y:{form}} ", **place, color=color)
    axes.set_xticks(range(len(cases)), [case.split(", ")[1] for case in cases])
    axes.set_ylim(0, top)
    axes.tick_params(length=0)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)


def times(axes: Any, results: Results, cases: list[str], contenders: list[str]) -> None:
    """Each contender's step beside the tutorial's."""

    def height(case: str, who: str) -> float | None:
        return results.ratio(step.NAME, case, who, REFERENCE)

    highest = max(height(case, who) or 0 for case in cases for who in contenders)
    bars(axes, cases, contenders, height, min(1.05 * highest, CUT), ".2f")
    axes.axhline(1, color=COLORS[REFERENCE], linewidth=1, linestyle=(0, (4, 3)))
    text = "A training step of 784-1024-10: time, PyTorch as in its tutorial = 1"
    axes.set_title(text, loc="left", size=12, weight="bold", pad=14)


def shares(axes: Any, results: Results, cases: list[str], contenders: list[str]) -> None:
    """How near each comes to the floor."""

    def height(case: str, who: str) -> float | None:
        return share_of_floor(results, case, who)

    bars(axes, cases, contenders, height, 1, ".0%")
    axes.set_yticks((0, 0.25, 0.5, 0.75, 1), ("0", "25 %", "50 %", "75 %", "100 %"))
    text = "Share of the possible: multiply-adds and memory at full speed = 100 %"
    axes.set_title(text, loc="left", size=12, weight="bold", pad=14)


def footnote(results: Results) -> str:
    machine, versions = results.machine, results.machine["versions"]
    names = {"torch": "PyTorch", "jax": "JAX", "numpy": "NumPy"}
    told = ", ".join(f"{names[k]} {v}" for k, v in versions.items() if k in names)
    return (
        f"{machine['processor']}, {machine['instructions']}, {machine['threads']} threads; {told}; "
        f"medians, rounds: {results.settings['rounds']}"
    )


def draw(results: Results, file: Path) -> str | None:
    """Writes the picture; returns why there is none."""
    cases = [c for c in results.cases(step.NAME) if step.parse(c)[0] == step.MAIN]
    contenders = [c for c in step.CONTENDERS if any(results.get(step.NAME, k, c) for k in cases)]
    if not cases or REFERENCE not in contenders:
        return "no picture: it needs the training step of PyTorch"
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return "no picture: matplotlib is not installed (pip install 'tinygrad-ai[bench]')"
    figure = Figure(figsize=(9, 6.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, height_ratios=(3, 2))
    times(above, results, cases, contenders)
    shares(below, results, cases, contenders)
    handles, labels = above.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3, frameon=False, fontsize=9.5)
    figure.supxlabel(footnote(results), size=7, color=GRAY, x=0.99, ha="right")
    figure.savefig(file)
    return None
