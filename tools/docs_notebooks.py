"""Notebooks as pages, and pages with code: they are run, and what they print and draw is shown."""

from __future__ import annotations

import ast
import html
import io
import json
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

BLOCK = re.compile(r"^```python\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
INK = "#010203"  # what is drawn in it takes the colour of the page's text
STYLE = {
    "figure.figsize": (6.4, 3.6),
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.framealpha": 0,
    "svg.fonttype": "none",
    **dict.fromkeys(["text.color", "axes.labelcolor", "axes.edgecolor"], INK),
    **dict.fromkeys(["xtick.color", "ytick.color"], INK),
}


def page(path: Path) -> str:
    """Text as it is, code in blocks, and the outputs of a run made now. RuntimeError, with the
    cell, where that fails."""
    import matplotlib
    import matplotlib.pyplot

    matplotlib.use("Agg")
    matplotlib.pyplot.close("all")  # a cell would draw into what somebody left open
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": path.stem}):
        parts = list(cells(path))
    return "\n\n".join([*parts, f"The notebook itself: [{path.name}]({path.name})"]) + "\n"


def cells(path: Path) -> Iterator[str]:
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield text.replace("](../docs/", "](../")
            continue
        yield f"```python\n{text}\n```"
        place = f"{path.name}, {cell['id']}"
        try:
            printed = run(text, place, names)
            drawn = figures(place)
        except Exception as error:
            raise RuntimeError(f"{place}: {type(error).__name__}: {error}") from error
        if printed:
            yield output(printed)
        yield from drawn


def with_outputs(text: str, name: str) -> str:
    """A page of docs/: below each Python block what it prints, unless the page says it itself."""
    names: dict[str, Any] = {"__name__": "page"}

    def run_block(m: re.Match[str]) -> str:
        line = text[: m.start()].count("\n") + 1
        with redirect_stdout(io.StringIO()) as out:
            exec(compile("\n" * line + m[1], name, "exec"), names)
        printed = out.getvalue().rstrip()
        if not printed or text[m.end() :].startswith("\n```text"):
            return m[0]
        return f"{m[0]}\n{output(printed)}\n"

    return BLOCK.sub(run_block, text)


def output(printed: str) -> str:
    return f'<pre class="output">{html.escape(printed, quote=False)}</pre>'


def run(text: str, place: str, names: dict[str, Any]) -> str:
    """What a cell prints, and the value of its last line, unless a semicolon hides it."""
    tree = ast.parse(text, place)
    last = None
    if tree.body and isinstance(tree.body[-1], ast.Expr) and not text.rstrip().endswith(";"):
        last = ast.Expression(tree.body.pop().value)
    with redirect_stdout(io.StringIO()) as out:
        exec(compile(tree, place, "exec"), names)
        value = eval(compile(last, place, "eval"), names) if last else None
        if value is not None:
            print(repr(value))
    return out.getvalue().rstrip()


def figures(place: str) -> list[str]:
    """The open figures as SVG, which take the page's colours; they are closed."""
    from matplotlib import pyplot

    found = []
    for number in pyplot.get_fignums():
        figure, file = pyplot.figure(number), io.StringIO()
        about = dict.fromkeys(["Creator", "Date", "Format", "Type"])
        figure.savefig(file, format="svg", bbox_inches="tight", metadata=about)
        found.append(drawing(file.getvalue(), described(figure)))
        pyplot.close(figure)
    return found


def described(figure: Any) -> str:
    """Title and axes of a figure in words, for those who do not see it."""
    words = []
    for axes in figure.axes:
        lines = [str(line.get_label()) for line in axes.get_lines()]
        named = ", ".join([label for label in lines if label[0] != "_"])
        both = " over ".join([t for t in (axes.get_ylabel(), axes.get_xlabel()) if t])
        words += [t for t in (axes.get_title(), both, named) if t]
    return "; ".join(words) or "figure"


def drawing(svg: str, words: str) -> str:
    """An SVG file as a part of a page: its own style and the names of its parts left out."""
    svg = re.sub(r"<style.*?</style>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r' id="[A-Za-z.]+\d*_\d+"', "", svg)
    svg = re.sub(r"\n\s*", "\n", svg.replace(INK, "currentColor"))
    label = html.escape(words)
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    return f'<figure class="drawing">\n{svg.strip()}\n</figure>'
