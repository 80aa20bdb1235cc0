"""`python -m tinygrad_ai exercise [NAME]`: lists exercises, gives one, grades it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .catalogue import EXERCISES, known
from .grading import LearnerError
from .learner import grade_file, write

COLOURS = {"exact": "green", "approximate": "yellow", "wrong": "red"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="an exercise; without one all are listed")
    parser.add_argument("--file", type=Path, help="where your rule is (default NAME.py)")
    parser.add_argument("--hint", action="store_true", help="show the formula")
    parser.add_argument("--json", action="store_true", help="the answer as JSON")


def run(args: argparse.Namespace) -> int:
    """The command: 0 for a rule that is exact, 1 for another, 2 for one that does not run."""
    if args.name is None:
        return listed(args.json)
    exercise = known(args.name)
    file = args.file or Path(f"{exercise.name}.py")
    answer: dict[str, Any] = {"exercise": exercise.name, "file": str(file)}
    if args.hint:
        answer["hint"] = exercise.hint
    code = 0
    if not file.exists():
        write(exercise, file)
        answer["verdict"] = "started"
        text = f"{file} is written: fill in the rule, then give this command again"
    else:
        try:
            grade = grade_file(exercise, file)
            answer.update(grade.to_dict())
            text, code = str(grade), int(grade.verdict != "exact")
        except LearnerError as error:
            answer.update(verdict="error", error=error.message, fix=error.fix)
            text, code = str(error), 2
    if args.json:
        print(json.dumps(answer))
        return code
    console = Console()
    if args.hint:
        console.print(f"hint: {exercise.hint}", markup=False, highlight=False)
    colour = COLOURS.get(answer["verdict"], "red" if code else "")
    console.print(text, style=colour, markup=False, highlight=False, soft_wrap=True)
    return code


def listed(as_json: bool) -> int:
    """All exercises, from the first to the hardest."""
    if as_json:
        found = [{"name": e.name, "inputs": e.inputs, "forward": e.forward}
                 for e in EXERCISES.values()]  # fmt: skip
        print(json.dumps(found))
        return 0
    table = Table("", "exercise", "the forward's last line", box=None)
    for i, e in enumerate(EXERCISES.values(), 1):
        last = e.forward.split("\n")[-1].removeprefix("return ")
        table.add_row(str(i), e.name, escape(last))
    console = Console()
    console.print(table)
    console.print("python -m tinygrad_ai exercise NAME starts one", highlight=False)
    return 0
