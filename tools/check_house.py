"""Checks the laws of the house that a program can check: sizes, imports, and the order of rooms.

    python tools/check_house.py

Prints each breach and exits 1 if there is one. The exceptions stand below, each with its reason.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "tinygrad_ai"

READING = ("tensor.py", "autograd/op.py", "autograd/grad.py", "ops/arithmetic.py")
READING_LINES, FILE_LINES, FUNCTION_LINES = 700, 400, 40

LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}

# Rooms from the ground up: a room imports only rooms before it, or itself.
ROOMS = (
    ("errors", "version"),
    ("backend",),
    ("hooks",),
    ("tensor",),
    ("autograd",),
    ("cuda", "graphed"),
    ("ops",),
    ("linalg", "serialization"),
    ("nn", "optim", "data", "amp"),
    ("utils",),
    ("models", "text"),
    ("train", "info", "bench"),
    ("study",),
    ("transformers",),
    ("__main__", "__init__"),
)
ARRAY_LIBRARIES = {"numpy", "scipy", "cupy"}
ARRAYS_ALLOWED = (
    "backend/", "data/", "study/", "serialization.py", "train/predict.py", "train/randomness.py",
)  # fmt: skip
NEVER = {"torch", "transformers"}
# What compares with PyTorch when a user asks for it may load it, late and by name.
BY_NAME = {"study/parity_torch.py": {"torch"}}


def level(room: str) -> int:
    return next(i for i, rooms in enumerate(ROOMS) if room in rooms)


def room_of(path: str) -> str:
    return path.split("/")[0].removesuffix(".py")


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Every function with its number of lines, docstring not counted."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            doc = node.body[0] if ast.get_docstring(node) else None
            spared = (doc.end_lineno or 0) - doc.lineno + 1 if doc else 0
            yield prefix + node.name, (node.end_lineno or 0) - node.lineno + 1 - spared
        named = isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        yield from functions(node, f"{prefix}{node.name}." if named else prefix)


def imports(tree: ast.AST, path: str) -> Iterator[tuple[str, int]]:
    """Modules imported: ours as a path below the package, others by their first name."""
    parts = path.removesuffix(".py").split("/")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name.split(".")[0], node.lineno
        elif isinstance(node, ast.Call) and called(node.func) in ("import_module", "__import__"):
            given = node.args[0] if node.args else None
            if isinstance(given, ast.Constant) and not str(given.value).startswith("."):
                yield "by name " + str(given.value).split(".")[0], node.lineno
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").split(".")[0], node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = parts[: len(parts) - node.level]
            full = [*base, *(node.module or "").split(".")] if node.module else base
            for name in node.names if not full else [None]:
                yield "./" + (full[0] if full else name.name if name else ""), node.lineno


def called(function: ast.expr) -> str:
    """The last name of what is called: import_module of importlib.import_module."""
    return getattr(function, "attr", getattr(function, "id", ""))


def breaches() -> Iterator[str]:
    reading = sum(len((PACKAGE / p).read_text().splitlines()) for p in READING)
    if reading > READING_LINES:
        yield f"the four reading files have {reading} lines, more than {READING_LINES}"
    for file in sorted([*(ROOT / "csrc").rglob("*.*"), *(ROOT / "benchmarks").rglob("*.py")]):
        lines = len(file.read_text().splitlines())
        if lines > FILE_LINES:
            yield f"{file.relative_to(ROOT)} has {lines} lines, more than {FILE_LINES}"
    for file in sorted(PACKAGE.rglob("*.py")):
        path = file.relative_to(PACKAGE).as_posix()
        text = file.read_text()
        tree = ast.parse(text)
        lines = len(text.splitlines())
        if lines > FILE_LINES and path not in LONG_FILES:
            yield f"{path} has {lines} lines, more than {FILE_LINES}"
        for name, length in functions(tree):
            if length > FUNCTION_LINES and f"{path}:{name}" not in LONG_FUNCTIONS:
                yield f"{path}: {name} has {length} lines, more than {FUNCTION_LINES}"
        for module, line in imports(tree, path):
            yield from import_breaches(path, module, line)


def import_breaches(path: str, module: str, line: int) -> Iterator[str]:
    if module in ARRAY_LIBRARIES and not path.startswith(ARRAYS_ALLOWED):
        yield f"{path}:{line} imports {module}; only {', '.join(ARRAYS_ALLOWED)} may"
    module, by_name = module.removeprefix("by name "), module.startswith("by name ")
    if module in NEVER - (BY_NAME.get(path, set()) if by_name else set()):
        yield f"{path}:{line} imports {module}"
    if module.startswith("./") and module[2:] and path != "__init__.py":
        target = module[2:]
        known = any(target in rooms for rooms in ROOMS)
        if known and level(target) > level(room_of(path)):
            yield f"{path}:{line} imports {target}, a room above it"


def main() -> int:
    found = list(breaches())
    print("\n".join(found) or "the house is in order")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
