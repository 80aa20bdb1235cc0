"""`make gpu`: everything there is to prove and to measure on a GPU, phase after phase.

A phase is a command with a time limit. One that fails does not stop the others. A phase may write
figures, as a JSON object, into the file that FIGURES names. What every phase said goes into one
JSON file and one Markdown table in `benchmarks/results/`; a short summary is printed last.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from .protocol import ROOT

FIGURES = "TINYGRAD_AI_FIGURES"
RESULTS = ROOT / "benchmarks" / "results"
TAIL = 3000  # characters of a phase's output that are kept


@dataclass(frozen=True)
class Phase:
    """A command, the seconds it may take, and variables of its own."""

    name: str
    command: tuple[str, ...]
    seconds: float
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What came of a phase: `state` is passed, failed, too long, or missing (the command)."""

    name: str
    state: str
    seconds: float
    said: str
    figures: dict[str, Any]

    @property
    def last(self) -> str:
        """The last line it printed."""
        return next((line for line in reversed(self.said.splitlines()) if line.strip()), "")


PYTHON = (sys.executable, "-m")
TEST, GPU = (*PYTHON, "pytest", "-q"), {"TINYGRAD_AI_REQUIRE": "gpu"}
SANITIZER = ("compute-sanitizer", "--error-exitcode", "1", "--tool")
PHASES = (
    Phase(
        "build", (*PYTHON, "pip", "install", "--quiet", "--no-build-isolation", "--no-deps",
                  "--no-index", "--editable", "."),
        100, {"TINYGRAD_AI_CUDA": "require", "TINYGRAD_AI_NATIVE": "require"},
    ),
    Phase("info", (*PYTHON, "tinygrad_ai", "info"), 15),
    Phase("the linear layer's kernels", (*TEST, "-k", "gpu", "tests/test_cuda_linear.py"), 40, GPU),
    Phase("the other kernels", (*TEST, "-m", "gpu", "tests/test_cuda_kernels.py"), 50, GPU),
    Phase("attention", (*TEST, "-k", "gpu", "tests/test_cuda_attention.py"), 25, GPU),
    Phase("a captured step", (*TEST, "tests/test_cuda_graph.py"), 25, GPU),
    Phase(
        "the backend", (*TEST, "-n", "12", "tests/test_cuda_ops.py", "tests/test_cuda_backend.py",
                        "tests/test_cuda_ways.py", "tests/test_cuda_train.py", "tests/test_amp.py"),
        70, GPU,
    ),
    Phase("memory errors", (*SANITIZER, "memcheck", *PYTHON, "benchmarks.gpu_smoke"), 30),
    Phase("races", (*SANITIZER, "racecheck", *PYTHON, "benchmarks.gpu_smoke"), 30),
    Phase("figures", (*PYTHON, "benchmarks.gpu_figures"), 150),
)  # fmt: skip


def run(phase: Phase) -> Outcome:
    """Runs a phase to its end or its limit."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "figures.json"
        variables = {**os.environ, **phase.variables, FIGURES: str(file)}
        try:
            code, said = ended(phase.command, phase.seconds, variables)
            state = "too long" if code is None else "failed" if code else "passed"
        except FileNotFoundError:
            state, said = "missing", f"{phase.command[0]} is not installed"
        figures = json.loads(file.read_text()) if file.exists() else {}
    return Outcome(phase.name, state, time.monotonic() - start, said[-TAIL:], figures)


def ended(
    command: tuple[str, ...], seconds: float, variables: dict[str, str]
) -> tuple[int | None, str]:
    """A command's exit code and what it said; None if it took too long, and then all that it
    started is stopped, too: nothing may disturb the next."""
    with subprocess.Popen(
        command, cwd=ROOT, env=variables, text=True, errors="replace", start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        try:
            said, _ = process.communicate(timeout=seconds)
            return process.returncode, said
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said, _ = process.communicate()
            return None, said


def machine() -> dict[str, str]:
    """The GPU, its driver, and the versions of what took part."""
    from .machine import version

    packages = ("tinygrad-ai", "cupy-cuda13x", "cupy-cuda12x", "torch", "numpy")
    found = {name: v for name in packages if (v := version(name))}
    command = ("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.TimeoutExpired):
        said = ""
    device, _, driver = (said.splitlines() or ["no GPU, no driver"])[0].partition(", ")
    return {"device": device, "driver": driver, "python": sys.version.split()[0], **found}


def table(where: dict[str, str], day: str, outcomes: Iterable[Outcome]) -> str:
    """All of it as Markdown."""
    told = ", ".join([f"{name} {value}" for name, value in where.items() if name != "device"])
    lines = [f"# {where['device']}, {day}", "", told, "", "| phase | | seconds | last line |"]
    lines.append("|---|---|---|---|")
    figures = []
    for outcome in outcomes:
        last = outcome.last.replace("|", "\\|")
        lines.append(f"| {outcome.name} | {outcome.state} | {outcome.seconds:.0f} | {last} |")
        figures += [f"| {' | '.join(row(n, v))} |" for n, v in outcome.figures.items()]
    head = ["", "| figure | | target | | seconds |", "|---|---|---|---|---|"]
    return "\n".join([*lines, *head, *figures, ""])


def row(name: str, value: Any) -> list[str]:
    """A figure's name and value, its target, whether it was met, and everyone's seconds."""
    if not isinstance(value, dict):
        return [name, str(value), "", "", ""]
    if "error" in value:
        return [name, value["error"].replace("|", "\\|").replace("\n", " "), "", "not measured", ""]
    target = f"{'>=' if value['at_least'] else '<='} {value['limit']:.2f}"
    times = ", ".join([f"{who} {seconds:.3g}" for who, seconds in value["seconds"].items()])
    return [name, f"{value['value']:.3f}", target, "met" if value["passed"] else "MISSED", times]


def told(value: Any) -> str:
    """A figure's value, target and verdict in a line."""
    return "  ".join([part for part in row("", value)[1:4] if part])


def save(where: dict[str, str], day: str, outcomes: list[Outcome], folder: Path) -> Path:
    """Writes the JSON file and the table beside it; returns the first."""
    folder.mkdir(parents=True, exist_ok=True)
    device = "-".join(where["device"].lower().replace(",", " ").split())
    file = folder / f"gpu-{device}-{day}.json"
    content = {"date": day, "machine": where, "phases": [asdict(o) for o in outcomes]}
    file.write_text(json.dumps(content, indent=1) + "\n")
    file.with_suffix(".md").write_text(table(where, day, outcomes))
    return file


def main(arguments: list[str] | None = None, phases: tuple[Phase, ...] = PHASES) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--only", help="phases by name, with commas")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    chosen = parser.parse_args(arguments)
    names = chosen.only.split(",") if chosen.only else [p.name for p in phases]
    if unknown := set(names) - {p.name for p in phases}:
        parser.error(f"no phase {', '.join(sorted(unknown))}; there are "
                     f"{', '.join([p.name for p in phases])}")  # fmt: skip
    outcomes = []
    for phase in [p for p in phases if p.name in names]:
        print(f"== {phase.name}", flush=True)
        outcomes.append(run(phase))
        print(outcomes[-1].said, flush=True)
    file = save(machine(), date.today().isoformat(), outcomes, chosen.out)
    print("== summary")
    for o in outcomes:
        print(f"{o.name:12} {o.state:9} {o.seconds:4.0f} s  {o.last[:100]}")
        for name, value in o.figures.items():
            print(f"  {name}: {told(value)}")
    print(f"results: {file}")
    return int(any([o.state != "passed" for o in outcomes]))


if __name__ == "__main__":
    sys.exit(main())
