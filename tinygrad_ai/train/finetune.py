"""`python -m tinygrad_ai finetune`: a pre-trained BERT that learns to sort texts by examples."""

from __future__ import annotations

import argparse
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from .. import models, text
from ..data import Dataset
from ..errors import ArgumentError, CheckpointError, DataError
from ..ops.random import Generator, randperm
from . import jobs
from .arguments import TrainingArguments
from .randomness import set_seed
from .scores import Scores, show
from .trainer import Trainer

HEAD = ["pooler", "classifier"]  # what a checkpoint of another task does not have
LR, LR_FEW = 5e-5, 1e-3  # for all weights; for a head or LoRA alone


@dataclass(frozen=True)
class FinetuneOptions(jobs.Options):
    """One run. The test part is the file `test`, else a share of each class of `data`."""

    COMMAND = "finetune"

    model: str = ""
    data: str = ""
    test: str | None = None
    test_fraction: float | None = None
    text_column: str = "text"
    label_column: str = "label"
    max_length: int | None = None
    freeze: bool = False
    lora: int | None = None
    epochs: float = 3.0
    batch_size: int = 16
    lr: float | None = None
    warmup: float = 0.1
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in ("model", "data", "test"):
            if getattr(self, name):
                object.__setattr__(self, name, os.path.abspath(getattr(self, name)))
        if self.freeze and self.lora is not None:
            raise ArgumentError("--freeze and --lora exclude each other")
        if self.test is not None and self.test_fraction is not None:
            raise ArgumentError("--test names the test part: give it or --test-fraction")
        if self.test_fraction is not None and not 0 < self.test_fraction < 1:
            raise ArgumentError(f"expected --test-fraction in (0, 1), got {self.test_fraction}")
        if not 0 <= self.warmup < 1:
            raise ArgumentError(f"expected --warmup in [0, 1), got {self.warmup}")
        if self.batch_size < 1:
            raise ArgumentError(f"expected --batch-size >= 1, got {self.batch_size}")
        if self.max_length is not None and self.max_length < 3:
            raise ArgumentError(f"expected --max-length >= 3, got {self.max_length}")

    def files(self) -> list[str]:
        return [self.data] if self.test is None else [self.data, self.test]

    @property
    def rate(self) -> float:
        few = self.freeze or self.lora is not None
        return self.lr if self.lr is not None else LR_FEW if few else LR


HELP: dict[str, tuple[Any, str, str]] = {  # option: its type, what it stands for, what it is
    "model": (str, "DIR", "folder of a BERT, with its tokenizer"),
    "data": (str, "FILE", "examples: .csv with a header, or .jsonl; also .gz"),
    "test": (str, "FILE", "examples to test with"),
    "test_fraction": (float, "F", "else the share of --data to test with (0.2)"),
    "text_column": (str, "NAME", "column of the texts (text)"),
    "label_column": (str, "NAME", "column of the labels, words or numbers from 0 (label)"),
    "max_length": (int, "N", "tokens of a text that are read (what the model can, at most 128)"),
    "lora": (int, "RANK", "train additions of this rank to the attention, and the head"),
    "epochs": (float, "N", "how often to see each example (3)"),
    "batch_size": (int, "N", "examples of a step (16)"),
    "lr": (float, "RATE", f"highest learning rate ({LR:g}; with --freeze or --lora {LR_FEW:g})"),
    "warmup": (float, "F", "share of the steps in which the rate rises (0.1)"),
    "seed": (int, "N", "of the head, the order, and the split (0)"),
    "device": (str, "NAME", "cpu or cuda (cpu)"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    for name, (kind, metavar, words) in HELP.items():
        parser.add_argument(jobs.option(name), type=kind, metavar=metavar, help=words)
    parser.add_argument(
        "--freeze", action="store_const", const=True, help="train only the head (with the pooler)"
    )
    jobs.add_folder_arguments(parser, "--epochs")


class Parts(NamedTuple):
    """The examples to train and to test with, and the names of the classes."""

    train: text.LabelledTexts
    test: text.LabelledTexts


def read(options: FinetuneOptions) -> Parts:
    """Both parts; DataError if they are not what a classifier can learn from."""
    o = options
    whole = text.read_labelled(o.data, o.text_column, o.label_column)
    if o.test is not None:
        test = text.read_labelled(o.test, o.text_column, o.label_column, whole.names)
        parts = Parts(whole, test)
    else:
        parts = divided(whole, o.test_fraction or 0.2, o.seed)
    if len(set(parts.train.labels)) < 2:
        raise DataError(f"{o.data}: expected examples of two classes or more to train with")
    if not parts.test.labels:
        raise DataError(f"{o.data} is too small to test with a share of it", "--test FILE")
    return parts


def divided(whole: text.LabelledTexts, share: float, seed: int) -> Parts:
    """A share of each class, drawn by the seed, to test with; the rest to train with."""
    order = randperm(len(whole.labels), generator=Generator().manual_seed(seed)).tolist()
    test: set[int] = set()
    for label in set(whole.labels):
        own = [i for i in order if whole.labels[i] == label]
        test.update(own[: round(len(own) * share)])
    parts = [[i for i in range(len(order)) if (i in test) == wanted] for wanted in (False, True)]
    train, kept = (
        text.LabelledTexts(
            [whole.texts[i] for i in part], [whole.labels[i] for i in part], whole.names
        )
        for part in parts
    )
    return Parts(train, kept)


class Examples(Dataset):
    """Tokenized texts and their labels; `cut` counts the texts that are longer than `length`."""

    def __init__(self, tokenizer: Any, examples: text.LabelledTexts, length: int) -> None:
        found = tokenizer(examples.texts, truncation=True, max_length=length)
        self.columns, self.labels = dict(found), examples.labels
        self.cut = sum(bool(encoding.overflowing) for encoding in found.encodings)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = {name: values[index] for name, values in self.columns.items()}
        return {**row, "labels": self.labels[index]}


def made_model(options: FinetuneOptions, names: list[str]) -> Any:
    """The model with a head for these classes, ready to train."""
    set_seed(options.seed)
    model, info = models.BertForSequenceClassification.from_pretrained(
        options.model, id2label=dict(enumerate(names)), ignore_mismatched_sizes=True,
        problem_type="single_label_classification", output_loading_info=True,
    )  # fmt: skip
    wrong = [name for name, _, _ in info["mismatched_keys"] if not name.startswith("classifier.")]
    if wrong:
        raise CheckpointError(f"{options.model}: {wrong[0]} is not of the shape config.json says")
    if options.lora is not None:
        models.add_lora(model, options.lora, alpha=2 * options.lora, modules_to_save=HEAD)
    elif options.freeze:
        models.freeze(model, except_=HEAD)
    return model.to(options.device)


def longest(options: FinetuneOptions, tokenizer: Any, model: Any) -> int:
    """How many tokens of a text to read."""
    most = min(tokenizer.model_max_length, model.config.max_position_embeddings)
    if options.max_length is not None and options.max_length > most:
        raise ArgumentError(f"the model reads {most} tokens at most", f"--max-length {most}")
    return options.max_length or min(most, 128)


def arguments(options: FinetuneOptions, folder: Path, samples: int) -> TrainingArguments:
    o = options
    each = math.ceil(samples / o.batch_size)
    return TrainingArguments(
        str(folder), o.batch_size, o.epochs, -1, o.rate, warmup_steps=o.warmup,
        per_device_eval_batch_size=4 * o.batch_size, weight_decay=0.01,
        logging_steps=max(each // 5, 1), eval_strategy="epoch", save_strategy="epoch",
        save_total_limit=1, seed=o.seed, device=o.device, report_to="none",
    )  # fmt: skip


def accuracy(seen: Any) -> dict[str, float]:
    return {"accuracy": float((seen.predictions.argmax(-1) == seen.label_ids).mean())}


def run(args: argparse.Namespace) -> int:
    """The command; returns the exit code."""
    console = Console()
    options, folder = jobs.opened(args, FinetuneOptions, ("model", "data"))
    resumed = args.resume is not None
    if not resumed:
        jobs.check_apart(folder, options.model, "model")
    tokenizer = text.AutoTokenizer.from_pretrained(options.model)
    parts = read(options)
    model = made_model(options, parts.train.names)
    length = longest(options, tokenizer, model)
    train, test = (Examples(tokenizer, part, length) for part in parts)
    training = arguments(options, folder, len(train))
    if not resumed:
        jobs.claim(folder, options, console)
    jobs.say(console, describe(options, model, parts))
    if train.cut or test.cut:
        jobs.say(
            console, f"{train.cut + test.cut:,} texts are cut at {length} tokens (--max-length)"
        )

    def make(callbacks: list[Any]) -> Any:
        return Trainer(
            model, training, text.DataCollatorWithPadding(tokenizer), train, test, tokenizer,
            compute_metrics=accuracy, callbacks=callbacks,
        )  # fmt: skip

    trainer = jobs.trained(make, "finetune", folder, resumed, console)
    if trainer is None:
        return jobs.STOPPED
    finish(options, trainer, folder)
    report(trainer, test, parts, folder, console)
    return 0


def finish(options: FinetuneOptions, trainer: Any, folder: Path) -> None:
    """Saves the model: LoRA's additions apart, and added to the weights."""
    if options.lora is not None:
        models.save_adapter(trainer.model, folder / "adapter")
        models.merge_lora(trainer.model)
    trainer.save_model(folder)


def report(trainer: Any, test: Any, parts: Parts, folder: Path, console: Console) -> None:
    """A table of the classes, and metrics.json."""
    seen = trainer.predict(test)
    scores = Scores(seen.label_ids.tolist(), seen.predictions.argmax(-1).tolist(), parts.test.names)
    found = {"loss": seen.metrics["test_loss"], **scores.to_dict()}
    found["steps"] = trainer.state.global_step
    jobs.write_metrics(folder, found)
    show(scores, console)
    jobs.say(
        console,
        f"accuracy {scores.accuracy:.2%} on {len(test):,} examples (always the most frequent "
        f"class: {scores.baseline:.2%}); from_pretrained loads {folder}",
    )


def describe(options: FinetuneOptions, model: Any, parts: Parts) -> str:
    o, learns = options, [p for p in model.parameters() if p.requires_grad]
    return (
        f"{o.model}: {jobs.size(model):,} parameters, of which "
        f"{sum(p.numel() for p in learns):,} are trained\n"
        f"{len(parts.train.labels):,} examples to train with, {len(parts.test.labels):,} to test "
        f"with, classes {', '.join(parts.train.names)}; batches of {o.batch_size}, lr {o.rate:g}, "
        f"seed {o.seed}, on {o.device}"
    )
