"""The text of a NumPy script, and the names and arrays in it, run line by line as it grows."""

from __future__ import annotations

import ast
import inspect
import keyword
import math
import re
import textwrap
from typing import Any

import numpy as np

from ..errors import ArgumentError
from .meaning import WORDS, host

HEAD = '''"""Forward and backward of a loss in NumPy, written by tinygrad_ai.study.to_source."""
'''
TAIL = """
if __name__ == "__main__":
    print("loss", loss)
    for name, g in gradients.items():
        print(name, g.shape, "norm", np.linalg.norm(g))
"""


NEGATIVE = re.compile(r"(?:(?<=, )|(?<=\w\())\((-[\d.e+-]+)\)(?=[,)])")  # an argument of its own
SWAPPED = re.compile(r"np\.swapaxes\((\w+), -1, -2\)")


class Script:
    """Lines of a program, and what they give."""

    def __init__(self, embedded: int) -> None:
        self.space: dict[str, Any] = {"np": np, "math": math, **WORDS}
        self.taken = {*self.space, "loss", "gradients", "stored", "name", "g"}
        self.embedded = embedded
        self.data: list[str] = []
        self.lines: list[str] = []
        self.stored: dict[str, Any] = {}
        self.known: dict[int, tuple[Any, str]] = {}

    def name(self, wanted: str) -> str:
        """A variable's name like this one, that is nobody else's; its gradient's is free too."""
        plain = re.sub(r"\W", "_", wanted)
        if not plain.isidentifier() or plain[0] == "_" or keyword.iskeyword(plain):
            plain = "p" + plain.lstrip("_")
        while plain in self.taken or f"g{plain}" in self.taken:
            plain += "_"
        self.taken |= {plain, f"g{plain}"}
        return plain

    def array(self, array: Any, wanted: str) -> str:
        """The name of a constant, which the script embeds or loads."""
        if id(array) in self.known:
            return self.known[id(array)][1]
        name, value = self.name(wanted), host(array)
        kind = dtype_text(value)
        self.known[id(array)] = array, name
        finite = value.dtype.kind != "f" or np.isfinite(value).all()
        if value.size <= self.embedded and finite:
            self.data.append(f"{name} = np.array({numbers(value)}, dtype={kind})")
        else:
            self.stored[name] = value
            self.data.append(f'{name} = stored["{name}"]')
        self.space[name] = value
        return name

    def value(self, code: str, what: str) -> Any:
        """What an expression gives."""
        try:
            return eval(code, self.space)
        except NameError as error:
            raise ArgumentError(f"the formula of {what} uses {error.name!r}, which is no word "
                                "of study/vocabulary.py") from None  # fmt: skip

    def assign(self, target: str, code: str, what: str) -> Any:
        """Adds a line `target = code`, and runs it."""
        code = SWAPPED.sub(self.transposed, NEGATIVE.sub(r"\1", code))
        value = self.value(code, what)
        self.lines.append(f"{target} = {code}")
        names = target.split(", ")
        for name, part in zip(names, value if len(names) > 1 else (value,), strict=True):
            self.space[name] = part
        return value

    def transposed(self, match: re.Match[str]) -> str:
        """A matrix's transpose as people write it."""
        two = getattr(self.space.get(match[1]), "ndim", 0) == 2
        return f"{match[1]}.T" if two else match[0]

    def say(self, comment: str) -> None:
        """A comment after the line that comes next, or a heading."""
        self.lines.append(f"# {comment}")

    def text(self) -> str:
        """The whole program."""
        body = "\n".join(self.lines) + "\n"
        words = words_in(body)
        parts = [HEAD, "", "import math\n" if "math." in body + words else ""]
        parts += ["import numpy as np\n", "\n\n" + words + "\n" if words else "", "\n"]
        if self.stored:
            parts.append('stored = np.load(__file__.removesuffix(".py") + ".npz")\n')
        parts += ["\n".join(self.data) + "\n\n" if self.data else "", body, TAIL]
        return "".join(parts).replace('"""\nimport', '"""\n\nimport')


def words_in(text: str) -> str:
    """The source of the words in a text, and of those that these use, without annotations."""
    found: dict[str, str] = {}

    def visit(text: str) -> None:
        for word in re.findall(r"(?<![\w.])(\w+)(?=\()", text):
            if word in WORDS and word not in found:
                source = without_annotations(inspect.getsource(WORDS[word]))
                found[word] = source
                visit(source)

    visit(text)
    return "\n\n".join([found[w] for w in WORDS if w in found])


def without_annotations(source: str) -> str:
    """A function's source as a newcomer reads it."""
    tree = ast.parse(textwrap.dedent(source))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
    return ast.unparse(tree) + "\n"


def numbers(value: Any) -> str:
    """An array's numbers, each as short as it can be read back."""
    if value.ndim:
        return f"[{', '.join([numbers(v) for v in value])}]"
    return str(value) if value.dtype.kind == "f" else repr(value.item())


def dtype_text(value: Any) -> str:
    name = np.dtype(value.dtype if hasattr(value, "dtype") else value).name
    if not hasattr(np, name):
        text = f"there are numbers of {name}, which NumPy alone does not have"
        raise ArgumentError(text, "model.float(), and no autocast")
    return f"np.{name}_" if name == "bool" else f"np.{name}"


def literal(value: Any) -> str | None:
    """A setting as a program writes it; None if it is no number, text, or tuple of these."""
    if isinstance(value, (np.dtype, type)):
        return dtype_text(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return "math.nan" if value != value else "math.inf" if value > 0 else "(-math.inf)"
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value < 0:
        return f"({value!r})"
    if isinstance(value, slice):
        return repr(value).replace(", None)", ")") if value.step is None else repr(value)
    if isinstance(value, (tuple, list)):
        parts = [literal(v) for v in value]
        if None in parts:
            return None
        inside = ", ".join([p for p in parts if p is not None])
        return f"({inside},)" if len(parts) == 1 else f"({inside})"
    plain = (str, int, float, type(None), type(...))
    return ("..." if value is ... else repr(value)) if isinstance(value, plain) else None
