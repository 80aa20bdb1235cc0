"""`python -m tinygrad_ai bench`: the benchmarks of the source repository, where they are."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

HOME = Path(__file__).parent.parent  # of a checkout, or of an editable install


def command() -> Any:
    """The command's module, beside the package; ends the program where it is not."""
    if not (HOME / "benchmarks" / "protocol.py").exists():
        raise SystemExit("bench: the benchmarks come with the source repository; run it from there")
    if str(HOME) not in sys.path:
        sys.path.insert(0, str(HOME))
    return import_module("benchmarks.command")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    command().add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """The command; returns the exit code."""
    return int(command().run(args))
