"""What the commands that train a language model share: options that are kept with the run, a folder
that is never overwritten unasked, a stop between two steps, and going on."""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from rich.console import Console

from ..errors import ArgumentError, CheckpointError, DataError
from ..serialization import write_text
from .callbacks import TrainerCallback
from .interrupt import Interrupt, Interrupted
from .trainer_checkpoint import get_last_checkpoint

RECORD, METRICS = "command.json", "metrics.json"
STOPPED = 130  # the exit code shells use for Ctrl-C
TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "merges.txt",
)  # fmt: skip
LEFT = (  # what a run leaves in its folder
    RECORD, METRICS, "log.jsonl", "config.json", "model.safetensors", "training_args.json",
    *TOKENIZER, "adapter",
)  # fmt: skip

Job = TypeVar("Job", bound="Options")


@dataclass(frozen=True)
class Options:
    """The options of one run, all that decides its outcome; a subclass is one command's."""

    COMMAND: ClassVar[str] = ""
    MAY_CHANGE: ClassVar[tuple[str, ...]] = ("epochs",)  # by a run that is resumed

    @classmethod
    def given(cls, args: argparse.Namespace) -> dict[str, Any]:
        """The options that stand on the command line."""
        named = {f.name: getattr(args, f.name) for f in fields(cls)}
        return {name: value for name, value in named.items() if value is not None}

    def files(self) -> list[str]:
        """The files whose content decides the outcome, too."""
        return []

    def save(self, folder: Path) -> None:
        content = {
            "command": self.COMMAND, "options": asdict(self),
            "sha256": {name: digest(name) for name in self.files()},
        }  # fmt: skip
        write_text(folder / RECORD, json.dumps(content, indent=2) + "\n")

    @classmethod
    def load(cls: type[Job], folder: Path, changes: dict[str, Any]) -> Job:
        """The options of the run in a folder. Only what cannot change its past may be changed."""
        wrong = sorted(set(changes) - set(cls.MAY_CHANGE))
        if wrong:
            may = " and ".join(option(name) for name in cls.MAY_CHANGE)
            raise ArgumentError(
                f"a resumed run keeps its options; {option(wrong[0])} cannot change, only {may}"
            )
        path = folder / RECORD
        try:
            found = json.loads(path.read_text("utf-8"))
            if found["command"] != cls.COMMAND:
                raise CheckpointError(f"{folder} is a run of {found['command']}")
            options, sums = found["options"], found["sha256"].items()
            known = {f.name: options[f.name] for f in fields(cls)}
        except (FileNotFoundError, NotADirectoryError):
            raise CheckpointError(f"{folder} holds no run: it has no {RECORD}") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path} is damaged: {error!r}") from None
        for name, before in sums:
            if digest(name) != before:
                raise CheckpointError(f"{name} is not what it was when the run in {folder} began")
        return cls(**{**known, **changes})


def option(name: str) -> str:
    """A field as it is written on the command line."""
    return "--" + name.replace("_", "-")


def digest(path: Any) -> str:
    """The SHA-256 of a file's content."""
    found = hashlib.sha256()
    try:
        with Path(path).open("rb") as file:
            while piece := file.read(1 << 20):
                found.update(piece)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    return found.hexdigest()


# ---- the folder


def add_folder_arguments(parser: argparse.ArgumentParser, changes: str) -> None:
    parser.add_argument("--out", metavar="DIR", type=Path, help="folder to make")
    parser.add_argument(
        "--resume", metavar="DIR", type=Path,
        help=f"go on with the run in this folder, with its options; only {changes} may change",
    )  # fmt: skip
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an older run of this package in --out"
    )


def opened(args: argparse.Namespace, kind: type[Job], needed: Iterable[str]) -> tuple[Job, Path]:
    """The options and the folder of a run, fresh or taken up. Nothing is written yet."""
    if args.resume is not None:
        if args.out is not None or args.overwrite:
            raise ArgumentError("--resume DIR names the folder: without --out and --overwrite")
        return kind.load(args.resume, kind.given(args)), args.resume
    missing = [o for o in needed if getattr(args, o) is None] + ["out"] * (args.out is None)
    if missing:
        raise ArgumentError(f"{kind.COMMAND} needs {', '.join(map(option, missing))}")
    check_free(args.out, args.overwrite)
    return kind(**kind.given(args)), args.out


def check_free(folder: Path, overwrite: bool) -> None:
    """ArgumentError if something lies in a folder that would be overwritten."""
    if folder.exists() and not folder.is_dir():
        raise ArgumentError(f"{folder} is a file, expected a folder to make")
    there = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    if not there:
        return
    if RECORD not in there:
        raise ArgumentError(
            f"{folder} is not empty, and what it holds is no run: {', '.join(there[:5])}",
            "another --out",
        )
    if not overwrite:
        raise ArgumentError(
            f"{folder} holds a run already",
            f"--resume {folder} goes on with it, --overwrite replaces it",
        )


def check_apart(folder: Path, source: str | None, name: str) -> None:
    """ArgumentError if the run would overwrite the folder that it reads, or one around it."""
    read = None if source is None else Path(source).resolve()
    if read == folder.resolve():
        raise ArgumentError(f"--out and {option(name)} are the same folder", "another --out")
    if read is not None and folder.resolve() in read.parents:
        raise ArgumentError(f"{option(name)} lies in --out, {folder}", "another --out")


def claim(folder: Path, options: Options, console: Console) -> None:
    """Makes the folder, without what an older run left in it, and writes the options there."""
    try:
        if (folder / RECORD).exists():
            say(console, f"{folder} held a run, which is replaced")
        for path in [folder / name for name in LEFT] + list(folder.glob("checkpoint-*")):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        options.save(folder)
    except OSError as error:
        raise ArgumentError(f"{folder} cannot be written: {error.strerror}") from None


# ---- running


class Stop(TrainerCallback):
    """After Ctrl-C: a checkpoint of the step that was running, then Interrupted."""

    def __init__(self, interrupt: Interrupt) -> None:
        self.interrupt = interrupt

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        control.should_save |= self.interrupt.asked

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        self.interrupt.check()


def trained(
    make: Callable[[list[Any]], Any], command: str, folder: Path, resumed: bool, console: Console
) -> Any:
    """The Trainer that `make(callbacks)` gives, trained to the end; None after Ctrl-C."""
    last = get_last_checkpoint(folder) if resumed else None
    if resumed:
        where = f"going on from {last}" if last else "there is no checkpoint yet: from the start"
        say(console, where)
    try:
        with Interrupt() as interrupt:
            trainer = make([Stop(interrupt)])
            trainer.train(resume_from_checkpoint=last)
    except (Interrupted, KeyboardInterrupt):
        say(console, f"stopped; python -m tinygrad_ai {command} --resume {folder} goes on here")
        return None
    return trainer


def say(console: Console, words: str) -> None:
    """Words as they are, paths in one piece."""
    console.print(words, markup=False, highlight=False, soft_wrap=True)


def write_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    write_text(folder / METRICS, json.dumps(metrics, indent=2) + "\n")


def size(model: Any) -> int:
    """How many numbers a model has; those it shares count once."""
    return sum([p.numel() for p in model.parameters()])
