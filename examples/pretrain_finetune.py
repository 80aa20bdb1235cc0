"""What pre-training on unlabelled text gives to a classifier with few labels.

    python examples/pretrain_finetune.py --out runs/pretrain_finetune

A small BERT learns to fill in gaps in unlabelled text, and is then fine-tuned with 50, 100, ...
labelled examples of it; beside it the same network with the same examples from scratch, and (with
--weights minilm) all-MiniLM-L6-v2, pre-trained by others on a billion pairs of sentences. Each seed
draws its own weights, order, masks and labelled examples. Two tasks:

    plays    which of eight plays of Shakespeare's a passage of 40 words is from. The last fifth of
             each play is the test part, and is not pre-trained on.
    reviews  whether a sentence of a film review is fresh or rotten. No film is in both parts.

Leaves results.json and results.png. docs/pretrain_finetune.md says what came of it.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from examples.data import FetchError, Labelled, Reviews, minilm, reviews, shakespeare
from tinygrad_ai import models, text
from tinygrad_ai.train import Trainer, TrainingArguments, set_seed

SCRATCH, PRETRAINED, OTHERS = "from scratch", "pre-trained here", "all-MiniLM-L6-v2"
COLOURS = {SCRATCH: "C7", PRETRAINED: "C0", OTHERS: "C2"}


@dataclass(frozen=True)
class Study:
    """The sizes of everything."""

    task: str = "plays"
    labels: tuple[int, ...] = (50, 100, 200, 400, 800)
    seeds: int = 3
    layers: int = 2
    hidden: int = 128
    heads: int = 4
    length: int = 64
    vocab_size: int = 2000
    pretrain_epochs: float = 8.0  # 0: from scratch alone
    pretrain_batch: int = 32
    pretrain_lr: float = 1e-3
    masked: float = 0.3
    initializer_range: float = 0.08  # about 1 over the root of `hidden`
    dropout: float = 0.0
    steps: int = 150
    batch: int = 16
    lr: float = 1e-3
    weights: str | None = None
    weights_lr: float = 5e-5
    texts: int | None = None  # of the training part, at most; likewise of the test part
    test: int | None = None


PLAYS = (
    "as_you_like_it", "hamlet", "julius_caesar", "lear", "macbeth", "othello",
    "romeo_and_juliet", "twelfth_night",
)  # fmt: skip
PASSAGE = 40  # words


def plays() -> Reviews:
    """Passages and the numbers of their plays: of each play four fifths to train, one to test."""
    parts = Reviews(Labelled([], []), Labelled([], []))
    for path in shakespeare():
        name = path.stem.removesuffix("_gut")
        if name not in PLAYS:
            continue
        words = path.read_text(encoding="utf-8").split()
        passages = [" ".join(words[i : i + PASSAGE]) for i in range(0, len(words), PASSAGE)]
        cut = len(passages) * 4 // 5
        for part, own in zip(parts, (passages[:cut], passages[cut:]), strict=True):
            part.text.extend(own)
            part.label.extend([PLAYS.index(name)] * len(own))
    return parts


def read(study: Study) -> Reviews:
    """The texts of a task, or as many of them as the study says."""
    parts = plays() if study.task == "plays" else reviews()
    return Reviews(*(shortened(p, n) for p, n in zip(parts, (study.texts, study.test))))


class Examples:
    """Tokenized texts and their labels, some of them or all."""

    def __init__(self, tokenizer: Any, part: Labelled, length: int, chosen: Any = None) -> None:
        chosen = range(len(part.label)) if chosen is None else chosen
        texts = [part.text[i] for i in chosen]
        self.ids = tokenizer(texts, truncation=True, max_length=length)["input_ids"]
        self.labels = [part.label[i] for i in chosen]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> dict[str, Any]:
        return {"input_ids": self.ids[i], "labels": self.labels[i]}


def config(study: Study, tokenizer: Any, classes: int = 2) -> models.BertConfig:
    return models.BertConfig(
        vocab_size=len(tokenizer), hidden_size=study.hidden, num_hidden_layers=study.layers,
        num_attention_heads=study.heads, intermediate_size=4 * study.hidden,
        max_position_embeddings=study.length, num_labels=classes, hidden_dropout_prob=study.dropout,
        attention_probs_dropout_prob=study.dropout, initializer_range=study.initializer_range,
    )  # fmt: skip


def arguments(seed: int, **options: Any) -> TrainingArguments:
    return TrainingArguments(
        tempfile.gettempdir(), seed=seed, weight_decay=0.01, warmup_steps=0.1,
        save_strategy="no", report_to="none", logging_steps=0.1, **options,
    )  # fmt: skip


def pretrain(study: Study, data: Reviews, tokenizer: Any, seed: int, folder: Path) -> float:
    """A model that filled in gaps in the texts, in a folder; returns its last loss."""
    corpus = text.texts("\n".join(data.train.text))
    blocks = text.TokenBlocks(tokenizer, corpus, study.length)
    set_seed(seed)
    model = models.BertForMaskedLM(config(study, tokenizer))
    args = arguments(
        seed, num_train_epochs=study.pretrain_epochs, learning_rate=study.pretrain_lr,
        per_device_train_batch_size=study.pretrain_batch, dataloader_drop_last=True,
    )  # fmt: skip
    collate = text.DataCollatorForLanguageModeling(tokenizer, mlm_probability=study.masked)
    trainer = Trainer(model, args, collate, blocks, processing_class=tokenizer)
    trainer.train()
    model.save_pretrained(folder)
    return [line["loss"] for line in trainer.state.log_history if "loss" in line][-1]


def start(study: Study, way: str, tokenizer: Any, folder: Path, seed: int, classes: int = 2) -> Any:
    """A classifier with the weights that a way begins with."""
    set_seed(seed)
    kind = models.BertForSequenceClassification
    if way == SCRATCH:
        return kind(config(study, tokenizer, classes))
    return kind.from_pretrained(folder, num_labels=classes)


def finetune(
    study: Study, way: str, data: Reviews, tokenizer: Any, folder: Path, seed: int, count: int
) -> float:
    """The accuracy on the test part after training with `count` labelled examples."""
    classes = max(data.train.label) + 1
    chosen = random.Random(seed).sample(range(len(data.train.label)), count)
    train = Examples(tokenizer, data.train, study.length, chosen)
    test = Examples(tokenizer, data.test, study.length)
    args = arguments(
        seed, max_steps=study.steps, per_device_train_batch_size=study.batch,
        learning_rate=study.weights_lr if way == OTHERS else study.lr,
        per_device_eval_batch_size=64, disable_tqdm=True, logging_strategy="no",
    )  # fmt: skip
    trainer = Trainer(
        start(study, way, tokenizer, folder, seed, classes), args,
        text.DataCollatorWithPadding(tokenizer),
        train, test, compute_metrics=accuracy,
    )  # fmt: skip
    trainer.train()
    return trainer.evaluate()["eval_accuracy"]


def accuracy(seen: Any) -> dict[str, float]:
    return {"accuracy": float((seen.predictions.argmax(-1) == seen.label_ids).mean())}


def measure(study: Study, data: Reviews, scratch: Path) -> dict[str, Any]:
    """All runs."""
    began = time.perf_counter()
    corpus = text.texts(*data.train.text)
    tokenizer = text.train_wordpiece(corpus, study.vocab_size, model_max_length=study.length)
    folders, own_folder = {SCRATCH: (tokenizer, scratch)}, scratch / "pretrained"
    if study.pretrain_epochs:
        folders[PRETRAINED] = (tokenizer, own_folder)
    if study.weights is not None:
        place = minilm() if study.weights == "minilm" else Path(study.weights)
        folders[OTHERS] = (text.BertTokenizer.from_pretrained(place), place)
    runs, losses = [], []
    for seed in range(study.seeds):
        if study.pretrain_epochs:
            losses.append(pretrain(study, data, tokenizer, seed, own_folder))
        for count in study.labels:
            for way, (own, folder) in folders.items():
                found = finetune(study, way, data, own, folder, seed, count)
                runs.append({"way": way, "labels": count, "seed": seed, "accuracy": found})
                print(f"seed {seed}, {count:>5} labels, {way}: {found:.1%}", flush=True)
    return {
        "study": asdict(study), "runs": runs, "pretraining_loss": losses,
        "baseline": max(map(data.test.label.count, data.test.label)) / len(data.test.label),
        "test_texts": len(data.test.label), "unlabelled_texts": len(data.train.label),
        "seconds": round(time.perf_counter() - began),
    }  # fmt: skip


def summary(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Mean and standard deviation over the seeds, for each way and number of labels."""
    groups: dict[tuple[str, int], list[float]] = {}
    for run in results["runs"]:
        groups.setdefault((run["way"], run["labels"]), []).append(run["accuracy"])
    return [
        {
            "way": way, "labels": labels, "mean": statistics.mean(found),
            "deviation": statistics.stdev(found) if len(found) > 1 else 0.0,
        }
        for (way, labels), found in groups.items()
    ]  # fmt: skip


def draw(results: dict[str, Any], path: Path) -> None:
    """Accuracy over the number of labels: means, and bars of a standard deviation."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("no picture: matplotlib is missing (pip install 'tinygrad-ai[plot]')")
        return
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    lines = summary(results)
    for way in dict.fromkeys(line["way"] for line in lines):
        own = [line for line in lines if line["way"] == way]
        axes.errorbar(
            [line["labels"] for line in own], [line["mean"] for line in own],
            [line["deviation"] for line in own], marker="o", capsize=4, label=way,
            color=COLOURS[way],
        )  # fmt: skip
    axes.axhline(results["baseline"], color="black", lw=0.8, ls=":", label="most frequent class")
    ticks = results["study"]["labels"]
    axes.set(xscale="log", xlabel="labelled examples", ylabel="accuracy on the test part")
    axes.set_xticks(ticks, [str(n) for n in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=100)


def parsed(argv: list[str] | None) -> tuple[Study, Path]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    default = asdict(Study())
    special: dict[str, dict[str, Any]] = {
        "labels": {"nargs": "+", "type": int}, "task": {"choices": ["plays", "reviews"]},
        "texts": {"type": int}, "test": {"type": int}, "weights": {"type": str},
    }  # fmt: skip
    for name, value in default.items():
        options = special.get(name, {"type": type(value)})
        parser.add_argument(
            "--" + name.replace("_", "-"), default=value, help=f"({value})", **options
        )
    parser.add_argument("--out", type=Path, default=Path("runs/pretrain_finetune"))
    found = vars(parser.parse_args(argv))
    out: Path = found.pop("out")
    if out.exists() and any(out.iterdir()):
        parser.error(f"{out} is not empty: another --out")
    return Study(**{**found, "labels": tuple(found["labels"])}), out


def main(argv: list[str] | None = None) -> int:
    study, out = parsed(argv)
    try:
        data = read(study)
        if max(study.labels) > len(data.train.label):
            raise FetchError(f"there are {len(data.train.label)} labels, not {max(study.labels)}")
        with tempfile.TemporaryDirectory() as scratch:
            results = measure(study, data, Path(scratch))
    except FetchError as error:
        print(error, file=sys.stderr)
        return 1
    results["summary"] = summary(results)
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    draw(results, out / "results.png")
    for line in results["summary"]:
        print(f"{line['labels']:>5} labels, {line['way']}: {line['mean']:.1%} "
              f"± {line['deviation']:.1%}")  # fmt: skip
    print(f"everything is in {out}")
    return 0


def shortened(part: Labelled, most: int | None) -> Labelled:
    """At most so many texts, drawn the same every time."""
    if most is None or most >= len(part.label):
        return part
    chosen = random.Random(0).sample(range(len(part.label)), most)
    return Labelled([part.text[i] for i in chosen], [part.label[i] for i in chosen])


if __name__ == "__main__":
    sys.exit(main())
