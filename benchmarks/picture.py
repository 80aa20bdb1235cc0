"""The training step as a picture: times beside PyTorch's, and how near each comes to the floor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import step
from .report import title
from .results import OURS, REFERENCE, Results
from .targets import share_of_floor

COLOURS = {
    OURS: "#d1495b", REFERENCE: "#7a8793", "pytorch-fused": "#a3adb8",
    "pytorch-compiled": "#c9d0d6", "jax": "#30638e", "numpy": "#edae49",
}  # fmt: skip


def draw(results: Results, path: Path) -> str | None:
    """Writes a PNG; returns why there is none."""
    cases = [c for c in results.cases(step.NAME) if share_of_floor(results, c, OURS) is not None]
    if not cases:
        return "no picture: it shows training steps beside the processor's ceilings"
    try:
        import matplotlib
    except ImportError:
        return "no picture: matplotlib is not installed (pip install 'tinygrad-ai[bench]')"
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (times, shares) = plt.subplots(2, 1, figsize=(9, 5.6), sharex=True)
    bars(times, {c: ratios(results, c) for c in cases}, "{:.2f}")
    times.set_ylabel("time / PyTorch's (less is better)", fontsize=9)
    times.axhline(1, color="#7a8793", linewidth=0.8, linestyle=":")
    bars(shares, {c: floors(results, c) for c in cases}, "{:.0%}")
    shares.set_ylabel("share of the processor's limit", fontsize=9)
    shares.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1, decimals=0))
    shares.set_xticks(range(len(cases)), [c.split(", ")[-1] for c in cases])
    times.set_title("One training step of 784-1024-10 with Adam, float32", fontsize=11, loc="left")
    times.legend(ncols=3, fontsize=8, frameon=False, loc="upper right")
    top = max(max(values.values()) for values in (ratios(results, c) for c in cases))
    times.set_ylim(0, 1.35 * top)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return None


def ratios(results: Results, case: str) -> dict[str, float]:
    """Everyone's time over PyTorch's."""
    found = {w: results.ratio(step.NAME, case, w, REFERENCE) for w in COLOURS}
    return {who: r for who, r in found.items() if r is not None}


def floors(results: Results, case: str) -> dict[str, float]:
    found = {who: share_of_floor(results, case, who) for who in COLOURS}
    return {who: s for who, s in found.items() if s is not None}


def bars(axes: Any, groups: dict[str, dict[str, float]], form: str) -> None:
    """A group of bars for each case, ours first and with its value."""
    width = 0.8 / len(COLOURS)
    for place, (who, colour) in enumerate(COLOURS.items()):
        at = [i + (place - (len(COLOURS) - 1) / 2) * width for i in range(len(groups))]
        heights = [values.get(who, 0.0) for values in groups.values()]
        drawn = axes.bar(at, heights, width * 0.92, color=colour, label=title(who))
        if who == OURS:
            labels = [form.format(h) for h in heights]
            axes.bar_label(drawn, labels, fontsize=8, color=colour, padding=2)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=9)
