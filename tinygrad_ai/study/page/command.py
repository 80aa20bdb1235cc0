"""`python -m tinygrad_ai graph RUN`: the graph of a training run, as a page."""

from __future__ import annotations

import argparse
from pathlib import Path

from ...errors import ArgumentError, CheckpointError
from ...train.checkpoint import FILE, load_checkpoint
from ...train.config import Config
from ...train.images import load_images
from ...train.loop import Loop
from ..watched import record
from .graph import Graph, graph
from .recorder import graph_recorder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="a folder that train made")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="html, svg, dot, mmd or json (RUN/graph.html)"
    )
    parser.add_argument(
        "--replay", type=int, metavar="STEPS",
        help="train the first steps again, and record them for the slider",
    )  # fmt: skip
    parser.add_argument(
        "--every", type=int, default=10, metavar="N",
        help="with --replay: record each n-th step (10)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """The command; returns the exit code."""
    config = Config.load(args.run)
    loop = Loop(config, load_images(config.data, config.device))
    made = replayed(loop, args) if args.replay is not None else trained(loop, args.run)
    print(made.save(args.out or args.run / "graph.html"))
    return 0


def trained(loop: Loop, run: Path) -> Graph:
    """A batch of a run through the weights of its checkpoint, and the run's history."""
    if not (run / FILE).exists():
        raise CheckpointError(f"{run} has no {FILE} yet", "--replay STEPS needs none")
    load_checkpoint(loop, run)
    loop.batch = 0  # it may have been stopped behind the last one
    images, labels = next(loop.batches())
    with record() as calls:
        loss = loop.criterion(loop.model(images), labels)
    found = graph(loss, loop.model, calls=calls)
    found.history = loop.history
    return found


def replayed(loop: Loop, args: argparse.Namespace) -> Graph:
    """The first steps of a run, made again: they depend on its configuration alone."""
    if args.replay < 1:
        raise ArgumentError(f"expected --replay >= 1, a number of steps, got {args.replay}")
    with graph_recorder(loop.model, args.every) as rec:
        while rec.steps < args.replay:
            for images, labels in loop.batches():
                loop.optimizer.zero_grad()
                loss = loop.criterion(loop.model(images), labels)
                rec.step(loss)
                loss.backward()
                loop.optimizer.step()
                if rec.steps == args.replay:
                    break
            loop.epoch += 1
    return rec.graph()
