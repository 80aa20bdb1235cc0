"""`python -m tinygrad_ai pretrain`: a BERT or a GPT-2 that learns from unlabelled text."""

from __future__ import annotations

import argparse
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from .. import models, text
from ..data import Subset
from ..errors import ArgumentError, DataError
from . import jobs
from .arguments import TrainingArguments
from .randomness import set_seed
from .trainer import Trainer

KINDS = ["bert", "gpt"]


@dataclass(frozen=True)
class PretrainOptions(jobs.Options):
    """One run. `steps` counts instead of `epochs` where it is given; `vocab_size` is that of a
    tokenizer learnt from the corpus, unless `tokenizer` is a folder with one."""

    COMMAND = "pretrain"
    MAY_CHANGE = ("epochs", "steps")

    model: str = "bert"
    corpus: tuple[str, ...] = ()
    tokenizer: str | None = None
    vocab_size: int | None = None
    layers: int = 4
    hidden: int = 256
    heads: int = 4
    length: int = 128
    dropout: float = 0.1
    epochs: float = 1.0
    steps: int | None = None
    batch_size: int = 32
    accumulate: int = 1
    lr: float = 5e-4
    warmup: float = 0.06
    held_out: float = 0.05
    every: float = 0.1
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        object.__setattr__(self, "corpus", tuple(os.path.abspath(p) for p in self.corpus))
        for name in ("layers", "hidden", "heads", "batch_size", "accumulate"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"expected {jobs.option(name)} >= 1, got {getattr(self, name)}")
        if self.steps is not None and self.steps < 1:
            raise ArgumentError(f"expected --steps >= 1, got {self.steps}")
        if not 0 <= self.warmup < 1:
            raise ArgumentError(f"expected --warmup in [0, 1), got {self.warmup}")
        if not self.every > 0:
            raise ArgumentError(f"expected --every > 0, got {self.every}")
        if not 0 < self.held_out < 1:
            raise ArgumentError(f"expected --held-out in (0, 1), got {self.held_out}")
        if self.tokenizer is not None and self.vocab_size is not None:
            raise ArgumentError("--tokenizer has its vocabulary: give it or --vocab-size")

    def files(self) -> list[str]:
        return list(self.corpus)


HELP: dict[str, tuple[Any, str]] = {  # option: its type, what it is
    "layers": (int, "layers"),
    "hidden": (int, "numbers for a token"),
    "heads": (int, "heads of attention"),
    "length": (int, "tokens of a block of text"),
    "dropout": (float, "share of numbers dropped while training"),
    "epochs": (float, "how often to read the corpus"),
    "batch_size": (int, "blocks in a batch"),
    "accumulate": (int, "batches of a step"),
    "lr": (float, "highest learning rate"),
    "warmup": (float, "share of the steps in which the rate rises; then it falls to 0"),
    "held_out": (float, "share of the text kept apart for evaluation: its end"),
    "every": (float, "evaluate and save after so many steps, or such a share of the run"),
    "seed": (int, "of weights, order and masks"),
    "device": (str, "cpu or cuda"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", choices=KINDS, help="bert fills in gaps, gpt goes on")
    parser.add_argument("--corpus", nargs="+", metavar="FILE", help="texts, UTF-8 or .gz")
    parser.add_argument("--tokenizer", metavar="DIR", help="folder with a tokenizer")
    parser.add_argument(
        "--vocab-size", type=int, metavar="N",
        help="of a tokenizer learnt from the corpus: WordPiece or byte-level BPE (8000)",
    )  # fmt: skip
    default = PretrainOptions()
    for name, (kind, words) in HELP.items():
        metavar, usual = ("NAME", "cpu") if kind is str else ("N", f"{getattr(default, name):g}")
        parser.add_argument(
            jobs.option(name), type=kind, metavar=metavar, help=f"{words} ({usual})"
        )
    parser.add_argument("--steps", type=int, metavar="N", help="how many steps, instead of epochs")
    jobs.add_folder_arguments(parser, "--epochs and --steps")


def made_tokenizer(options: PretrainOptions) -> Any:
    """The tokenizer given, or one learnt from the corpus; whichever the model can use."""
    if options.tokenizer is None:
        learn = text.train_wordpiece if options.model == "bert" else text.train_bpe
        size = options.vocab_size or 8000
        return learn(options.corpus, vocab_size=size, model_max_length=options.length)
    found = text.AutoTokenizer.from_pretrained(options.tokenizer)
    needed = "mask_token" if options.model == "bert" else "eos_token"
    if getattr(found, needed) is None:
        raise ArgumentError(
            f"--model {options.model} needs a tokenizer with a {needed}; "
            f"{options.tokenizer} has a {type(found).__name__} without",
            "a tokenizer of that kind, or none: one is learnt from the corpus",
        )
    if found.model_max_length < options.length:
        raise ArgumentError(
            f"the tokenizer is for texts of {found.model_max_length} tokens at most",
            f"--length {found.model_max_length}",
        )
    found.model_max_length = options.length
    return found


def made_model(options: PretrainOptions, tokenizer: Any) -> Any:
    """A new model for the tokenizer's vocabulary, its weights drawn."""
    o, size = options, len(tokenizer)
    set_seed(o.seed)
    if o.model == "bert":
        return models.BertForMaskedLM(
            models.BertConfig(
                vocab_size=size,
                hidden_size=o.hidden,
                num_hidden_layers=o.layers,
                num_attention_heads=o.heads,
                intermediate_size=4 * o.hidden,
                max_position_embeddings=o.length,
                hidden_dropout_prob=o.dropout,
                attention_probs_dropout_prob=o.dropout,
                pad_token_id=tokenizer.pad_token_id,
            )  # fmt: skip
        )
    end = tokenizer.eos_token_id
    return models.GPT2LMHeadModel(
        models.GPT2Config(
            vocab_size=size,
            n_embd=o.hidden,
            n_layer=o.layers,
            n_head=o.heads,
            n_positions=o.length,
            resid_pdrop=o.dropout,
            embd_pdrop=o.dropout,
            attn_pdrop=o.dropout,
            bos_token_id=end,
            eos_token_id=end,
        )  # fmt: skip
    )


def split(options: PretrainOptions, tokenizer: Any) -> tuple[Any, Any]:
    """The blocks to train with, and those at the end of the corpus to evaluate with."""
    blocks = text.TokenBlocks(tokenizer, options.corpus, options.length)
    kept = math.ceil(len(blocks) * options.held_out)
    first = len(blocks) - kept
    if first < options.batch_size:
        raise DataError(
            f"the corpus has {len(blocks)} blocks of {options.length} tokens; {first} of them are "
            f"to train with, fewer than a batch of {options.batch_size}",
            "more text, or a smaller --batch-size or --length",
        )
    return Subset(blocks, range(first)), Subset(blocks, range(first, len(blocks)))


class LanguageTrainer(Trainer):
    """Evaluation tells the perplexity, too: e to the power of the mean loss."""

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        output = super().evaluation_loop(*args, **kwargs)
        for name, value in list(output.metrics.items()):
            if name.endswith("_loss"):
                perplexity = math.exp(min(value, 700.0))
                output.metrics[name.removesuffix("loss") + "perplexity"] = perplexity
        return output


def arguments(options: PretrainOptions, folder: Path) -> TrainingArguments:
    o = options
    return TrainingArguments(
        str(folder), o.batch_size, o.epochs, o.steps or -1, o.lr, warmup_steps=o.warmup,
        per_device_eval_batch_size=o.batch_size, gradient_accumulation_steps=o.accumulate,
        weight_decay=0.01, logging_steps=min(o.every, 0.05), eval_strategy="steps",
        eval_steps=o.every, save_steps=o.every, save_total_limit=1, seed=o.seed,
        dataloader_drop_last=True, device=o.device, report_to="none",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """The command; returns the exit code."""
    console = Console()
    options, folder = jobs.opened(args, PretrainOptions, ("model", "corpus"))
    resumed = args.resume is not None
    if resumed:
        tokenizer = text.AutoTokenizer.from_pretrained(folder)
    else:
        jobs.check_apart(folder, options.tokenizer, "tokenizer")
        tokenizer = made_tokenizer(options)
    train, held_out = split(options, tokenizer)
    model = made_model(options, tokenizer).to(options.device)
    training = arguments(options, folder)
    if not resumed:
        jobs.claim(folder, options, console)
        tokenizer.save_pretrained(folder)
    jobs.say(console, describe(options, model, train, held_out))

    def make(callbacks: list[Any]) -> Any:
        collate = text.DataCollatorForLanguageModeling(tokenizer, mlm=options.model == "bert")
        return LanguageTrainer(
            model, training, collate, train, held_out, tokenizer, callbacks=callbacks
        )

    trainer = jobs.trained(make, "pretrain", folder, resumed, console)
    if trainer is None:
        return jobs.STOPPED
    trainer.save_model(folder)
    return report(trainer, folder, console)


def report(trainer: Any, folder: Path, console: Console) -> int:
    """metrics.json and a line, from the evaluation after the last step."""
    last = next(line for line in reversed(trainer.state.log_history) if "eval_loss" in line)
    found = {
        "steps": trainer.state.global_step, "eval_loss": last["eval_loss"],
        "eval_perplexity": last["eval_perplexity"], "parameters": jobs.size(trainer.model),
    }  # fmt: skip
    jobs.write_metrics(folder, found)
    jobs.say(
        console,
        f"loss {found['eval_loss']:.4f}, perplexity {found['eval_perplexity']:.2f} on held-out "
        f"text; from_pretrained loads {folder}",
    )
    return 0


def describe(options: PretrainOptions, model: Any, train: Any, held_out: Any) -> str:
    o = options
    return (
        f"{type(model).__name__}: {o.layers} layers of {o.hidden}, {o.heads} heads, vocabulary "
        f"{model.config.vocab_size:,}, {jobs.size(model):,} parameters\n"
        f"{len(train):,} blocks of {o.length} tokens to train with, {len(held_out):,} held out; "
        f"batches of {o.batch_size}, lr {o.lr:g}, seed {o.seed}, on {o.device}"
    )
