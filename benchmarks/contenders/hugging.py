"""The same lines for tinygrad_ai and for PyTorch with transformers: only the imports differ."""

from __future__ import annotations

from itertools import count, cycle
from typing import Any

from ..bert import BertData, grouped
from ..bert_job import LEARNING_RATE, classifier
from ..worker import Task


def bert(lib: Any, kind: Any, adamw: Any, data: BertData) -> Task:
    """A step of fine-tuning, or answers."""
    model = classifier(lib, kind, data.folder, data.head)
    batches = cycle([{n: lib.from_numpy(a) for n, a in b.items()} for b in data.batches])
    return training(model, adamw, batches, data) if data.training else answers(lib, model, batches)


def training(model: Any, adamw: Any, batches: Any, data: BertData) -> Task:
    optimizer, runs = adamw(model.parameters(), lr=LEARNING_RATE), count()

    def run() -> Any:
        if next(runs) == data.proofs:
            model.train()  # dropout, from here on
        optimizer.zero_grad()
        loss = model(**next(batches)).loss
        loss.backward()
        optimizer.step()
        return loss

    def result(loss: Any) -> dict[str, Any]:
        gradients = {n: p.grad.numpy() for n, p in model.named_parameters()}
        return {"the loss": loss.item(), **grouped(gradients)}

    return Task(run, result)


def answers(lib: Any, model: Any, batches: Any) -> Task:
    def run() -> Any:
        batch = next(batches)
        with lib.no_grad():
            return model(batch["input_ids"], batch["attention_mask"]).logits

    return Task(run, lambda logits: {"the scores": logits.numpy()})
