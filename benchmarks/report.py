"""Results as tables to read."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from . import bert, compare, imports, linear, memory, overhead, step, together
from .contenders import CONTENDERS
from .results import OURS, REFERENCE, Figure, Results, geometric_mean
from .targets import Target, linear_ratios, share_of_floor

MISSING = "-"
BUSY = 0.1  # processors; above it times are not to be trusted
PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"))


def quantity(value: float, unit: str) -> str:
    """Three digits and a prefix: 1.20 ms; a plain ratio without one."""
    if not unit:
        return f"{value:.2f}"
    factor, prefix = next((p for p in PREFIXES if abs(value) >= 0.9995 * p[0]), PREFIXES[-1])
    return f"{value / factor:#.3g}".rstrip(".") + f" {prefix}{unit}"


def number(value: float | None, form: str = ".2f") -> str:
    return MISSING if value is None else format(value, form)


def spread(figure: Figure) -> str:
    low, high = (quantity(v, figure.unit) for v in (min(figure.rounds), max(figure.rounds)))
    return f"{low} .. {high}"


def title(contender: str) -> str:
    return CONTENDERS[contender].title if contender in CONTENDERS else contender


def grid(name: str, *columns: str) -> Table:
    """An empty table; all columns but the first stand to the right."""
    table = Table(title=name, title_justify="left", title_style="bold", header_style="")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", no_wrap=True)
    return table


def machine(results: Results) -> Table:
    table = Table(show_header=False, box=None)
    facts = {**results.machine, **results.settings}
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items()) or "none set"
        table.add_row(name, escape(str(value)))
    for name, reason in results.left_out.items():
        table.add_row("left out", escape(f"{title(name)}: {reason}"))
    return table


def processor(results: Results, job: str) -> str:
    """What the processor can do, and whether we had it to ourselves, in a line or two."""
    rate, near, far = (results.processor(job, n) for n in ("multiply-adds", "traffic", "memory"))
    found = f"{job}, ceilings: not measured, they need the compiled kernels"
    if rate and near and far:
        found = (
            f"{job}, ceilings: {quantity(rate, 'flop/s')} float32 multiply-adds; an optimizer's "
            f"arrays move at {quantity(near, 'B/s')}, in main memory at {quantity(far, 'B/s')}"
        )
    return "\n".join([found, *others(results, job)])


def others(results: Results, job: str) -> list[str]:
    """A warning, where there is reason for one."""
    busy = results.processor(job, "others") or 0
    told = f"[red]{job}: other programs kept up to {busy:.1f} processors busy meanwhile"
    return [told] if busy > BUSY else []


def steps(results: Results) -> Table:
    columns = ("a training step", "time", "least .. most", "/ PyTorch", "ours /", "floor", "CPUs")
    table = grid("One training step", *columns)
    for case in results.cases(step.NAME):
        table.add_section()
        table.add_row(f"[bold]{case}")
        for who in results.contenders(step.NAME, case):
            figure = results.get(step.NAME, case, who)
            assert figure
            table.add_row(
                f"  {title(who)}", quantity(figure.median, figure.unit), spread(figure),
                number(results.ratio(step.NAME, case, who, REFERENCE)),
                number(results.ratio(step.NAME, case, OURS, who)),
                number(share_of_floor(results, case, who), ".0%"),
                number(max(figure.cpus, default=None), ".1f"),
            )  # fmt: skip
    return table


def linear_layers(results: Results, way: str) -> Table:
    """A row for each shape, the geometric mean last."""
    columns = (way, "ours", "not compiled", "PyTorch", "ours / PyTorch", "rate", "of ceiling")
    table = grid(f"linear + ReLU, {way} (m x k x n)", *columns)
    rate = results.processor(linear.NAME, "multiply-adds")
    for case in results.cases(linear.NAME):
        if not case.startswith(way):
            continue
        found = [results.get(linear.NAME, case, who) for who in linear.CONTENDERS]
        speed = linear.operations(case) / found[0].median if found[0] else None
        table.add_row(
            case.removeprefix(way).strip(),
            *[quantity(f.median, f.unit) if f else MISSING for f in found],
            number(results.ratio(linear.NAME, case, OURS, REFERENCE)),
            MISSING if speed is None else quantity(speed, "flop/s"),
            number(speed / rate if speed and rate else None, ".0%"),
        )
    ratios = linear_ratios(results, way)
    if ratios:
        worst = max(ratios.values())
        table.add_section()
        table.add_row("geometric mean", "", "", "", number(geometric_mean(ratios.values())))
        table.add_row("worst", "", "", "", number(worst))
    return table


def simple(results: Results, job: str, name: str) -> Table:
    """A row for each contender of each case; of imports, what is imported."""
    libraries = imports.LIBRARIES if job == imports.NAME else {}
    table = grid(name, "", "median", "least .. most", "/ PyTorch")
    for case in results.cases(job):
        for who in results.contenders(job, case):
            figure = results.get(job, case, who)
            assert figure
            ratio = number(results.ratio(job, case, who, REFERENCE))
            middle = quantity(figure.median, figure.unit)
            table.add_row(
                f"{case}: {libraries.get(who, title(who))}", middle, spread(figure), ratio
            )
    return table


def marks(targets: Sequence[Target]) -> Table:
    table = grid("Targets", "", "is", "wanted", "")
    for t in targets:
        wanted = f"{'>=' if t.at_least else '<='} {t.limit:.2f}"
        mark = "[green]pass" if t.passed else "[red]fail"
        table.add_row(escape(t.text), f"{t.value:.2f}", wanted, mark)
    return table


def moved(old: Results, new: Results) -> Table:
    """Every figure's ratio, those that moved marked."""
    how = "new / old" if compare.same_machine(old, new) else "new / old of the ratio to PyTorch"
    table = grid("Against the other run", "", how, "")
    for move in compare.moves(old, new):
        key = move.key
        mark = "" if not move.flagged else "[red]more" if move.ratio > 1 else "[green]less"
        table.add_row(f"{key.job} {key.case}, {title(key.contender)}", f"{move.ratio:.3f}", mark)
    return table


def show(results: Results, targets: Sequence[Target], console: Console) -> None:
    """Everything a run found."""
    console.print(machine(results))
    jobs = {key.job for key in results.figures}
    for job in (step.NAME, linear.NAME):
        if job in jobs:
            console.print(processor(results, job), highlight=False, soft_wrap=True)
    for line in others(results, bert.NAME):
        console.print(line, highlight=False, soft_wrap=True)
    if step.NAME in jobs:
        console.print(steps(results))
    if linear.NAME in jobs:
        for way in linear.WAYS:
            console.print(linear_layers(results, way))
    names = {
        overhead.NAME: "4x4 tensors, one thread", memory.NAME: "Peak memory of the process",
        imports.NAME: "import, less a bare Python",
        together.NAME: "Two libraries in one process, in turn: time over that of each alone",
        bert.NAME: "BERT: texts of up to 64 tokens, two classes",
    }  # fmt: skip
    for job, name in names.items():
        if job in jobs:
            console.print(simple(results, job, name))
    if targets:
        console.print(marks(targets))
