"""How everything is measured: fairly, or not at all.

- Each contender has a process of its own. They work in turn (A B C, A B C, ...), round after round,
  each round with fresh processes; those whose turn it is not are stopped.
- All start from the same numbers, and before a case is timed everyone's results are compared with a
  float64 computation. Who disagrees ends the benchmark.
- All have the same threads: a process may use only N processors, and is told so in every language.
- A process warms up, then times run by run and answers the median. Figures are medians over rounds,
  ratios the median of the rounds' ratios.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .results import PROCESSOR as PROCESSOR_KEY
from .results import Key, Results

ROOT = Path(__file__).parent.parent

# Variables that make contenders faster or slower. They are not passed on unless asked for: one that
# picks old kernels for NumPy, set for something else, would make us look good. Ours are wishes.
SPEED = (
    "OMP_", "OPENBLAS_", "MKL_", "KMP_", "GOMP_", "BLIS_", "XLA_", "JAX_", "TORCH", "ATEN_",
    "MALLOC_", "LD_PRELOAD", "GLIBC_TUNABLES",
)  # fmt: skip
VARIABLES = dict(os.environ)  # as we were started: libraries add to os.environ
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Disagreement(Exception):
    """A contender computes something else, so its time means nothing."""


class Broken(Exception):
    """A contender's process failed; the message has its last words."""


@dataclass(frozen=True)
class Contender:
    """Who takes part. `module` has one function for each job, named as the job."""

    key: str
    title: str
    module: str
    variant: str = ""
    packages: tuple[str, ...] = ()  # to be installed, the first one gives the version
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def missing(self) -> str | None:
        """What is not installed, in words."""
        absent = [name for name in self.packages if find_spec(name) is None]
        return f"{' and '.join(absent)} not installed" if absent else None


# Not a contender: the process in which the machine itself is measured.
PROCESSOR = Contender(PROCESSOR_KEY, "the processor", "benchmarks.machine")
UNITS = {"multiply-adds": "flop/s", "traffic": "B/s", "memory": "B/s", "others": "CPUs"}


@dataclass(frozen=True)
class Settings:
    """How much is measured."""

    threads: int = 1
    rounds: int = 5
    seconds: float = 0.5
    batches: tuple[int, ...] | None = None
    keep_variables: bool = False
    model: Path | None = None  # a BERT's folder, if not MiniLM's


class Job(Protocol):
    """A module that says what is measured. `data` is the same in every process."""

    NAME: str
    PROOFS: int  # runs whose results are compared
    TOLERANCE: float  # of the error's norm over the reference's, in float32
    PARAMETERS: int  # the size at which the traffic ceiling is measured; 0: no ceilings

    def cases(self, settings: Settings) -> Sequence[Any]: ...
    def label(self, case: Any) -> str: ...
    def data(self, case: Any) -> Any: ...
    def reference(self, data: Any) -> dict[str, np.ndarray]: ...


def environment(settings: Settings, contender: Contender | None = None) -> dict[str, str]:
    """A child's environment: ours, with the threads said in every language."""
    drop: tuple[str, ...] = ("PYTHONDONTWRITEBYTECODE",)  # or every import would compile again
    if not settings.keep_variables:
        drop += SPEED
    env = {k: v for k, v in VARIABLES.items() if not k.startswith(drop)}
    env.update(dict.fromkeys(THREAD_VARIABLES, str(settings.threads)))
    return {**env, **(contender.env if contender else {})}


def processors() -> list[int]:
    """Those this process may use."""
    pinnable = hasattr(os, "sched_getaffinity")
    return sorted(os.sched_getaffinity(0)) if pinnable else list(range(os.cpu_count() or 1))


def pinned_to(count: int) -> list[int]:
    """Processors for `count` threads: of different cores, before second ones of a core."""

    def place(cpu: int) -> int:
        file = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        told = file.read_text() if file.exists() else str(cpu)
        siblings = sorted(int(part) for part in told.replace("-", ",").split(","))
        return siblings.index(cpu) if cpu in siblings else 1

    return sorted(sorted(processors(), key=lambda cpu: (place(cpu), cpu))[:count])


@contextmanager
def pinned(threads: int) -> Iterator[None]:
    """Inside, this process and its children run on `threads` processors, where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, pinned_to(threads))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Worker:
    """A contender's process, stopped while it is not asked."""

    def __init__(self, contender: Contender, settings: Settings) -> None:
        self.contender = contender
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed on exit
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", contender.module, contender.variant],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, cwd=ROOT,
            env=environment(settings, contender),
        )  # fmt: skip

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        assert self.process.stdin and self.process.stdout
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.process.wait()
            self.log.seek(0)
            words = self.log.read().strip().splitlines()[-12:]
            raise Broken("\n".join([f"{self.contender.title} failed:", *words]))
        self.process.send_signal(signal.SIGSTOP)
        return json.loads(line)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.communicate()
        self.log.close()


def norm(x: np.ndarray) -> float:
    """Not np.linalg.norm: its BLAS threads would spin on while the next contender is timed."""
    return float(np.sqrt(np.square(x).sum()))


def disagreement(
    found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], tolerance: float
) -> str | None:
    """What differs, in words; None if all is as expected."""
    if set(found) != set(expected):
        return f"gives {sorted(found)}, expected {sorted(expected)}"
    for name, want in expected.items():
        got = np.asarray(found[name], np.float64)
        if got.shape != want.shape:
            return f"{name} has the shape {got.shape}, expected {want.shape}"
        error = norm(got - want) / max(norm(want), 1e-300)
        if not error <= tolerance:  # a NaN is an error too
            return f"{name} is off by {error:.2g} of its norm, more than {tolerance:.2g}"
    return None


def prove(worker: Worker, job: Job, case: Any, expected: Mapping[str, np.ndarray]) -> str | None:
    """Disagreement if a contender's results are wrong; why, if it cannot take part here."""
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "proof.npz")
        answer = worker.ask("prove", job=job.NAME, case=case, file=file)
        if "left out" in answer:
            return str(answer["left out"])
        with np.load(file) as found:
            wrong = disagreement(found, expected, job.TOLERANCE)
    if wrong:
        raise Disagreement(
            f"{job.NAME}, {job.label(case)}: {worker.contender.title} disagrees with the float64 "
            f"reference, so nothing was timed: {wrong}"
        )
    return None


def present(contenders: Sequence[Contender], results: Results) -> list[Contender]:
    """Those that are installed; the others are written down with the reason."""
    results.left_out.update({c.key: c.missing for c in contenders if c.missing})
    return [c for c in contenders if not c.missing]


def measure_processor(job: Job, settings: Settings, results: Results) -> None:
    """What it can do at most, and what others do with it, in the same minutes as the contenders."""
    with Worker(PROCESSOR, settings) as worker:
        found = worker.ask("processor", parameters=job.PARAMETERS, seconds=settings.seconds)
    for name, value in found.items():
        results.add(Key(job.NAME, name, PROCESSOR.key), UNITS[name], value)


def run_round(
    job: Job, contenders: Sequence[Contender], settings: Settings, results: Results,
    cases: Mapping[str, tuple[Any, Mapping[str, np.ndarray]]],
) -> None:  # fmt: skip
    """Every case once, by every contender in turn, in fresh processes."""
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(c, settings)) for c in contenders]
        for label, (case, expected) in cases.items():
            for worker in list(workers):
                reason = prove(worker, job, case, expected)
                if reason:
                    results.left_out[worker.contender.key] = reason
                    results.drop(job.NAME, worker.contender.key)
                    workers.remove(worker)
            for worker in workers:
                found = worker.ask("time", seconds=settings.seconds)
                key = Key(job.NAME, label, worker.contender.key)
                results.add(key, "s", found["seconds"], found["cpus"])


def run(
    job: Job, contenders: Sequence[Contender], settings: Settings, results: Results,
    say: Callable[[str], None],
) -> None:  # fmt: skip
    """Measures a job and adds its figures to the results."""
    cases = {job.label(c): (c, job.reference(job.data(c))) for c in job.cases(settings)}
    for index in range(settings.rounds):
        say(f"{job.NAME}, round {index + 1} of {settings.rounds}")
        measure_processor(job, settings, results)
        here = [c for c in present(contenders, results) if c.key not in results.left_out]
        run_round(job, here, settings, results, cases)
