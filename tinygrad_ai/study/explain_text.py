"""An explanation as tables for the terminal, as Markdown, and as a page."""

from __future__ import annotations

import io
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .explain import Explanation, Given, Size, Step


def shape(size: Size) -> str:
    return "×".join([str(n) for n in size.shape]) or "number"


def amount(size: Size) -> str:
    odd = f", {size.odd} not finite" if size.odd else ""
    return f"{shape(size)}, norm {size.norm:.4g}{odd}"


def goal(given: Given) -> str:
    to = given.to if given.step is None else f"{given.to} (step {given.step})"
    return f"{given.name} to {to}: {amount(given.size)}"


def where(step: Step) -> list[str]:
    place = step.place.rpartition("/")[2]
    return [text for text in (step.path, place, step.line) if text]


def tables(e: Explanation) -> Any:
    """Rich's tables of the steps and of the leaves."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    title = f"loss {e.loss:.6g}, backward in {len(e.steps)} steps"
    steps = Table("step", "formula", "came in", "gave", "where", title=title, show_lines=True)
    for s in e.steps:
        cells = [s.formulas or ["(a rule without a formula)"], [amount(c) for c in s.came],
                 [goal(g) for g in s.gave], where(s)]  # fmt: skip
        steps.add_row(f"{s.number} {s.op}", *[Text("\n".join(lines)) for lines in cells])
    leaves = Table("leaf", "gradient", "smallest", "largest", "from steps", title="leaves")
    for leaf in e.leaves:
        parts = ", ".join([f"{n} ({norm:.4g})" for n, norm in leaf.parts])
        low, high = f"{leaf.size.min:.4g}", f"{leaf.size.max:.4g}"
        leaves.add_row(Text(leaf.name), amount(leaf.size), low, high, parts)
    return Group(steps, leaves)


def plain(e: Explanation) -> str:
    """The tables without colour."""
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=140, color_system=None, force_jupyter=False).print(tables(e))
    return out.getvalue().rstrip()


def markdown(e: Explanation) -> str:
    lines = ["# Backward pass", "", f"The loss is {e.loss:.6g}.", ""]
    for s in e.steps:
        lines += [f"## {s.number}. {s.op}", ""]
        if s.line:
            path = f"{s.path}, " if s.path else ""
            lines += [f"{path}`{s.place.rpartition('/')[2]}`: `{s.line}`", ""]
        for tex in s.tex:
            lines += [f"$$ {tex} $$", ""]
        lines += [f"- came in: {amount(c)}" for c in s.came]
        lines += [f"- {goal(g)}" for g in s.gave] + [""]
    lines += ["## Leaves", "", "| leaf | gradient | from steps |", "|---|---|---|"]
    for leaf in e.leaves:
        parts = ", ".join([f"{n} ({norm:.4g})" for n, norm in leaf.parts])
        lines.append(f"| {leaf.name} | {amount(leaf.size)} | {parts} |")
    return "\n".join(lines) + "\n"


STYLE = """:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem; border: 1px solid #8886; }
code { font: 14px/1.5 ui-monospace, monospace; white-space: pre-wrap; }"""


def body(e: Explanation) -> str:
    """Two tables in HTML."""
    rows = []
    for s in e.steps:
        name = f'<th scope="row" id="step{s.number}">{s.number} {escape(s.op)}</th>'
        formulas = "<br>".join([f"<code>{escape(f)}</code>" for f in s.formulas])
        cells = [formulas, "<br>".join([escape(amount(c)) for c in s.came]),
                 "<br>".join([linked(g) for g in s.gave]),
                 "<br>".join([escape(text) for text in where(s)])]  # fmt: skip
        rows.append(f"<tr>{name}{''.join([f'<td>{c}</td>' for c in cells])}</tr>")
    head = table_head("step", "formula", "came in", "gave", "where")
    leaves = []
    for leaf in e.leaves:
        steps = ", ".join([f'<a href="#step{n}">{n}</a> ({norm:.4g})' for n, norm in leaf.parts])
        name = f'<th scope="row">{escape(leaf.name)}</th>'
        leaves.append(f"<tr>{name}<td>{escape(amount(leaf.size))}</td><td>{steps}</td></tr>")
    return (
        f"<h1>Backward pass</h1>\n<p>The loss is {e.loss:.6g}.</p>\n<table>{head}\n"
        + "\n".join(rows)
        + f"</table>\n<h2>Leaves</h2>\n<table>{table_head('leaf', 'gradient', 'from steps')}\n"
        + "\n".join(leaves)
        + "</table>\n"
    )


def table_head(*names: str) -> str:
    return "<tr>" + "".join([f'<th scope="col">{n}</th>' for n in names]) + "</tr>"


def linked(given: Given) -> str:
    text = escape(goal(given))
    return text if given.step is None else f'<a href="#step{given.step}">{text}</a>'


def page(e: Explanation) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>Backward pass</title>\n<style>{STYLE}</style></head>\n"
        f"<body>\n{body(e)}</body></html>\n"
    )
