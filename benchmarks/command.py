"""`python -m tinygrad_ai bench`: how fast and how small training is, beside the best others."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console

from . import bert, imports, linear, memory, overhead, protocol, report, step, together
from .contenders import CONTENDERS
from .machine import cores, describe
from .protocol import Broken, Contender, Disagreement, Settings
from .results import Results
from .targets import targets

JOBS: dict[str, ModuleType] = {
    m.NAME: m for m in (step, linear, overhead, memory, imports, together, bert)
}
QUICK = {"rounds": 2, "seconds": 0.02}


class Mistake(Exception):
    """Something on the command line that cannot be done."""


def numbers(text: str) -> tuple[int, ...]:
    """Batches: 1,8,32."""
    found = tuple(int(part) for part in text.split(","))
    if min(found) < 1:
        raise ValueError("below 1")
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("what", choices=[*JOBS, "all"], metavar="WHAT", help=", ".join([*JOBS, "all"]))
    add("--rounds", type=int, help=f"how often everything is measured ({Settings.rounds})")
    add("--threads", type=int, help="of every contender (the cores there are)")
    add("--quick", action="store_true", help="short rounds, to try it: numbers to no one's credit")
    add("--keep-variables", action="store_true", help="pass on OMP_*, OPENBLAS_* and the like")
    add("--only", metavar="A,B", help=f"contenders, of {', '.join(CONTENDERS)}")
    add("--batch", type=numbers, metavar="N,N", help="batches of the training step")
    add("--model", type=Path, metavar="FOLDER", help="a BERT to measure instead of MiniLM")
    add("--json", type=Path, metavar="FILE", help="write down everything measured")
    add("--picture", type=Path, metavar="FILE", help="draw the training step (PNG)")
    add("--compare", type=Path, metavar="FILE", help="say what moved since that JSON")
    add("--check", action="store_true", help="exit with 1 if a target is missed")


def settings_of(args: argparse.Namespace) -> Settings:
    """What the command line asks for; Mistake if that cannot be."""
    given = {"rounds": args.rounds, "threads": args.threads, "batches": args.batch}
    given |= {"keep_variables": args.keep_variables, "model": args.model}
    wanted = {**(QUICK if args.quick else {}), **{k: v for k, v in given.items() if v is not None}}
    settings = Settings(**{"threads": cores(), **wanted})
    if settings.rounds < 1:
        raise Mistake(f"expected at least one round, got {settings.rounds}")
    allowed = len(protocol.processors())
    if not 1 <= settings.threads <= allowed:
        raise Mistake(
            f"expected 1 to {allowed} threads, as many processors, got {settings.threads}"
        )
    return settings


def chosen(only: str | None) -> list[Contender]:
    """The contenders named; all if none is."""
    names = only.split(",") if only else list(CONTENDERS)
    for name in names:
        if name not in CONTENDERS:
            raise Mistake(f"there is no contender {name!r}; there are {', '.join(CONTENDERS)}")
    return [c for key, c in CONTENDERS.items() if key in names]


def writable(*files: Path | None) -> None:
    """Mistake for a file that could not be written: better found now than in an hour."""
    for file in files:
        if file and not file.parent.is_dir():
            raise Mistake(f"cannot write {file}: there is no folder {file.parent}")


def old_results(file: Path | None) -> Results | None:
    """The run to compare with, read first, for the same reason."""
    try:
        return Results.load(file) if file else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Mistake(f"cannot compare: {error}") from error


def measure(
    jobs: Sequence[ModuleType], contenders: Sequence[Contender], settings: Settings,
    say: Callable[[str], None],
) -> Results:  # fmt: skip
    """Runs the jobs one after the other."""
    told = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(settings).items()}
    results = Results(describe(settings, contenders), told)
    for job in jobs:
        here = [c for c in contenders if c.key in job.CONTENDERS]
        its = replace(settings, threads=1) if job is overhead else settings
        with protocol.pinned(its.threads):
            if hasattr(job, "run"):
                job.run(here, its, results, say)
            else:
                protocol.run(_as_job(job), here, its, results, say)
    results.targets = [t.as_data() for t in targets(results)]
    return results


def jobs_of(what: str, settings: Settings) -> tuple[list[ModuleType], str | None]:
    """The jobs named, and why one of `all` is left out: only `bench bert` fetches its weights."""
    if what != "all":
        return [JOBS[what]], None
    if settings.model or bert.at_hand():
        return list(JOBS.values()), None
    reason = "its weights are not here; `bench bert` fetches them"
    return [job for job in JOBS.values() if job is not bert], reason


def _as_job(module: Any) -> protocol.Job:
    return module


def write(args: argparse.Namespace, results: Results) -> str | None:
    """The files asked for; why one could not be made."""
    if args.json:
        results.save(args.json)
    if args.picture:
        from .picture import draw

        return draw(results, args.picture)
    return None


def run(args: argparse.Namespace) -> int:
    """The command; returns the exit code."""
    try:
        settings, contenders = settings_of(args), chosen(args.only)
        old = old_results(args.compare)
        writable(args.json, args.picture)
        jobs, missing = jobs_of(args.what, settings)
        if bert in jobs:
            bert.folder(settings)  # fetched, or an error, before anything is measured
        with Console(stderr=True).status("") as status:
            results = measure(jobs, contenders, settings, status.update)
        if missing:
            results.left_out[bert.NAME] = missing
    except (Mistake, bert.NoWeights) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except (Disagreement, Broken) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    console = Console(width=None if sys.stdout.isatty() else 120)
    marks = targets(results)
    report.show(results, marks, console)
    if old:
        console.print(report.moved(old, results))
    problem = write(args, results)
    if problem:
        console.print(problem)
    return 1 if args.check and not all(t.passed for t in marks) else 0
