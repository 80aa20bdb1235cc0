"""MiniLM fine-tuned on film reviews, by us or by PyTorch with transformers: is it as good?

    python -m benchmarks.finetune --library ours --seed 0 --out ours-0.json
    python -m benchmarks.finetune compare *.json

Both read the same weights, batches and initial head; each drops out with its own random numbers.
One epoch of AdamW at 5e-5 falling to 0, batches of 16 reviews of up to 64 tokens; films of the test
are not trained on. `compare` fails where our mean accuracy is more than a point below.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from . import machine

BATCH, LENGTH, RATE, CLASSES = 16, 64, 5e-5, 2
POINT = 0.01


def batches(encoded: Any, labels: Any, order: Any) -> Iterator[dict[str, Any]]:
    """NumPy batches in an order, each as long as its longest text."""
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        size = max(len(encoded[i]) for i in rows)
        ids = np.zeros((len(rows), size), np.int64)
        mask = np.zeros_like(ids)
        for row, i in enumerate(rows):
            ids[row, : len(encoded[i])], mask[row, : len(encoded[i])] = encoded[i], 1
        yield {"input_ids": ids, "attention_mask": mask, "labels": labels[rows]}


class Ours:
    """The engine under examination."""

    def __init__(self, folder: Path, head: Any, seed: int) -> None:
        import tinygrad_ai as ta
        from tinygrad_ai.transformers import BertForSequenceClassification

        ta.manual_seed(seed)
        self.lib, self.tensor = ta, ta.tensor
        self.model = BertForSequenceClassification.from_pretrained(folder, num_labels=CLASSES)
        self.start(head, ta.optim.AdamW)

    def start(self, head: Any, adamw: Any) -> None:
        with self.lib.no_grad():
            self.model.classifier.weight.copy_(self.tensor(head))
            self.model.classifier.bias.zero_()
        self.optimizer = adamw(self.model.parameters(), lr=RATE)
        self.model.train()

    def step(self, batch: dict[str, Any], rate: float) -> float:
        self.optimizer.param_groups[0]["lr"] = rate
        self.optimizer.zero_grad()
        loss = self.model(**{k: self.tensor(v) for k, v in batch.items()}).loss
        loss.backward()
        self.optimizer.step()
        return float(loss.item())

    def correct(self, batch: dict[str, Any]) -> int:
        labels = batch.pop("labels")
        with self.lib.no_grad():
            logits = self.model(**{k: self.tensor(v) for k, v in batch.items()}).logits
        return int((logits.argmax(-1).numpy() == labels).sum())


class Pytorch(Ours):
    """The reference."""

    def __init__(self, folder: Path, head: Any, seed: int) -> None:
        torch: Any = import_module("torch")
        transformers: Any = import_module("transformers")
        torch.manual_seed(seed)
        self.lib, self.tensor = torch, torch.tensor
        kind = transformers.BertForSequenceClassification
        self.model = kind.from_pretrained(folder, num_labels=CLASSES)
        self.start(head, torch.optim.AdamW)


def measured(library: str, seed: int, steps: int | None, tests: int | None) -> dict[str, Any]:
    """A run from the weights to the accuracy."""
    from examples.data import minilm, reviews
    from tinygrad_ai.text import BertTokenizer

    folder, random = minilm(), np.random.default_rng(seed)
    tokenizer = BertTokenizer.from_pretrained(folder)
    train, test = reviews()
    found = [tokenizer(list(part.text), truncation=True, max_length=LENGTH)["input_ids"]
             for part in (train, test)]  # fmt: skip
    labels = [np.asarray(part.label, np.int64) for part in (train, test)]
    width = json.loads((folder / "config.json").read_text())["hidden_size"]
    head = (0.02 * random.standard_normal((CLASSES, width))).astype(np.float32)
    order = random.permutation(len(labels[0]))[: steps and steps * BATCH]
    side = {"ours": Ours, "pytorch": Pytorch}[library](folder, head, seed)
    total, losses, begin = -(-len(order) // BATCH), [], time.perf_counter()
    for i, batch in enumerate(batches(found[0], labels[0], order)):
        losses.append(side.step(batch, RATE * (1 - i / total)))
        if i % 50 == 0:
            print(f"{library} {seed}: {i}/{total} {losses[-1]:.3f}", file=sys.stderr, flush=True)
    seconds = time.perf_counter() - begin
    side.model.eval()
    places = np.random.default_rng(0).permutation(len(labels[1]))[:tests]
    right = sum([side.correct(b) for b in batches(found[1], labels[1], places)])
    return {"library": library, "seed": seed, "steps": len(losses), "tests": len(places),
            "accuracy": right / len(places), "seconds": seconds, "losses": losses,
            "threads": os.environ.get("OMP_NUM_THREADS"), "versions": versions()}  # fmt: skip


def versions() -> dict[str, str]:
    """Of what has a part in it."""
    names = ("tinygrad_ai", "numpy", "tokenizers", "torch", "transformers")
    found = {name: machine.version(name.replace("_", "-")) for name in names}
    return {name: told for name, told in found.items() if told}


def compare(files: list[str]) -> int:
    """Prints the accuracies and their means; 1 if ours is more than a point below."""
    runs = [json.loads(Path(f).read_text()) for f in files]
    means = {}
    for library in ("ours", "pytorch"):
        own = sorted([r for r in runs if r["library"] == library], key=lambda r: int(r["seed"]))
        if not own:
            print(f"there is no run of {library}", file=sys.stderr)
            return 2
        means[library] = fmean([r["accuracy"] for r in own])
        told = ", ".join([f"{r['accuracy']:.2%} (seed {r['seed']})" for r in own])
        print(f"{library:8} {means[library]:.2%}: {told}")
    below = means["pytorch"] - means["ours"]
    print(f"ours is {-100 * below:+.2f} points from PyTorch")
    return int(below > POINT)


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["compare"]:
        return compare(arguments[1:])
    parser = argparse.ArgumentParser(prog="python -m benchmarks.finetune", description=__doc__)
    parser.add_argument("--library", choices=["ours", "pytorch"], required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="fewer than an epoch")
    parser.add_argument("--tests", type=int, help="fewer than all test reviews")
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args(arguments)
    result = measured(chosen.library, chosen.seed, chosen.steps, chosen.tests)
    chosen.out.write_text(json.dumps(result))
    print(f"{chosen.library} seed {chosen.seed}: {result['accuracy']:.2%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
