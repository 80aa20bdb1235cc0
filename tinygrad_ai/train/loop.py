"""The training loop: one place where a run's state lives, stepped batch by batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from .. import Generator, manual_seed, nn, no_grad, randperm
from ..data import DataLoader, TensorDataset
from ..models import MLP
from ..tensor import Tensor
from .config import OPTIMIZERS, Config
from .images import Images


class Loop:
    """A run in progress. `epoch` and `batch` say what comes next; `history` what has been."""

    def __init__(self, config: Config, images: Images) -> None:
        self.config, self.images = config, images
        manual_seed(config.seed)
        self.model = MLP(hidden=config.hidden).to(config.device)
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = OPTIMIZERS[config.optimizer](self.model.parameters(), lr=config.lr)
        self.epoch = self.batch = 0
        self.history: list[dict[str, Any]] = []
        self.start_epoch()

    def start_epoch(self) -> None:
        self.batch, self.seen, self.correct, self.loss, self.seconds = 0, 0, 0, 0.0, 0.0

    def batches(self) -> Iterator[list[Tensor]]:
        """What is left of this epoch, in an order that depends on seed and epoch alone."""
        generator = Generator().manual_seed(self.config.seed * 1_000_003 + self.epoch)
        order = randperm(len(self.images.train), generator=generator).tolist()
        rest = order[self.batch * self.config.batch_size :]
        return iter(DataLoader(self.images.train, self.config.batch_size, sampler=rest))

    def step(self, images: Tensor, labels: Tensor) -> None:
        """One batch: the five lines that train."""
        begin = time.perf_counter()
        self.optimizer.zero_grad()
        scores = self.model(images)
        loss = self.criterion(scores, labels)
        loss.backward()
        self.optimizer.step()
        self.loss += loss.item() * labels.shape[0]
        self.correct += count_correct(scores, labels)
        self.seen += labels.shape[0]
        self.batch += 1
        self.seconds += time.perf_counter() - begin

    def finish_epoch(self) -> dict[str, Any]:
        """Measures on the test set and adds a line to the history."""
        test_loss, test_accuracy = self.evaluate(self.images.test)
        self.epoch += 1
        line = {
            "epoch": self.epoch,
            "loss": self.loss / self.seen,
            "accuracy": self.correct / self.seen,
            "test_loss": test_loss,
            "test_accuracy": test_accuracy,
            "samples_per_second": self.seen / self.seconds,
        }
        self.history.append(line)
        self.start_epoch()
        return line

    def evaluate(self, dataset: TensorDataset) -> tuple[float, float]:
        """Mean loss and accuracy over a data set."""
        loss, correct = 0.0, 0
        with no_grad():
            for images, labels in DataLoader(dataset, batch_size=1000):
                scores = self.model(images)
                loss += self.criterion(scores, labels).item() * len(labels)
                correct += count_correct(scores, labels)
        return loss / len(dataset), correct / len(dataset)

    def run(self, after_step: Callable[[], None], after_epoch: Callable[[Any], None]) -> None:
        """Trains to the end of the configuration; the callbacks may raise to stop it."""
        while self.epoch < self.config.epochs:
            for images, labels in self.batches():
                self.step(images, labels)
                after_step()
            after_epoch(self.finish_epoch())


def count_correct(scores: Tensor, labels: Tensor) -> int:
    return int((scores.argmax(1) == labels).sum().item())
