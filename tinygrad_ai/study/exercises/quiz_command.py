"""`python -m tinygrad_ai quiz`: a training run with a fault beside a healthy one."""

from __future__ import annotations

import argparse
import json
import sys
import time
from math import isfinite
from typing import Any

from rich.console import Console
from rich.table import Table

from ...errors import ArgumentError
from .quiz import Quiz, healthy, quiz

STEPS = (1, 2, 3, 5, 10, 20, 40, 60)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, help="which run (default: a new one each second)")
    parser.add_argument("--answer", help="the name of the fault, instead of being asked")
    parser.add_argument("--reveal", action="store_true", help="say what it is, and how it shows")
    parser.add_argument("--json", action="store_true", help="everything as JSON, nothing is asked")


def run(args: argparse.Namespace) -> int:
    """The command: 0, or 1 for an answer that is wrong."""
    seed = int(time.time()) % 100_000 if args.seed is None else args.seed
    sick, well = quiz(seed), healthy(seed)
    losses = {"this run": sick.train(max(STEPS)), "healthy": well.train(max(STEPS))}
    found: dict[str, Any] = {"seed": seed, "choices": sick.choices}
    answer = args.answer
    if not args.json:
        shown(seed, sick, losses)
        if answer is None and not args.reveal and sys.stdin.isatty():
            answer = asked(sick)
    if answer is not None:
        found["correct"] = sick.check(answer)
    if args.reveal:
        found["fault"], found["proof"] = sick.reveal()
    found["losses"] = {k: [x if isfinite(x) else None for x in row] for k, row in losses.items()}
    print(json.dumps(found) if args.json else verdict(found))
    return int(found.get("correct") is False)


def shown(seed: int, sick: Quiz, losses: dict[str, list[float]]) -> None:
    """The two runs side by side, and the choices."""
    console = Console()
    table = Table("step", *losses, title=f"quiz {seed}: loss for a sample", box=None)
    for step in STEPS:
        table.add_row(str(step), *[f"{row[step - 1]:.4g}" for row in losses.values()])
    console.print(table)
    choices = Table("answer", "what is wrong", box=None)
    for name, text in sick.choices.items():
        choices.add_row(name, text)
    console.print(choices)
    lines = f"from tinygrad_ai.study import quiz, lint, watch; run = quiz({seed})"
    console.print(f"In Python: {lines}", highlight=False, soft_wrap=True)


def asked(sick: Quiz) -> str | None:
    """The answer that is typed, again until it is one of the choices; None at the end of input."""
    while True:
        try:
            answer = input("What is wrong? ").strip()
            sick.check(answer)
            return answer
        except ArgumentError as error:
            print(error)
        except EOFError:
            return None


def verdict(found: dict[str, Any]) -> str:
    lines = []
    if "correct" in found:
        lines.append("right" if found["correct"] else "no, it is something else")
    if "fault" in found:
        lines.append(f"it is: {found['fault']} ({found['choices'][found['fault']]})")
        lines.append(f"how to see it: {found['proof']}")
    return "\n".join(lines or [f"answer with: quiz --seed {found['seed']} --answer '...'"])
