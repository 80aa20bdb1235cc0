"""Small models, data and runs for the tests of the Trainer; models for either library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_ai as ta
from tinygrad_ai.train import Trainer, TrainingArguments

CLASSES, SIZE, WORDS = 3, 6, 11


def classifier(T: Any, result: str = "dict", dropout: float = 0.0) -> Any:
    """Scores of three classes, with a loss where labels are given; `result` is dict or tuple."""

    class Classifier(T.nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = T.nn.Linear(SIZE, 16)
            self.LayerNorm = T.nn.LayerNorm(16)
            self.dropout = T.nn.Dropout(dropout)
            self.outer = T.nn.Linear(16, CLASSES)

        def forward(self, x: Any = None, labels: Any = None) -> Any:
            logits = self.outer(self.dropout(T.tanh(self.LayerNorm(self.inner(x)))))
            if labels is None:
                return {"logits": logits} if result == "dict" else (logits,)
            loss = T.nn.functional.cross_entropy(logits, labels)
            return {"loss": loss, "logits": logits} if result == "dict" else (loss, logits)

    return Classifier()


def tagger(T: Any) -> Any:
    """A label for each word; the sum of losses is divided by num_items_in_batch where it comes."""

    class Tagger(T.nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.table = T.nn.Embedding(WORDS, 8)
            self.head = T.nn.Linear(8, CLASSES)

        def forward(self, input_ids: Any = None, labels: Any = None, **kwargs: Any) -> Any:
            logits = self.head(T.tanh(self.table(input_ids)))
            if labels is None:
                return {"logits": logits}
            count = kwargs.get("num_items_in_batch")
            loss = T.nn.functional.cross_entropy(
                logits.reshape(-1, CLASSES), labels.reshape(-1),
                reduction="mean" if count is None else "sum",
            )  # fmt: skip
            return {"loss": loss if count is None else loss / count, "logits": logits}

    return Tagger()


class Rows:
    """Samples of numbers and a class that can be learned, as tensors of either library."""

    def __init__(
        self, T: Any = ta, count: int = 22, seed: int = 0, dtype: Any = np.float64
    ) -> None:
        draw = np.random.default_rng(seed)
        self.T, self.x = T, draw.standard_normal((count, SIZE)).astype(dtype)
        self.labels = self.x[:, :CLASSES].argmax(1)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> dict[str, Any]:
        return {"x": self.T.tensor(self.x[i]), "labels": self.T.tensor(int(self.labels[i]))}


class Tags:
    """Sentences of four words; some labels do not count, so that batches weigh differently."""

    def __init__(self, T: Any = ta, count: int = 13) -> None:
        draw = np.random.default_rng(1)
        self.T, self.ids = T, draw.integers(0, WORDS, (count, 4))
        self.labels = np.where(draw.random((count, 4)) < 0.4, -100, self.ids % CLASSES)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int) -> dict[str, Any]:
        tensor = self.T.tensor
        return {"input_ids": tensor(self.ids[i]), "labels": tensor(self.labels[i])}


def stacked(T: Any = ta) -> Any:
    """A collator that stacks."""

    def collate(features: list[dict[str, Any]]) -> dict[str, Any]:
        return {name: T.stack([f[name] for f in features]) for name in features[0]}

    return collate


def arguments(folder: Path, **options: Any) -> TrainingArguments:
    """Three epochs of six batches of four, quietly."""
    plain: dict[str, Any] = {
        "num_train_epochs": 3, "per_device_train_batch_size": 4, "learning_rate": 1e-2,
        "logging_steps": 1, "save_strategy": "no",
    }  # fmt: skip
    return TrainingArguments(str(folder), **{**plain, **options})


def trainer(folder: Path, model: Any = None, **options: Any) -> Trainer:
    """A Trainer of the classifier; what is no argument of the Trainer is one of its arguments."""
    names = (
        "train_dataset", "eval_dataset", "compute_metrics", "callbacks", "data_collator",
        "compute_loss_func",
    )  # fmt: skip
    given = {name: options.pop(name) for name in names if name in options}
    given = {"train_dataset": Rows(), "data_collator": stacked(), **given}
    if model is None:
        ta.manual_seed(0)
        model = classifier(ta, dropout=options.pop("dropout", 0.0)).double()
    return Trainer(model=model, args=arguments(folder, **options), **given)


def same_weights(a: Any, b: Any) -> bool:
    """Bit for bit."""
    first, second = a.state_dict(), b.state_dict()
    return first.keys() == second.keys() and all(ta.equal(first[k], second[k]) for k in first)


def losses(run: Trainer) -> list[float]:
    return [line["loss"] for line in run.state.log_history if "loss" in line]
