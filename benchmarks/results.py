"""What was measured, as plain data: a figure has one value for each round, in SI units."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

SCHEMA = 1
REFERENCE = "pytorch"  # the contender that ratios are formed against
OURS = "tinygrad_ai"
PROCESSOR = "processor"  # whose figures are the ceilings, and the use others made of it


class Key(NamedTuple):
    """Which figure: the job, the case of it, and who did it."""

    job: str
    case: str
    contender: str


@dataclass(frozen=True)
class Figure:
    """One value for each round; `cpus` is how many processors were busy meanwhile."""

    unit: str
    rounds: tuple[float, ...]
    cpus: tuple[float, ...] = ()

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)


@dataclass
class Results:
    """All figures of a run, and where they come from."""

    machine: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)  # contenders, and why
    figures: dict[Key, Figure] = field(default_factory=dict)
    targets: list[dict[str, Any]] = field(default_factory=list)

    def add(self, key: Key, unit: str, value: float, cpus: float | None = None) -> None:
        """Adds a round to a figure."""
        old = self.figures.get(key, Figure(unit, ()))
        busy = old.cpus if cpus is None else (*old.cpus, cpus)
        self.figures[key] = Figure(unit, (*old.rounds, value), busy)

    def drop(self, job: str, contender: str) -> None:
        """Forgets a contender that turned out not to work."""
        gone = [k for k in self.figures if (k.job, k.contender) == (job, contender)]
        for key in gone:
            del self.figures[key]

    def get(self, job: str, case: str, contender: str = OURS) -> Figure | None:
        return self.figures.get(Key(job, case, contender))

    def cases(self, job: str) -> list[str]:
        """What was timed, in order; what was found of the processor is no case."""
        found = [k.case for k in self.figures if k.job == job and k.contender != PROCESSOR]
        return list(dict.fromkeys(found))

    def processor(self, job: str, name: str) -> float | None:
        """The highest of all rounds: of a ceiling, or of what other programs used."""
        figure = self.get(job, name, PROCESSOR)
        return max(figure.rounds) if figure else None

    def contenders(self, job: str, case: str) -> list[str]:
        return [k.contender for k in self.figures if (k.job, k.case) == (job, case)]

    def ratio(self, job: str, case: str, mine: str, theirs: str) -> float | None:
        """The median over the rounds of mine / theirs; None if one was not measured."""
        a, b = self.get(job, case, mine), self.get(job, case, theirs)
        return ratio(a, b) if a and b else None

    def fastest(self, job: str, case: str, among: Iterable[str]) -> str | None:
        """Who has the smallest median."""
        found = [c for c in among if self.get(job, case, c)]
        return min(found, key=lambda c: self.figures[Key(job, case, c)].median, default=None)

    def fastest_peer(self, job: str, case: str) -> str | None:
        """The same, ourselves left out."""
        peers = [c for c in self.contenders(job, case) if not c.startswith(OURS)]
        return self.fastest(job, case, peers)

    def save(self, path: Path) -> None:
        figures = [{**k._asdict(), **asdict(f)} for k, f in self.figures.items()]
        content = {"schema": SCHEMA, **vars(self), "figures": figures}
        path.write_text(json.dumps(content, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Results:
        """Reads what `save` wrote; ValueError for anything else."""
        content = json.loads(path.read_text())
        found = content.pop("schema", None) if isinstance(content, dict) else None
        if found != SCHEMA:
            raise ValueError(f"expected {path} to be of schema {SCHEMA}, got {found}")
        figures = {}
        for f in content.pop("figures"):
            key = Key(f["job"], f["case"], f["contender"])
            figures[key] = Figure(f["unit"], tuple(f["rounds"]), tuple(f["cpus"]))
        return cls(**content, figures=figures)


def ratio(a: Figure, b: Figure) -> float:
    """The median of the ratios round by round: what slows a whole round cancels."""
    return statistics.median(x / y for x, y in zip(a.rounds, b.rounds, strict=True))


def geometric_mean(values: Iterable[float]) -> float:
    return math.exp(statistics.fmean(math.log(v) for v in values))
