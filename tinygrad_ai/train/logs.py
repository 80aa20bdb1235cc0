"""What a Trainer tells: a bar, lines, a JSON-lines file, TensorBoard's files."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..errors import ArgumentError
from ..serialization import write_text
from .callbacks import TrainerCallback

LOG_FILE = "log.jsonl"


def shown(logs: dict[str, Any]) -> dict[str, Any]:
    """Numbers with four digits, without total_flos, which as in Hugging Face is for the files."""
    kept = {k: v for k, v in logs.items() if k != "total_flos"}
    return {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in kept.items()}


class PrinterCallback(TrainerCallback):
    """A line for each log: {'loss': 0.69, 'grad_norm': 1.2, 'learning_rate': 5e-05, ...}."""

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        print(shown(kwargs["logs"]))


class ProgressCallback(TrainerCallback):
    """A bar for the training and one for each evaluation, logs as lines above them."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()
        self.bar: Progress | None = None
        self.training: Any = None
        self.predicting: Any = None

    def open(self) -> Progress:
        if self.bar is None:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            self.bar = Progress(*columns, TimeRemainingColumn(), console=self.console)
            self.bar.start()
        return self.bar

    def close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
        self.bar = self.training = self.predicting = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        self.close()  # what an interrupted run left
        self.training = self.open().add_task(
            "training", total=state.max_steps, completed=state.global_step
        )

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        if self.training is not None:
            self.open().update(self.training, completed=state.global_step)

    def on_prediction_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        if self.predicting is None:
            loader = kwargs["eval_dataloader"]
            total = len(loader) if hasattr(loader, "__len__") else None
            self.predicting = self.open().add_task("evaluation", total=total)
        self.open().advance(self.predicting)

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        if self.predicting is not None:
            self.open().remove_task(self.predicting)
            self.predicting = None
        if self.training is None:
            self.close()

    on_predict = on_evaluate

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        self.console.print(str(shown(kwargs["logs"])), markup=False, highlight=False)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        self.close()


class JsonLinesCallback(TrainerCallback):
    """log.jsonl in logging_dir or output_dir: one line for each log of the run, with its step.

    A run that starts anew begins a new file; one that is resumed keeps the lines up to its step.
    """

    def path(self, args: Any) -> Path:
        return Path(args.logging_dir or args.folder) / LOG_FILE

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        self.path(args).parent.mkdir(parents=True, exist_ok=True)
        write_text(
            self.path(args), "".join([json.dumps(line) + "\n" for line in state.log_history])
        )

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        self.path(args).parent.mkdir(parents=True, exist_ok=True)
        with self.path(args).open("a") as file:
            file.write(json.dumps({**kwargs["logs"], "step": state.global_step}) + "\n")


class TensorBoardCallback(TrainerCallback):
    """Event files in logging_dir (or output_dir/runs), written by tensorboardX."""

    def __init__(self) -> None:
        self.writer: Any = None

    def open(self, args: Any) -> Any:
        if self.writer is None:
            from tensorboardX import SummaryWriter

            self.writer = SummaryWriter(args.logging_dir or str(Path(args.folder) / "runs"))
        return self.writer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        self.open(args).add_text("args", args.to_json_string())

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        for name, value in kwargs["logs"].items():
            if isinstance(value, (int, float)):
                self.open(args).add_scalar(tag(name), value, state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        self.open(args).close()
        self.writer = None


def tag(name: str) -> str:
    """eval_loss is shown as eval/loss, loss as train/loss."""
    head, _, rest = name.partition("_")
    return f"{head}/{rest}" if head in ("eval", "test") else f"train/{name}"


def reporters(args: Any) -> list[Any]:
    """The callbacks that `report_to` asks for; TensorBoard by itself where it can be, if
    logging_dir is given."""
    asked = args.report_to
    names = [asked] if isinstance(asked, str) else list(asked or [])
    there = find_spec("tensorboardX") is not None
    unknown = [n for n in names if n not in ("none", "all", "tensorboard")]
    if unknown:
        raise ArgumentError(
            f"report_to knows 'tensorboard', 'all' and 'none', got {unknown[0]!r}",
            'report_to="tensorboard"',
        )
    if "tensorboard" in names and not there:
        raise ArgumentError(
            'report_to="tensorboard" needs tensorboardX, which is not installed',
            "pip install tensorboardX",
        )
    wanted = (asked is None and args.logging_dir is not None) or "all" in names
    found: list[Any] = [JsonLinesCallback()]
    if there and (wanted or "tensorboard" in names):
        found.append(TensorBoardCallback())
    return found


def display(args: Any) -> TrainerCallback:
    """A bar where somebody can see it, else lines."""
    console = Console()
    if args.disable_tqdm or not console.is_terminal:
        return PrinterCallback()
    return ProgressCallback(console)
