"""What the doctor of gradients found, to be read, printed, saved and drawn."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ..errors import ArgumentError
from .likeness import Likeness
from .sweep import Step, sparkline

COLORS = {"right": "green", "wrong": "red", "kink": "yellow", "rounding noise": "yellow",
          "not deterministic": "red"}  # fmt: skip


@dataclass(frozen=True)
class Worst:
    """The entry that the verdict is about. `numeric` is the best of all step sizes."""

    output: int
    input: int
    output_index: tuple[int, ...]
    input_index: tuple[int, ...]
    analytic: float
    numeric: float
    error: float
    allowed: float

    def __str__(self) -> str:
        return (
            f"output {self.output}{list(self.output_index)} by input {self.input}"
            f"{list(self.input_index)}: analytic {self.analytic:.9g}, numeric {self.numeric:.9g}, "
            f"difference {self.error:.2e}, allowed {self.allowed:.2e}"
        )


@dataclass
class Report:
    """The verdict on a function's gradients, and what it rests on.

    `verdict`: right, wrong, kink, rounding noise or not deterministic; `mistake`: what a wrong rule
    looks like, if that can be told; `disagree` of `entries` entries of the Jacobian were off at
    the first step size; `curve`: the error of the worst entry over step sizes, largest first.
    """

    verdict: str
    text: str
    entries: int
    disagree: int
    mistake: Likeness | None = None
    worst: Worst | None = None
    curve: list[Step] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.verdict == "right"

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it; NaN and infinities as None."""
        return {
            "verdict": self.verdict, "ok": self.ok, "text": self.text, "entries": self.entries,
            "disagree": self.disagree, "mistake": self.mistake and self.mistake.to_dict(),
            "worst": self.worst and _plain(asdict(self.worst)),
            "curve": [_plain(s.to_dict()) for s in self.curve],
        }  # fmt: skip

    def lines(self) -> list[str]:
        """All of it in words, without the table."""
        found = [f"{self.verdict}: {self.text}"]
        if self.mistake:
            found.append(f"{self.mistake.name}: {self.mistake.text}")
        if self.worst:
            found.append(f"{'worst' if self.disagree else 'largest error'} at {self.worst}")
            first = " at the first step size" if self.ok and self.disagree else ""
            found.append(f"{self.disagree} of {self.entries} entries disagree{first}")
        if self.curve:
            ends = f"h = {self.curve[0].h:.0e} to {self.curve[-1].h:.0e}"
            found.append(f"error over step sizes, {ends}: {sparkline(self.curve)}")
        return found

    def __str__(self) -> str:
        return "\n".join(self.lines())

    __repr__ = __str__

    def __rich__(self) -> Group:
        color = COLORS[self.verdict]
        texts = [Text(line, style=color if i == 0 else "") for i, line in enumerate(self.lines())]
        if not self.curve:
            return Group(*texts)
        table = Table("h", "numeric", "left slope", "right slope", "noise", "error", box=None)
        for s in self.curve[::3]:
            row = [f"{s.h:.0e}", *[f"{v:.9g}" for v in (s.numeric, s.left, s.right)]]
            table.add_row(*row, f"{s.noise:.0e}", f"{s.error:.1e}")
        return Group(*texts, table)

    def plot(self, path: Any) -> None:
        """Draws the error over the step size, both logarithmic, into a picture."""
        try:
            from matplotlib.figure import Figure
        except ImportError:
            fix = "pip install 'tinygrad-ai[plot]'; str(report) has the curve as text"
            raise ArgumentError("matplotlib is missing", fix) from None
        if not self.curve:
            raise ArgumentError("there is no curve to draw: no step sizes were tried")
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        h = [s.h for s in self.curve]
        errors = [max(s.error, 1e-18) for s in self.curve]
        axes.loglog(h, errors, "o-", label="|analytic - numeric|")
        axes.loglog(h, [max(s.noise, 1e-18) for s in self.curve], "--", label="noise / h")
        if self.worst:
            axes.axhline(self.worst.allowed, color="gray", linewidth=1, label="allowed")
        axes.set(xlabel="step size h", ylabel="error", title=self.verdict)
        axes.grid(alpha=0.3)
        axes.legend()
        try:
            figure.savefig(path, dpi=120)
        except (ValueError, OSError) as error:
            raise ArgumentError(
                f"the picture cannot be written: {error}", "a .png or .svg"
            ) from None


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """NaN and infinities as None: JSON has neither."""
    return {k: None if isinstance(v, float) and v - v != 0 else v for k, v in values.items()}
