"""What we want to reach, and what a run says about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from . import bert, imports, linear, memory, overhead, step, together
from .results import OURS, REFERENCE, Results, geometric_mean

PEERS, TUTORIAL, TINY = 0.80, 0.50, 0.35  # a step of ours over others'
SHARE, SHARE_BATCHES = 0.70, (128, 512)
LINEAR_MEAN, LINEAR_WORST = 0.85, 1.05
MEMORY = 0.5


@dataclass(frozen=True)
class Target:
    """A value and its limit: at most, or at least."""

    text: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def passed(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def as_data(self) -> dict[str, Any]:
        return {**asdict(self), "passed": self.passed}


def share_of_floor(results: Results, case: str, contender: str) -> float | None:
    """The floor of a step over its time; None where ceilings or the step were not measured."""
    figure = results.get(step.NAME, case, contender)
    rate = results.processor(step.NAME, "multiply-adds")
    bandwidth = results.processor(step.NAME, "traffic")
    sizes, batch = step.parse(case)
    if not figure or not rate or not bandwidth or sizes != step.MAIN:
        return None
    return step.floor(sizes, batch, rate, bandwidth) / figure.median


def linear_ratios(results: Results, way: str, contender: str = OURS) -> dict[str, float]:
    """Each case's time over PyTorch's."""
    found = {}
    for case in results.cases(linear.NAME):
        ratio = results.ratio(linear.NAME, case, contender, REFERENCE)
        if case.startswith(way) and ratio is not None:
            found[case] = ratio
    return found


def of_steps(results: Results) -> Iterator[Target]:
    for case in results.cases(step.NAME):
        peer = results.fastest_peer(step.NAME, case)
        ours = results.fastest(step.NAME, case, (OURS, step.FUSED))
        ratio = results.ratio(step.NAME, case, ours, peer) if ours and peer else None
        to_tutorial = results.ratio(step.NAME, case, OURS, REFERENCE)
        share = share_of_floor(results, case, ours) if ours else None
        sizes, batch = step.parse(case)
        if sizes == step.TINY and to_tutorial is not None:
            yield Target(f"step {case}: ours / PyTorch", to_tutorial, TINY)
            continue
        if ratio is not None:
            yield Target(f"step {case}: our best / fastest peer ({ours} / {peer})", ratio, PEERS)
        if to_tutorial is not None:
            yield Target(f"step {case}: ours / PyTorch", to_tutorial, TUTORIAL)
        if share is not None and batch in SHARE_BATCHES:
            yield Target(f"step {case}: our best, share of the floor", share, SHARE, at_least=True)


def of_linear(results: Results) -> Iterator[Target]:
    for way in linear.WAYS:
        ratios = linear_ratios(results, way)
        if ratios:
            mean, worst = geometric_mean(ratios.values()), max(ratios, key=lambda c: ratios[c])
            yield Target(f"linear {way}: ours / PyTorch, geometric mean", mean, LINEAR_MEAN)
            yield Target(f"linear {worst}: ours / PyTorch, the worst", ratios[worst], LINEAR_WORST)


def of_the_rest(results: Results) -> Iterator[Target]:
    for case, limit in overhead.LIMITS.items():
        ratio = results.ratio(overhead.NAME, case, OURS, REFERENCE)
        if ratio is not None:
            yield Target(f"overhead {case}: ours / PyTorch", ratio, limit)
    size = results.ratio(memory.NAME, memory.JOB, OURS, REFERENCE)
    if size is not None:
        yield Target("memory of the main job: ours / PyTorch", size, MEMORY)
    for case in results.cases(together.NAME):
        pair = results.get(together.NAME, case)
        if pair:
            yield Target(f"together {case}: time / alone", pair.median, together.LIMIT)
    seconds = results.get(imports.NAME, "import")
    if seconds:
        yield Target("import tinygrad_ai, seconds", seconds.median, imports.LIMIT)


def of_bert(results: Results) -> Iterator[Target]:
    """Wanted of MiniLM; another model's figures stand alone."""
    for case, limit in bert.LIMITS.items():
        ratio = results.ratio(bert.NAME, case, OURS, REFERENCE)
        if ratio is not None and results.settings.get("model") is None:
            yield Target(f"bert {case}: ours / PyTorch", ratio, limit)


def targets(results: Results) -> list[Target]:
    """Every target that this run has the figures for."""
    return [*of_steps(results), *of_linear(results), *of_the_rest(results), *of_bert(results)]
