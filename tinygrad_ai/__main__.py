"""`python -m tinygrad_ai COMMAND`: what there is to run."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

from . import __version__
from .errors import TinygradError

COMMANDS = {
    "train": (".train.command", "train the network 784-1024-10 on handwritten digits"),
    "predict": (".train.predict", "classify pictures with a trained network"),
    "pretrain": (".train.pretrain", "train a new BERT or GPT-2 on text files"),
    "finetune": (".train.finetune", "teach a BERT to sort texts, from labelled examples"),
    "generate": (".train.generate", "continue a text with a GPT-2"),
    "gradcheck": (".study.gradcheck", "check derivatives numerically, of ops or of FILE.py:f"),
    "profile": (".study.profile_command", "run FILE.py, and say where its time goes"),
    "graph": (".study.page.command", "draw the graph of a training run as a page"),
    "exercise": (".study.exercises.command", "write a rule for an op, and have it graded"),
    "quiz": (".study.exercises.quiz_command", "find the fault planted in a training run"),
    "bench": (".bench", "measure speed and memory beside PyTorch, JAX and NumPy"),
    "info": (".info", "versions, threads, and which accelerators are there"),
}


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns its exit code (2 for a mistake of the user's)."""
    parser = argparse.ArgumentParser("tinygrad_ai", description="Not related to tinygrad.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    argv = sys.argv[1:] if argv is None else argv
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if name in argv[:1]:  # load only what is asked for
            program = import_module(module, __package__)
            program.add_arguments(command)
            command.set_defaults(program=program.run)
    args = parser.parse_args(argv)
    try:
        return int(args.program(args))
    except TinygradError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
