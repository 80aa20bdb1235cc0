"""Fine-tuning as a program of its own, so that the size of its process can be measured.

    python benchmarks/bert_job.py tinygrad_ai|pytorch FOLDER BATCHES.npz

A step without dropout on the first batch, whose loss is printed, and one with dropout on each. The
lines are the same for both. Without files the libraries are imported, no more. Prints the peak of
resident memory, too.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

LEARNING_RATE = 5e-5


def library(key: str) -> tuple[Any, Any, Any]:
    """Tensors, the model's class, and AdamW as each library's Trainer takes it.

    In transformers this is PyTorch's fused one.
    """
    if key == "pytorch":
        os.environ["HF_HUB_OFFLINE"] = "1"
        torch: Any = import_module("torch")
        hugging: Any = import_module("transformers")
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        hugging.utils.logging.disable_progress_bar()
        hugging.logging.set_verbosity_error()
        adamw = partial(torch.optim.AdamW, fused=True)
        return torch, hugging.BertForSequenceClassification, adamw
    ours: Any = import_module("tinygrad_ai")
    kind = import_module("tinygrad_ai.transformers").BertForSequenceClassification
    return ours, kind, ours.optim.AdamW


def classifier(lib: Any, kind: Any, folder: Any, head: np.ndarray) -> Any:
    """The model of a folder, with this head, without dropout."""
    model = kind.from_pretrained(folder, num_labels=len(head))
    with lib.no_grad():
        model.classifier.weight.copy_(lib.from_numpy(head))
        model.classifier.bias.zero_()
    return model.eval()


def train(key: str, folder: str, file: str) -> float:
    """The loss of the first step."""
    lib, kind, adamw = library(key)
    with np.load(file) as stored:
        model = classifier(lib, kind, folder, stored["head"])
        names = [n for n in stored.files if n != "head"]
        batches = [dict(zip(names, row)) for row in zip(*[stored[n] for n in names])]
    optimizer = adamw(model.parameters(), lr=LEARNING_RATE)
    losses = []
    for batch in [batches[0], *batches]:
        optimizer.zero_grad()
        loss = model(**{n: lib.from_numpy(a) for n, a in batch.items()}).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        model.train()
    return float(losses[0])


if __name__ == "__main__":
    from benchmarks.main_job import peak

    chosen, *files = sys.argv[1:]
    library(chosen)
    first = train(chosen, *files) if files else None
    print(json.dumps({"loss": first, "peak": peak()}))
