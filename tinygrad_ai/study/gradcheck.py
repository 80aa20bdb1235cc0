"""`python -m tinygrad_ai gradcheck`: every op's derivatives against finite differences, or the
doctor's report on a function of the user's, FILE.py:function (see doctor_command.py)."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from difflib import get_close_matches
from functools import partial
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..autograd.gradcheck import Case, Tolerance, check_fully, derivative
from ..autograd.op import REGISTRY, Op
from ..errors import ArgumentError, GradcheckError
from ..ops.samples import SAMPLES, Call
from . import doctor_command

TOLERANCE = Tolerance(eps=1e-6, atol=1e-6, rtol=1e-6, nondet=0.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    words = "names of ops, as in an error; or one FILE.py:function"
    parser.add_argument("ops", nargs="*", metavar="OP", help=words)
    parser.add_argument("--all", action="store_true", help="every op (as without names)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    doctor_command.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    if any([".py:" in name for name in args.ops]):
        return doctor_command.run(args)
    doctor_command.refuse_options(args)
    return main(args.ops, args.all, args.json)


def main(names: Sequence[str], all: bool = False, as_json: bool = False) -> int:
    """Prints each op with its largest first- and second-order error; 1 if one is wrong."""
    chosen = differentiable() if all or not names else [known(name) for name in names]
    results = [examined(op) for op in chosen]
    failures = [text for r in results for text in r["wrong"]]
    if as_json:
        print(json.dumps({"ops": results, "wrong": len(failures)}, indent=2))
        return 1 if failures else 0
    table = Table("op", "formula", "first order", "second order", box=None)
    console = Console()
    for r in results:
        errors = [r["first order"], r["second order"]]
        shown = ["[red]wrong[/red]" if e is None else f"{e:.1e}" for e in errors]
        table.add_row(r["op"], escape(r["formula"]), *shown)
    console.print(table)
    for failure in failures:
        console.print(failure, style="red", markup=False)
    print(f"{len(chosen)} ops checked, {len(failures)} derivatives wrong")
    return 1 if failures else 0


def examined(op: Op) -> dict[str, Any]:
    """An op's largest errors, None where one is too large, and what then is wrong."""
    formula = " ".join((op.__doc__ or "").split(";")[0].split())
    found: dict[str, Any] = {"op": op.name, "formula": formula}
    wrong: list[str] = []
    for order, name in ((1, "first order"), (2, "second order")):
        try:
            found[name] = error(op, order)
        except GradcheckError as failure:
            found[name] = None
            wrong.append(f"{op.name}, order {order}: {failure}")
    return {**found, "wrong": wrong}


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
