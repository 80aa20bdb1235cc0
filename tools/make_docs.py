"""The pages of the documentation site that follow from the sources: a hook of mkdocs.

The derivation of every op and optimizer, the reference of every public name, and the notebooks as
pages. Nothing of it is stored: mkdocs asks for it when it builds the site, see mkdocs.yml.
"""

from __future__ import annotations

import ast
import html
import importlib
import inspect
import json
import re
import types
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import tinygrad_ai as ta
from tinygrad_ai.autograd.op import REGISTRY, Op
from tinygrad_ai.study.formula import DEFINITION

ROOT = Path(__file__).parent.parent
PACKAGE = Path(ta.__file__).parent

MODULES = {  # what the reference describes, and what it says of it
    "tinygrad_ai": "tensors, and what can be computed with them",
    "nn": "layers and losses",
    "nn.functional": "the same as functions",
    "nn.init": "initial values",
    "nn.utils": "clipping, and parameters as one vector",
    "optim": "optimizers",
    "optim.lr_scheduler": "learning-rate schedules",
    "autograd": "gradients",
    "autograd.functional": "Jacobians, Hessians and their products",
    "linalg": "linear algebra",
    "amp": "mixed precision",
    "cuda": "GPUs",
    "data": "data sets and batches",
    "text": "tokenizers, collators, corpora",
    "models": "MLP, BERT, GPT-2, LoRA",
    "train": "the main job, and Trainer",
    "transformers": "Hugging Face's names",
    "study": "looking inside",
}
REMOTE = re.compile(r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=\"?(?:https?:)?//[^>]*>")
BAR = r"\|"  # in a table
FIRST = ["arithmetic", "elementwise", "reduce", "matmul", "linear", "softmax", "loss"]


def pages() -> dict[str, str]:
    """Every page made here: its path below docs/, and its Markdown."""
    found = {"derivations.md": derivations(), "api.md": reference()}
    for name in MODULES:
        found[f"api/{name}.md"] = module_page(name)
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        found[f"notebooks/{path.stem}.md"] = notebook(path)
    return found


def on_page_markdown(markdown: str, **_: Any) -> str:
    """A link to a notebook leads to its page."""
    return re.sub(r"\]\(\.\./(notebooks/\w+)\.ipynb\)", r"](\1.md)", markdown)


def on_post_build(config: Any) -> None:
    """What was built loads nothing from a network."""
    for path in sorted(Path(config["site_dir"]).rglob("*.html")):
        found = REMOTE.search(path.read_text("utf-8"))
        if found:
            raise RuntimeError(f"{path} would load something from a network: {found[0]}")


def on_files(files: Any, config: Any) -> Any:
    """mkdocs asks which files there are: those of docs/, the pages made here, the notebooks."""
    from mkdocs.structure.files import File

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        name = f"notebooks/{path.name}"
        files.append(File.generated(config, name, content=path.read_text("utf-8")))
    return files


# Derivations


def derivations() -> str:
    """Each op's value and derivatives, file by file, and each optimizer's formula."""
    lines = [
        "# Derivations",
        "",
        "Every op and every optimizer, from the docstrings of the sources. y is the output, g the",
        "gradient of the loss with respect to y, gx the same with respect to x. [x > 0] is 1 where",
        "that holds and 0 elsewhere; x @ w is a matrix product, xᵀ a transpose. The rule below",
        "each formula is the code that the engine runs. The formulas are programs, too: the",
        "tests evaluate them and compare (see [study](study.md#formulas)).",
    ]
    for path, ops in by_file().items():
        lines += ["", f"## {path}", "", first_line(PACKAGE / path)]
        for op in ops:
            lines += ["", *derivation(op)]
    lines += ["", "## Optimizers", "", "p is a parameter, g its gradient, α the learning rate."]
    for name in names_of(ta.optim):
        if name != "Optimizer":
            lines += ["", f"### {name}"]
            for paragraph in paragraphs(getattr(ta.optim, name)):
                lines += ["", *steps(paragraph)]
    return "\n".join(lines) + "\n"


def steps(paragraph: str) -> list[str]:
    """What an optimizer does, one step a line; other paragraphs as they are."""
    if "←" not in paragraph:
        return [prose(paragraph)]
    lines = re.split(r";? {2,}", " ".join(paragraph.split("\n")))
    if max(map(len, lines)) > 100:
        return [prose(paragraph)]
    return ["```text", *lines, "```"]


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
    lines = [f"### {op.name}", "", "```text", *aligned(formula), "```", ""]
    for paragraph in rest:
        lines += [prose(paragraph), ""]
    if not op.differentiable:
        lines += ["It has no derivative.", ""]
    lines += [f'??? abstract "{place}"', "", "    ```python"]
    return [*lines, *["    " + line if line else "" for line in code], "    ```"]


def aligned(formula: str) -> list[str]:
    """A docstring's definitions, one a line, with the signs of equality below each other."""
    text = " ".join(formula.split())
    marks = list(DEFINITION.finditer(text))
    if not marks:
        return [text]
    ends = [m.start() for m in marks[1:]] + [len(text)]
    width = max([len(m[1]) for m in marks])
    return [f"{m[1]:<{width}} = {text[m.end() : e].strip(' ,;')}" for m, e in zip(marks, ends)]


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


# The reference


def reference() -> str:
    """The list of modules."""
    lines = [
        "# API reference",
        "",
        "Every public name with its signature and docstring. The names and the order of arguments",
        "are PyTorch's, [with few exceptions](differences.md).",
        "",
        "| module | what is in it | names |",
        "|---|---|---|",
    ]
    for name, words in MODULES.items():
        count = len(names_of(module(name)))
        lines.append(f"| [{full(name)}](api/{name}.md) | {words} | {count} |")
    return "\n".join(lines) + "\n"


def module_page(name: str) -> str:
    """Every public name of a module."""
    found = module(name)
    lines = [f"# {full(name)}", "", prose(inspect.getdoc(found) or "")]
    dtypes = [n for n in names_of(found) if is_dtype(getattr(found, n))]
    if dtypes:
        lines += ["", "Dtypes: " + ", ".join([f"`{n}`" for n in dtypes]) + "."]
        lines += ["", "And [`bfloat16`](../tensor.md#bfloat16), loaded when it is first asked for."]
    for each in names_of(found):
        if each not in dtypes:
            lines += ["", *described(each, getattr(found, each))]
    return "\n".join(lines) + "\n"


def names_of(found: types.ModuleType) -> list[str]:
    """The public names of a module: of a package all it offers, of a file what it defines, or all
    if that is nothing."""
    names = getattr(found, "__all__", None) or [n for n in dir(found) if n[0] != "_"]
    values = {n: getattr(found, n) for n in names}
    own = [n for n in names if offered(values[n], found.__name__, False)]
    if own and not hasattr(found, "__path__") and not hasattr(found, "__all__"):
        return sorted(own)
    return sorted([n for n in names if offered(values[n], found.__name__, True)])


def offered(value: Any, name: str, package: bool) -> bool:
    if isinstance(value, types.ModuleType):
        return False
    home = str(getattr(value, "__module__", ""))
    if isinstance(value, Op):
        home = value.forward.__module__
    if isinstance(value, partial):
        home = value.func.__module__
    if is_dtype(value):
        return name == "tinygrad_ai"
    return home.startswith("tinygrad_ai") if package else home == name


def is_dtype(value: Any) -> bool:
    return isinstance(value, ta.dtype)


def described(name: str, value: Any) -> list[str]:
    """A heading, the signature, the docstring, and a table of a class's own methods."""
    lines = [f"### {name}", "", "```python", folded(name + signature(value)), "```"]
    for paragraph in paragraphs(value):
        lines += ["", *steps(paragraph)]
    if inspect.isclass(value):
        lines += methods(value)
    return lines


def methods(found: type) -> list[str]:
    """What a class itself defines and shows."""
    rows, in_place = [], []
    for name, value in sorted(vars(found).items()):
        static = isinstance(value, staticmethod)
        value = getattr(value, "__func__", value)
        text = " ".join((paragraphs(value) or [""])[0].split())
        if name[0] == "_" or not (callable(value) or isinstance(value, property)):
            continue
        if not text and any([hasattr(base, name) for base in found.__bases__]):
            continue  # the base class says what it does
        if text.startswith("Keeps the result of"):
            in_place.append(f"`{name}`")
            continue
        call = "" if isinstance(value, property) else signature(value, skip=not static)
        rows.append(f"| `{name}{call}` | {prose(text).replace('|', BAR)} |")
    table = ["", "| method | |", "|---|---|", *rows] if rows else []
    return [*table, "", f"In place: {', '.join(in_place)}."] if in_place else table


def signature(value: Any, skip: int = 0) -> str:
    """The parameters as they are written, without Any, which says nothing."""
    if isinstance(value, Op):
        value, skip = value.forward, 1
    op = REGISTRY.get(getattr(value, "__name__", ""))
    if skip and op and op.__doc__ == value.__doc__:  # a method that is an op
        value, skip = op.forward, 2
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    parameters = [shown(p) for p in list(found.parameters.values())[skip:]]
    text = str(found.replace(parameters=parameters, return_annotation=found.empty))
    return re.sub(r"<(?:function|class|built-in function) '?([\w.]+).*?>", r"\1", text)


def folded(call: str) -> str:
    """A long signature, one parameter a line."""
    if len(call) <= 88:
        return call
    name, _, inside = call.partition("(")
    inside = inside.removesuffix(")")
    commas, depth = [0], 0
    for i, c in enumerate(inside):
        depth += (c in "([{") - (c in ")]}")
        if c == "," and not depth:
            commas.append(i + 1)
    parts = [inside[a:b].strip() for a, b in zip(commas, [*commas[1:], None])]
    return "\n".join([f"{name}(", *[f"    {p.rstrip(',')}," for p in parts], ")"])


class Written:
    """Prints as it was written."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def shown(p: inspect.Parameter) -> inspect.Parameter:
    written = p.annotation if isinstance(p.annotation, str) else ""
    return p.replace(annotation=Written(written) if written not in ("", "Any") else p.empty)


# Text


def paragraphs(value: Any) -> list[str]:
    """A docstring's paragraphs; none where a class has only inherited one."""
    if isinstance(value, Op):
        text = inspect.cleandoc(value.__doc__ or "")
    elif isinstance(value, partial):
        text = inspect.getdoc(value.func) or ""
    else:
        text = inspect.cleandoc(getattr(value, "__doc__", None) or "")
    return text.split("\n\n") if text else []


def prose(text: str) -> str:
    """Docstring to Markdown: what is indented is code, and outside `code` no sign is markup."""
    if text and all([line.startswith("    ") for line in text.splitlines()]):
        return "```text\n" + inspect.cleandoc(text) + "\n```"
    parts = text.split("`")
    parts[::2] = [escaped(part) for part in parts[::2]]
    return "`".join(parts)


def escaped(text: str) -> str:
    return re.sub(r"([\\*_\[\]])", r"\\\1", html.escape(text, quote=False))


def first_line(path: Path) -> str:
    doc = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return prose(doc.split("\n\n")[0])


def module(name: str) -> types.ModuleType:
    return importlib.import_module(full(name))


def full(name: str) -> str:
    return name if name == "tinygrad_ai" else f"tinygrad_ai.{name}"


def file_of(function: Any) -> str:
    return Path(inspect.getfile(function)).relative_to(PACKAGE).as_posix()


def line_of(function: Any) -> int:
    return int(function.__code__.co_firstlineno)


# Notebooks


def notebook(path: Path) -> str:
    """A notebook as a page: text as it is, code in blocks."""
    return "\n\n".join([*cells(path), f"The notebook itself: [{path.name}]({path.name})"]) + "\n"


def cells(path: Path) -> Iterator[str]:
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        text = "".join(cell["source"])
        yield text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```"
