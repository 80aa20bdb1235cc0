"""Grades for rules that learners write: exact, approximate, or wrong, where, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...errors import ArgumentError, TinygradError
from ...tensor import Tensor
from .catalogue import known
from .exercise import Exercise, Trial, trials
from .mistakes import mistake

EXACT, APPROXIMATE = 1e-9, 1e-3  # largest difference, relative to the largest gradient


class LearnerError(TinygradError):
    """A rule that cannot be graded: it does not run, or gives something else than gradients."""


@dataclass
class Part:
    """The gradient of one input: how far off it is, and where it is worst."""

    input: str
    verdict: str
    difference: float = 0.0
    index: list[int] = field(default_factory=list)
    written: float | None = None
    right: float | None = None
    mistake: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it: None for a number that is not finite."""
        return {k: None if isinstance(v, float) and not np.isfinite(v) else v
                for k, v in vars(self).items()}  # fmt: skip


@dataclass
class Grade:
    """What a rule is worth: "exact", "approximate" or "wrong"; a part for each input."""

    exercise: str
    parts: list[Part]

    @property
    def verdict(self) -> str:
        order = ("exact", "approximate", "wrong")
        return max([p.verdict for p in self.parts], key=order.index)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        parts = [p.to_dict() for p in self.parts]
        return {"exercise": self.exercise, "verdict": self.verdict, "parts": parts}

    def __str__(self) -> str:
        return "\n".join([f"{self.exercise}: {self.verdict}", *[_line(p) for p in self.parts]])


def _line(p: Part) -> str:
    text = f"  g{p.input}: {p.verdict}"
    if p.verdict == "exact":
        return text
    if p.written is not None:
        text += f", off by {p.difference:.3g} at {p.index}: {p.written:.6g}, right is {p.right:.6g}"
    return text + (f"\n    likely: {p.mistake}" if p.mistake else "")


def grade(name: str, rule: Callable[..., Any]) -> Grade:
    """Grades a rule: a function of g, y and the op's inputs (NumPy arrays) that returns a gradient
    for each input, as rule(g, y, a, b). LearnerError if it cannot be graded."""
    if not callable(rule):
        raise ArgumentError(f"expected a rule, a function, got {type(rule).__name__}")
    exercise = known(name)
    found = trials(exercise)
    with np.errstate(all="ignore"):
        written = [answer(exercise, t, rule(*t.arguments())) for t in found]
    parts = []
    for i, wanted in enumerate(exercise.differentiable):
        parts.append(graded(exercise, found, [w[i] for w in written], i, wanted))
    return Grade(name, parts)


def answer(exercise: Exercise, trial: Trial, result: Any) -> list[np.ndarray]:
    """What a rule returned as arrays, one for each input; LearnerError for anything else."""
    wanted = exercise.differentiable
    names = ", ".join([f"g{n}" for n in wanted])
    if result is None:
        raise LearnerError("the rule returned nothing", f"return {names}")
    several = isinstance(result, (tuple, list)) and (len(wanted) > 1 or isinstance(result, tuple))
    given: Sequence[Any] = result if several else [result]
    if len(given) != len(wanted):
        text = f"expected {len(wanted)} gradient{'s' * (len(wanted) > 1)}, {names}"
        raise LearnerError(f"{text}, got {len(given)}", f"return {names}")
    return [number(n, a) for n, a in zip(wanted, given)]


def number(name: str, value: Any) -> np.ndarray:
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "fiub":
        came = type(value).__name__ if array.dtype.kind == "O" else f"numbers of {array.dtype}"
        raise LearnerError(f"expected g{name} to be an array of real numbers, got {came}")
    return array.astype(np.float64)


def graded(e: Exercise, found: list[Trial], written: list[np.ndarray], i: int, name: str) -> Part:
    """One input's gradient over all trials; the worst of them is shown."""
    shapes = [(w.shape, t.right[i].shape) for w, t in zip(written, found)]
    why = mistake(e, found, written, i)
    for came, right in shapes:
        if came != right:
            text = f"expected the shape {right} of {name}, got {came}"
            return Part(name, "wrong", mistake=f"{why}; {text}" if why else text)
    parts = [compared(name, w, t.right[i]) for w, t in zip(written, found)]
    worst = max(parts, key=lambda p: (p.verdict == "wrong", p.difference))
    worst.mistake = why if worst.verdict == "wrong" else None
    if worst.verdict == "approximate":
        worst.mistake = "the formula is right, its numbers are rounded: float32, or differences"
    return worst


def compared(name: str, written: np.ndarray, right: np.ndarray) -> Part:
    off = np.abs(written - right)
    off = np.where(np.isnan(off), np.inf, off)
    place = np.unravel_index(int(off.argmax()), off.shape)
    difference = float(off[place])
    relative = difference / max(1.0, float(np.abs(right).max()))
    verdict = "exact" if relative <= EXACT else "approximate"
    verdict = verdict if relative <= APPROXIMATE else "wrong"
    index = [int(p) for p in place]
    return Part(name, verdict, difference, index, float(written[place]), float(right[place]))
