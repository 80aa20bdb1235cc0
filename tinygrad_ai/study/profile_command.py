"""`python -m tinygrad_ai profile FILE.py`: runs a script under study.profile."""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console

from ..errors import ArgumentError
from .picture import SUFFIXES, file
from .profile import profile
from .profile_places import class_name
from .profile_report import Report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE.py", help="a script that trains")
    parser.add_argument("--by", choices=("op", "layer", "line"), default="op", help="rows (op)")
    parser.add_argument("--json", action="store_true", help="print JSON; the script's own output "
                        "goes to the error stream")  # fmt: skip
    parser.add_argument("--trace", type=Path, metavar="FILE", help="write a trace for Perfetto")
    parser.add_argument("--roofline", type=Path, metavar="FILE", help="draw the roofline")
    parser.add_argument("--memory", action="store_true", help="memory by category over time")
    parser.add_argument("--args", nargs=argparse.REMAINDER, default=[], metavar="ARG",
                        help="all that follows is the script's")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Prints the profile, also of a script that fails; returns the script's exit code."""
    code = compiled(args.file)
    # A mistake is told before the script has run; it may go to another folder meanwhile.
    args.trace = args.trace and file(args.trace, ".json").resolve()
    args.roofline = args.roofline and file(args.roofline, *SUFFIXES).resolve()
    module = ModuleType("__main__")
    module.__file__ = str(args.file)
    profiled = profile(memory=args.memory, called=partial(variable, vars(module)))
    output = redirect_stdout(sys.stderr) if args.json else nullcontext()
    with output, as_main(module, args), profiled as report:
        status = executed(code, module)
    written(report, args)
    return status


def compiled(file: Path) -> Any:
    if not file.is_file():
        raise ArgumentError(f"{file} does not exist")
    try:
        return compile(file.read_bytes(), str(file), "exec")
    except (SyntaxError, ValueError) as error:
        raise ArgumentError(f"{file} is no Python script: {error}") from None


@contextmanager
def as_main(module: ModuleType, args: argparse.Namespace) -> Iterator[None]:
    """The script finds itself, its arguments and its neighbours where Python puts them."""
    before = sys.argv, sys.path[:], sys.modules["__main__"]
    sys.argv = [str(args.file), *args.args]
    sys.path.insert(0, str(args.file.resolve().parent))
    sys.modules["__main__"] = module
    try:
        yield
    finally:
        sys.argv, sys.path[:], sys.modules["__main__"] = before


def executed(code: Any, module: ModuleType) -> int:
    """Runs the script; its exit code, with the traceback printed where it failed."""
    try:
        exec(code, vars(module))
        return 0
    except SystemExit as leaving:
        if isinstance(leaving.code, str):
            print(leaving.code, file=sys.stderr)
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        own = error.__traceback__.tb_next if error.__traceback__ else None
        traceback.print_exception(type(error), error, own)
        return 1


def variable(names: dict[str, Any], module: Any) -> str:
    """What the script calls a module: its variable, or else its class."""
    found = [name for name, value in names.items() if value is module]
    return found[0] if found else class_name(module)


def written(report: Report, args: argparse.Namespace) -> None:
    """The text first: a picture may fail."""
    console = Console()
    if args.json:
        print(json.dumps(report.to_dict(), indent=2))
    else:
        console.print(report.by(args.by))
        if args.memory:
            console.print(report.memory)
    if args.trace:
        report.trace(args.trace)
    if args.roofline:
        report.roofline(args.roofline)
