"""`python -m tinygrad_ai train`: trains, shows how it goes, and leaves a run folder."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from ..serialization import save, write_text
from .checkpoint import load_checkpoint, save_checkpoint
from .config import OPTIMIZERS, Config
from .curves import draw_curves
from .images import load_images
from .interrupt import Interrupt, Interrupted
from .loop import Loop

INTERRUPTED = 130  # the exit code shells use for Ctrl-C


def add_arguments(parser: argparse.ArgumentParser) -> None:
    default = Config()
    parser.add_argument(
        "--epochs", type=int, help=f"how often to see every image ({default.epochs})"
    )
    parser.add_argument("--batch-size", type=int, help=f"images a step ({default.batch_size})")
    parser.add_argument("--lr", type=float, help=f"learning rate ({default.lr})")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, help=f"({default.optimizer})")
    parser.add_argument("--hidden", type=int, help=f"units of the hidden layer ({default.hidden})")
    parser.add_argument("--seed", type=int, help=f"of weights and data order ({default.seed})")
    parser.add_argument("--device", help=f"cpu or cuda ({default.device})")
    parser.add_argument("--data", metavar="DIR", help="folder of IDX files (the digits inside)")
    parser.add_argument("--out", metavar="RUN", type=Path, help="run folder to make")
    parser.add_argument("--resume", metavar="RUN", type=Path, help="run folder to continue")


def given(args: argparse.Namespace) -> dict[str, Any]:
    """The options of the configuration that stand on the command line."""
    named = {f.name: getattr(args, f.name) for f in fields(Config)}
    return {name: value for name, value in named.items() if value is not None}


def prepare(args: argparse.Namespace) -> tuple[Loop, Path]:
    """The loop to run and its folder, fresh or continued."""
    if args.resume is not None:
        options = given(args)
        if set(options) - {"epochs"} or args.out is not None:
            raise SystemExit("train: a resumed run keeps its options; only --epochs may change")
        config = replace(Config.load(args.resume), **options)
        loop = Loop(config, load_images(config.data, config.device))
        load_checkpoint(loop, args.resume)
        return loop, args.resume
    config = Config(**given(args))
    loop = Loop(config, load_images(config.data, config.device))
    run = args.out or Path("runs") / time.strftime("%Y%m%d-%H%M%S")
    if (run / "config.json").exists():
        raise SystemExit(f"train: {run} holds a run already; --resume {run} continues it")
    run.mkdir(parents=True, exist_ok=True)
    config.save(run)
    return loop, run


class Display:
    """A bar for the running epoch, a line for every finished one."""

    def __init__(self, console: Console, loop: Loop) -> None:
        self.console, self.loop = console, loop
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self.bar = Progress(*columns, TextColumn("{task.fields[text]}"), console=console)
        total = -(-len(loop.images.train) // loop.config.batch_size)
        self.task: TaskID = self.bar.add_task("", total=total, text="")

    def step(self) -> None:
        loop = self.loop
        text = f"loss {loop.loss / loop.seen:.4f}  accuracy {loop.correct / loop.seen:.1%}  "
        text += f"{loop.seen / loop.seconds:,.0f} samples/s"
        name = f"epoch {loop.epoch + 1}/{loop.config.epochs}"
        self.bar.update(self.task, completed=loop.batch, description=name, text=text)

    def epoch(self, line: dict[str, Any]) -> None:
        self.console.print(
            f"epoch {line['epoch']:>3}/{self.loop.config.epochs}  loss {line['loss']:.4f}  "
            f"accuracy {line['accuracy']:.1%}  test {line['test_accuracy']:.1%}  "
            f"{line['samples_per_second']:,.0f} samples/s",
            highlight=False,
        )


def write_results(loop: Loop, run: Path) -> str | None:
    """Weights, history and picture; returns why there is no picture."""
    save(loop.model.state_dict(), run / "model.safetensors")
    write_text(run / "history.json", json.dumps(loop.history, indent=2) + "\n")
    return draw_curves(loop.history, run / "curves.png")


def run(args: argparse.Namespace) -> int:
    """The command; returns the exit code."""
    console = Console()
    loop, folder = prepare(args)
    console.print(describe(loop), highlight=False)
    display = Display(console, loop)

    def after_epoch(line: dict[str, Any]) -> None:
        display.epoch(line)
        save_checkpoint(loop, folder)

    with Interrupt() as interrupt, display.bar:

        def after_step() -> None:
            display.step()
            interrupt.check()

        try:
            loop.run(after_step, after_epoch)
        except Interrupted:
            save_checkpoint(loop, folder)
            console.print(f"stopped; python -m tinygrad_ai train --resume {folder} goes on here")
            return INTERRUPTED
    problem = write_results(loop, folder)
    if problem:
        console.print(problem)
    accuracy = loop.evaluate(loop.images.test)[1]
    console.print(f"test accuracy {accuracy:.2%}; everything is in {folder}", highlight=False)
    return 0


def describe(loop: Loop) -> str:
    c, data = loop.config, loop.images
    source = c.data or "digits in the package (MNIST, CC BY-SA 3.0)"
    return (
        f"784-{c.hidden}-10 on {len(data.train):,} images, tested on {len(data.test):,}: {source}\n"
        f"{c.optimizer}, lr {c.lr}, batches of {c.batch_size}, seed {c.seed}, on {c.device}"
    )
