"""The derivation of every op and optimizer, from their docstrings."""

from __future__ import annotations

import ast
import inspect
from functools import cache
from pathlib import Path
from typing import Any

import tinygrad_ai as ta
from tinygrad_ai.autograd.op import REGISTRY, Op
from tools import docs_math
from tools.docs_reference import names_of
from tools.docs_text import paragraphs, prose, steps

PACKAGE = Path(ta.__file__).parent

FIRST = ["arithmetic", "elementwise", "reduce", "matmul", "linear", "softmax", "loss"]
OPTIMIZERS = """One step, line by line, in this order: *p* is a parameter, *g* its gradient, *α* the
learning rate, *λ* the weight decay, *t* the number of the step, from 1; what has an arrow is kept
from step to step, and begins with 0 unless it says otherwise."""


def derivations() -> str:
    """Each op's value and derivatives, file by file, and each optimizer's formula."""
    gx = f"<math>{docs_math.name('gx')}</math>"
    lines = [
        "# Derivations",
        "",
        "Every op and every optimizer, from the docstrings of the sources. *y* is the output, *g*",
        f"the gradient of the loss with respect to *y*, {gx} the same with respect to *x* (in the",
        "code `gx`). What stands side by side is multiplied, number by number and from left to",
        "right; *x* @ *w* is a matrix product, *x*<sup>⊤</sup> a transpose. [*x* > 0] is 1 where",
        "that holds and 0 elsewhere. Sums, means and extremes go along the op's dimension, and",
        "words such as `gathered` are [a few lines of NumPy](study.md#formulas).",
        "",
        "The rule below each formula is the code that the engine runs. The formulas are programs,",
        "too: the tests evaluate each and compare it with its op, or its optimizer.",
    ]
    for path, ops in by_file().items():
        lines += ["", f"## {path}", "", first_line(PACKAGE / path)]
        for op in ops:
            lines += ["", *derivation(op)]
    lines += ["", "## Optimizers", "", OPTIMIZERS]
    for name in names_of(ta.optim):
        if name != "Optimizer":
            lines += ["", f"### {name}"]
            for paragraph in paragraphs(getattr(ta.optim, name)):
                lines += ["", *steps(paragraph)]
    return "\n".join(lines) + "\n"


def by_file() -> dict[str, list[Op]]:
    """The package's ops in the order of their sources; the files that explain most come first."""
    found: dict[str, list[Op]] = {}
    for op in REGISTRY.values():
        if op.forward.__module__.startswith("tinygrad_ai."):
            found.setdefault(file_of(op.forward), []).append(op)
    order = {f"ops/{name}.py": i for i, name in enumerate(FIRST)}
    for ops in found.values():
        ops.sort(key=lambda op: line_of(op.forward))
    return dict(sorted(found.items(), key=lambda item: (order.get(item[0], 99), item[0])))


def derivation(op: Op) -> list[str]:
    """An op: formulas one below the other, what else its docstring says, and its code."""
    formula, *rest = paragraphs(op)
    place = f"{file_of(op.forward)}, line {line_of(op.forward)}"
    code = source(PACKAGE / file_of(op.forward)).get(op.forward.__name__, [])
    lines = [
        f"### {op.name}",
        "",
        docs_math.block(formula) if op.differentiable else prose(formula),
    ]
    for paragraph in rest:
        lines += ["", prose(paragraph)]
    if not op.differentiable:
        lines += ["", "It has no derivative."]
    lines += ["", f'??? abstract "{place}"', "", "    ```python"]
    return [*lines, *["    " + line if line else "" for line in code], "    ```"]


@cache
def source(path: Path) -> dict[str, list[str]]:
    """The lines of each op of a file: the forward function, then the rule."""
    text = path.read_text("utf-8")
    lines, found = text.splitlines(), dict[str, list[str]]()
    for node in ast.parse(text).body:
        if isinstance(node, ast.For) and isinstance(node.iter, ast.Tuple):  # one rule for several
            for name in found.keys() & set(map(ast.unparse, node.iter.elts)):
                found[name] += ["", *lines[node.lineno - 1 : node.end_lineno]]
        elif isinstance(node, ast.FunctionDef) and node.decorator_list:
            first = node.decorator_list[0]
            body = lines[first.lineno - 1 : node.end_lineno]
            words = ast.unparse(first)
            if words.endswith(".vjp"):
                found[words.removesuffix(".vjp")] += ["", *body]
            else:
                found[node.name] = body
    return found


def first_line(path: Path) -> str:
    doc = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return prose(doc.split("\n\n")[0])


def file_of(function: Any) -> str:
    return Path(inspect.getfile(function)).relative_to(PACKAGE).as_posix()


def line_of(function: Any) -> int:
    return int(function.__code__.co_firstlineno)
