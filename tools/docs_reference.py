"""The reference of the documentation site: every public name, with its signature and docstring."""

from __future__ import annotations

import importlib
import inspect
import re
import types
from functools import partial
from typing import Any

import tinygrad_ai as ta
from tinygrad_ai.autograd.op import REGISTRY, Op
from tools.docs_text import paragraphs, prose, steps

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
BAR = r"\|"  # in a table


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


def module(name: str) -> types.ModuleType:
    return importlib.import_module(full(name))


def full(name: str) -> str:
    return name if name == "tinygrad_ai" else f"tinygrad_ai.{name}"
