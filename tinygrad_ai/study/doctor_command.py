"""`python -m tinygrad_ai gradcheck FILE.py:function`: the doctor's report on one function.

Its inputs are, in this order: normal random numbers in the shapes of `--shape`, one for each
argument; what INPUTS of the file says, a tuple, or a function that returns one; the defaults of the
function's arguments.
"""

from __future__ import annotations

import argparse
import inspect
import json
import runpy
import sys
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from rich.console import Console

from ..backend.dtypes import is_floating
from ..backend.random import Generator
from ..errors import ArgumentError
from ..ops.create import tensor
from ..tensor import Tensor, wrap
from .doctor import gradcheck

OPTIONS = ("shape", "seed", "picture")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("with FILE.py:function")
    group.add_argument("--shape", action="append", metavar="N,M", help="the shape of an argument, "
                       "filled with normal random numbers; once for each argument")  # fmt: skip
    group.add_argument("--seed", type=int, help="of these numbers (0)")
    group.add_argument("--picture", metavar="FILE", help="draw the error over step sizes")


def refuse_options(args: argparse.Namespace) -> None:
    for name in OPTIONS:
        if getattr(args, name) is not None:
            raise ArgumentError(f"--{name} is for FILE.py:function, ops have inputs of their own")


def run(args: argparse.Namespace) -> int:
    """Prints the report; 0 if the verdict is right, else 1."""
    if len(args.ops) != 1 or args.all:
        raise ArgumentError("expected one FILE.py:function and no other name")
    function, names = load(args.ops[0])
    given = inputs(function, names, args.shape, args.seed or 0)
    check_arguments(function, given)
    report = gradcheck(function, given)
    if args.json:
        print(json.dumps({"function": args.ops[0], **report.to_dict()}, indent=2))
    else:
        Console().print(report)
    if args.picture:
        report.plot(args.picture)
    return 0 if report.ok else 1


def check_arguments(function: Callable[..., Any], given: tuple[Any, ...]) -> None:
    """ArgumentError for a function that cannot be called with these."""
    try:
        inspect.signature(function).bind(*given)
    except TypeError as error:
        count = f"{len(given)} argument{'s' * (len(given) != 1)}"
        raise ArgumentError(
            f"{name_of(function)} cannot be called with {count}: {error}",
            "one --shape for each argument",
        ) from None
    except ValueError:  # it has no signature, as some of C's
        pass


def load(target: str) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The function FILE.py:function, and all names of the file, which is run for it."""
    file, _, name = target.rpartition(":")
    if not Path(file).is_file():
        raise ArgumentError(f"{file} does not exist")
    sys.path.insert(0, str(Path(file).resolve().parent))  # as `python FILE.py` does
    names = runpy.run_path(file, run_name=Path(file).stem)
    if not callable(names.get(name)):
        functions = [n for n, v in names.items() if inspect.isfunction(v)]
        near = get_close_matches(name, functions, 1) or functions[:1]
        fix = f"{file}:{near[0]}" if near else f"define {name}(x) there"
        raise ArgumentError(f"{file} has no function {name!r}", fix)
    return names[name], names


def inputs(
    function: Callable[..., Any], names: dict[str, Any], shapes: list[str] | None, seed: int
) -> tuple[Any, ...]:
    """The arguments to check a function at."""
    if shapes:
        random = Generator().manual_seed(seed).numpy
        return tuple([wrap(random.standard_normal(_shape(text))) for text in shapes])
    if "INPUTS" in names:
        found = names["INPUTS"]
        found = found() if callable(found) else found
        return tuple(found) if isinstance(found, (tuple, list)) else (found,)
    parameters = list(inspect.signature(function).parameters.values())
    defaults = [p.default for p in parameters if p.kind is not p.KEYWORD_ONLY]
    if not defaults or any([d is inspect.Parameter.empty for d in defaults]):
        raise ArgumentError(
            f"{name_of(function)} has arguments without values",
            "--shape 3,4 for each of them, or INPUTS = (...) in the file, or defaults",
        )
    return tuple([_checked(d) for d in defaults])


def name_of(function: Any) -> str:
    """A function's name; of what is only called like one, as a module, its class's."""
    return getattr(function, "__name__", type(function).__name__)


def _shape(text: str) -> tuple[int, ...]:
    try:
        found = tuple([int(n) for n in text.split(",") if n])
    except ValueError:
        found = (-1,)
    if min(found, default=0) < 0:
        raise ArgumentError(f"expected a shape such as 3,4, got {text!r}")
    return found


def _checked(value: Any) -> Any:
    """A default as the function shall see it: floats and lists of them as float64 tensors."""
    if isinstance(value, float) or (isinstance(value, (list, tuple)) and value):
        return tensor(value, dtype="float64")
    return value.double() if isinstance(value, Tensor) and is_floating(value.dtype) else value
