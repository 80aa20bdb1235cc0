"""Two traces beside each other: the rows of the comparison, and what is printed of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

Key = tuple[str, str]  # the stage (activation, gradient, ...), and the layer or parameter
Trace = dict[Key, Any]  # arrays in the order they are checked in; None where there is no gradient
FLOOR = 1e-3  # of the largest values of a stage: what is below counts as 0 with noise


@dataclass(frozen=True)
class Row:
    """One comparison: the largest absolute, relative and ULP difference, and whether it is fine.

    The relative one is in proportion to the largest reference value. ULPs are steps between
    neighbouring numbers of the dtype, counted where values are not 0 with noise.
    """

    stage: str
    name: str
    shape: tuple[int, ...]
    absolute: float
    relative: float
    ulp: float
    ok: bool

    @property
    def key(self) -> Key:
        return self.stage, self.name


@dataclass(frozen=True)
class Cause:
    """A known cause of a difference. `proved`: with it undone, the row agrees."""

    name: str
    text: str
    proved: bool = True


def rows(ours: Trace, theirs: Trace, rtol: float) -> Iterator[Row]:
    """The comparisons in order, of what both traces have."""
    scales: dict[str, float] = {}
    for (stage, _), b in theirs.items():
        scales[stage] = max(scales.get(stage, 0.0), _size(b))
    for key, a in ours.items():
        if key in theirs:
            yield compared(key, a, theirs[key], rtol, scales[key[0]])


def compared(key: Key, a: Any, b: Any, rtol: float, scale: float) -> Row:
    """One row. A missing gradient is as good as zeros."""
    if a is None and b is None:
        return Row(*key, (), 0.0, 0.0, 0.0, True)
    a = np.zeros_like(b) if a is None else a
    b = np.zeros_like(a) if b is None else b
    if a.shape != b.shape:
        inf = float("inf")
        return Row(*key, tuple(a.shape), inf, inf, inf, False)
    if not a.size:
        return Row(*key, tuple(a.shape), 0.0, 0.0, 0.0, True)
    x, y = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(invalid="ignore"):
        gap = np.where((x == y) | (np.isnan(x) & np.isnan(y)), 0.0, abs(x - y))
    gap = np.nan_to_num(gap, nan=np.inf)
    floor = max(_size(b), FLOOR * scale)
    allowed = rtol * (abs(np.nan_to_num(y)) + floor)
    worst = float(gap.max())
    top = max(float(np.nan_to_num(abs(y), posinf=0.0).max()), FLOOR * scale)
    relative = worst / top if top else float(worst > 0)
    counted = ~(abs(y) < FLOOR * floor)
    steps = ulps(a[counted], b[counted])
    return Row(*key, tuple(a.shape), worst, relative, steps, bool((gap <= allowed).all()))


def _size(array: Any) -> float:
    """The root of the mean square of what is finite."""
    if array is None or not array.size:
        return 0.0
    x = np.nan_to_num(array.astype(np.float64), posinf=0.0, neginf=0.0)
    return float(np.sqrt(np.mean(x * x)))


def ulps(a: Any, b: Any) -> float:
    """The largest number of steps between neighbouring floats from a to b; infinite if one is NaN
    and the other not."""
    if a.dtype != b.dtype or a.dtype.kind != "f" or a.dtype.itemsize not in (2, 4, 8):
        return 0.0 if np.array_equal(a, b) else float("inf")
    kind = np.dtype(f"i{a.dtype.itemsize}")
    places = []
    for x in (a, b):
        bits = np.ascontiguousarray(x).view(kind)
        # Negative floats count down from the sign bit: this makes the order one line through 0.
        places.append(np.where(bits < 0, np.iinfo(kind).min - bits, bits))
    p, q = places
    with np.errstate(over="ignore"):  # across 0 the difference of two integers may not fit
        gap = np.where((p < 0) == (q < 0), abs(p - q), abs(p.astype(np.float64) - q))
    gap = np.where(np.isnan(a) & np.isnan(b), 0.0, np.where(np.isnan(a) | np.isnan(b), np.inf, gap))
    return float(gap.max(initial=0.0))


@dataclass
class Parity:
    """The comparison up to the first bad row. `causes` are those known ones that explain it;
    `tried` counts what was tried; `notes` say what was done to make the two comparable."""

    rows: list[Row]
    causes: list[Cause] = field(default_factory=list)
    tried: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return all([row.ok for row in self.rows])

    @property
    def bad(self) -> Row | None:
        """The first row that is not fine, after which nothing is compared."""
        return next((row for row in self.rows if not row.ok), None)

    @property
    def cause(self) -> Cause | None:
        return self.causes[0] if self.causes else None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it; infinities as None."""
        made = [_plain({**asdict(row), "shape": list(row.shape)}) for row in self.rows]
        return {"ok": self.ok, "rows": made, "causes": [asdict(c) for c in self.causes],
                "tried": self.tried, "notes": self.notes}  # fmt: skip

    def lines(self) -> list[str]:
        """The verdict in words."""
        bad = self.bad
        if bad is None:
            return [f"the same in all {len(self.rows)} comparisons", *self.notes]
        what = bad.stage if bad.stage == bad.name else f"{bad.stage} of {bad.name}"
        first = f"first difference: {what}, {bad.absolute:.2e}"
        found = [f"{first} ({bad.relative:.2e} of the largest value, {bad.ulp:.3g} ULP)"]
        found += [f"cause: {c.name}: {c.text}" for c in self.causes]
        if not self.causes:
            found.append(f"none of {self.tried} known causes explains it")
        return found + self.notes

    def __str__(self) -> str:
        width = max([len(r.name) for r in self.rows], default=0)
        lines = [
            f"{r.stage:12} {r.name:{width}} {r.absolute:9.1e} {r.relative:9.1e} {r.ulp:9.3g} "
            f"{'' if r.ok else 'differs'}".rstrip()
            for r in self.rows
        ]
        return "\n".join([*lines, *self.lines()])

    def __rich__(self) -> Group:
        table = Table("stage", "name", "shape", "absolute", "relative", "ULP", "", box=None)
        for r in self.rows:
            numbers = [f"{r.absolute:.1e}", f"{r.relative:.1e}", f"{r.ulp:.3g}"]
            texts = [r.stage, r.name, str(r.shape), *numbers, "" if r.ok else "differs"]
            table.add_row(*[Text(t) for t in texts], style="" if r.ok else "red")
        style = "green" if self.ok else "red"
        lines = self.lines()
        return Group(table, Text(lines[0], style=style), *[Text(t) for t in lines[1:]])


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and v - v != 0 else v for k, v in values.items()}
