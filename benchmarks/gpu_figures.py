"""`python -m benchmarks.gpu_figures`: what `make gpu` measures beside PyTorch, with targets.

Each group of figures has a process of its own and a time limit: a kernel that breaks the GPU's
context, or PyTorch that is not there, costs the other figures nothing. What was found is written as
it comes, into the file that FIGURES names.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from .gpu import FIGURES, told
from .gpu_clock import Times
from .gpu_place import Place
from .protocol import ROOT
from .targets import Target

GROUPS = {"gpu_step": 30.0, "gpu_linear": 65.0, "gpu_attention": 30.0, "gpu_adam": 20.0}


def as_data(target: Target, times: Times) -> dict[str, Any]:
    """What is kept of a figure: the target, and everyone's median."""
    seconds = {name: median(found) for name, found in times.items()}
    return {**target.as_data(), "seconds": seconds}


def measure(figures: dict[str, Callable[[], Any]], keep: Callable[[str, Any], None]) -> bool:
    """Each figure by itself; what one fails with is kept in its place. Whether all were found."""
    complete = True
    for name, figure in figures.items():
        try:
            for target, times in figure():
                keep(target.text, as_data(target, times))
        except Exception as error:
            complete = False
            keep(name, {"error": f"{type(error).__name__}: {error}"})
    return complete


class Kept:
    """Figures in a file, after each one all of them."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.figures: dict[str, Any] = {}
        if file and file.exists() and file.stat().st_size:
            self.figures = json.loads(file.read_text())

    def __call__(self, name: str, value: Any) -> None:
        self.figures[name] = value
        print(f"{name}: {told(value)}", flush=True)
        if self.file:
            unready = self.file.with_suffix(".part")  # a process may be stopped while it writes
            unready.write_text(json.dumps(self.figures))
            unready.rename(self.file)


def run_group(name: str, seconds: float, file: Path | None) -> bool:
    """A group in its own process; whether it found all its figures in time."""
    command = [sys.executable, "-m", "benchmarks.gpu_figures", "--group", name]
    try:
        code = subprocess.run(command, cwd=ROOT, timeout=seconds).returncode
    except subprocess.TimeoutExpired:
        Kept(file)(name, {"error": f"not done after {seconds:.0f} s"})
        return False
    if code not in (0, 1):  # killed: it could not say so itself
        Kept(file)(name, {"error": f"ended with {code}"})
    return code == 0


def measure_group(name: str, keep: Callable[[str, Any], None]) -> int:
    """A group in this process; the exit code."""
    try:
        figures = import_module(f".{name}", __package__).figures(Place())
    except Exception as error:
        keep(name, {"error": f"{type(error).__name__}: {error}"})
        return 1
    return int(not measure(figures, keep))


def main(arguments: list[str] | None = None, groups: dict[str, float] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_figures", description=__doc__)
    parser.add_argument("--group", help="this group only, in this process")
    chosen = parser.parse_args(arguments)
    file = Path(os.environ[FIGURES]) if FIGURES in os.environ else None
    if chosen.group:
        return measure_group(chosen.group, Kept(file))
    complete = []
    for name, seconds in (GROUPS if groups is None else groups).items():
        start = time.monotonic()
        complete.append(run_group(name, seconds, file))
        print(f"{name}: {time.monotonic() - start:.0f} s", flush=True)
    return int(not all(complete))


if __name__ == "__main__":
    sys.exit(main())
