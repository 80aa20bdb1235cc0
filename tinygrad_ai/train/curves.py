"""The history of a run as a picture. Needs matplotlib; without it the run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def draw_curves(history: list[dict[str, Any]], path: Path) -> str | None:
    """Draws loss and accuracy over the epochs; returns why not, if it could not."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return "no curves: matplotlib is missing (pip install 'tinygrad-ai[plot]')"
    epochs = [line["epoch"] for line in history]
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        axes.plot(epochs, [line[name] for line in history], "o-", label="training")
        axes.plot(epochs, [line[f"test_{name}"] for line in history], "o-", label="test")
        axes.set(xlabel="epoch", ylabel=name)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)
    return None
