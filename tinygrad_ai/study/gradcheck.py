"""`python -m tinygrad_ai gradcheck`: every op's derivatives against finite differences."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from difflib import get_close_matches
from functools import partial

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..autograd.gradcheck import Case, Tolerance, check_fully, derivative
from ..autograd.op import REGISTRY, Op
from ..errors import ArgumentError, GradcheckError
from ..ops.samples import SAMPLES, Call

TOLERANCE = Tolerance(eps=1e-6, atol=1e-6, rtol=1e-6, nondet=0.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ops", nargs="*", metavar="OP", help="names of ops, as in an error")
    parser.add_argument("--all", action="store_true", help="every op (as without names)")


def run(args: argparse.Namespace) -> int:
    return main(args.ops, args.all)


def main(names: Sequence[str], all: bool = False) -> int:
    """Prints each op with its largest first- and second-order error; 1 if one is wrong."""
    chosen = differentiable() if all or not names else [known(name) for name in names]
    table = Table("op", "formula", "first order", "second order", box=None)
    console, failures = Console(), []
    for op in chosen:
        errors = []
        for order in (1, 2):
            try:
                errors.append(f"{error(op, order):.1e}")
            except GradcheckError as wrong:
                errors.append("[red]wrong[/red]")
                failures.append(f"{op.name}, order {order}: {wrong}")
        formula = " ".join((op.__doc__ or "").split(";")[0].split())
        table.add_row(op.name, escape(formula), *errors)
    console.print(table)
    for failure in failures:
        console.print(failure, style="red", markup=False)
    print(f"{len(chosen)} ops checked, {len(failures)} derivatives wrong")
    return 1 if failures else 0


def differentiable() -> list[Op]:
    """The package's ops that have a rule, by name."""
    ours = [op for op in REGISTRY.values() if op.forward.__module__.startswith("tinygrad_ai.")]
    return sorted([op for op in ours if op.differentiable], key=lambda op: op.name)


def known(name: str) -> Op:
    """The op of that name; ArgumentError with the nearest ones if there is none."""
    ops = {op.name: op for op in differentiable()}
    if name not in ops:
        near = get_close_matches(name, ops, 3)
        raise ArgumentError(
            f"there is no differentiable op {name!r}",
            f"did you mean {' or '.join(near)}?" if near else "--all lists them",
        )
    return ops[name]


def error(op: Op, order: int) -> float:
    """The largest error of an op's derivatives of one order, over its samples."""
    if op.name not in SAMPLES:
        raise GradcheckError("there are no inputs to check it with", "add some to ops/samples.py")
    return max([_error(op, call, order) for call in SAMPLES[op.name]])


def _error(op: Op, call: Call, order: int) -> float:
    inputs, attrs = call.made()
    case = Case(partial(op, **attrs), inputs, TOLERANCE)
    return check_fully(case if order == 1 else derivative(case))
