"""How good a classifier is, class by class."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass
class Scores:
    """What was right, and what was said, as numbers of the classes `names`."""

    right: list[int]
    said: list[int]
    names: list[str]

    @cached_property
    def confusion(self) -> list[list[int]]:
        """Row: the class that is right; column: the class that was said."""
        found = [[0] * len(self.names) for _ in self.names]
        for right, said in zip(self.right, self.said, strict=True):
            found[right][said] += 1
        return found

    @property
    def accuracy(self) -> float:
        return ratio(sum(self.confusion[i][i] for i in range(len(self.names))), len(self.right))

    @property
    def baseline(self) -> float:
        """The accuracy of always saying the most frequent class."""
        return ratio(max(map(sum, self.confusion)), len(self.right))

    def of(self, i: int) -> dict[str, float]:
        """Precision, recall and F1 of a class (0 where there is nothing to divide by), and how
        many examples it has."""
        hits, has = self.confusion[i][i], sum(self.confusion[i])
        precision = ratio(hits, sum(row[i] for row in self.confusion))
        recall = ratio(hits, has)
        f1 = ratio(2 * precision * recall, precision + recall)
        return {"precision": precision, "recall": recall, "f1": f1, "examples": has}

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can hold it. macro_f1 is the mean over classes that have examples."""
        classes = {name: self.of(i) for i, name in enumerate(self.names)}
        some = [c["f1"] for c in classes.values() if c["examples"]]
        return {
            "accuracy": self.accuracy, "baseline": self.baseline,
            "macro_f1": ratio(sum(some), len(some)), "classes": classes,
            "confusion": self.confusion,
        }  # fmt: skip


def ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def show(scores: Scores, console: Console) -> None:
    """The classes as a table."""
    table = Table("class", "precision", "recall", "F1", "examples", box=None)
    for i, name in enumerate(scores.names):
        own = scores.of(i)
        numbers = [f"{own[key]:.3f}" for key in ("precision", "recall", "f1")]
        table.add_row(name, *numbers, f"{own['examples']:,}")
    console.print(table, markup=False, highlight=False)
