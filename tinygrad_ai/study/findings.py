"""What lint and watch report: findings with a code, and the table that explains the codes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rich.console import Console, Group
from rich.padding import Padding
from rich.text import Text

from ..backend import storage


class Rule(NamedTuple):
    """A mistake: its name, what goes wrong because of it, and what to write instead."""

    title: str
    why: str
    fix: str


RULES = {
    "TG001": Rule(
        "gradients are not zeroed",
        "backward() adds to .grad: each step follows the sum of all gradients so far, which acts "
        "like a momentum that never fades",
        "optimizer.zero_grad() before loss.backward()",
    ),
    "TG002": Rule(
        "softmax before a loss that has it inside",
        "cross entropy takes scores and applies softmax itself; given probabilities it cannot "
        "come near 0, and gradients are small",
        "give the loss the scores, and use softmax only to read them",
    ),
    "TG003": Rule(
        "optimizer and model do not have the same parameters",
        "what the optimizer was not given never changes; what the model no longer has is trained "
        "for nothing",
        "make the optimizer from model.parameters(), after all layers are there",
    ),
    "TG004": Rule(
        "parameters without gradient",
        "the loss does not depend on them, so they stay as they were made",
        "use them in forward, and look for detach(), .data, .item() and no_grad() on the way",
    ),
    "TG005": Rule(
        "a live graph is kept across steps",
        "a tensor with its history outlives its step: memory grows with every step, and a "
        "backward pass that reaches back grows too",
        "keep loss.item(), and h.detach() where a state is carried on",
    ),
    "TG006": Rule(
        "dropout or batch norm in the wrong mode",
        "in evaluation mode dropout is off and batch norm does not learn; in training mode a "
        "measurement is noisy and its data moves the running statistics",
        "model.train() before training, model.eval() before measuring",
    ),
    "TG007": Rule(
        "labels outside the classes",
        "a negative label counts from the end, an ignored one counts for nothing, and a target "
        "that is no probability has no minimum",
        "labels from 0 to C - 1, probabilities from 0 to 1",
    ),
    "TG008": Rule(
        "the loss at the start is far from log C",
        "without knowledge every one of C classes is as likely, which costs log C; more means "
        "scores that are too large, less means that the labels can be seen",
        "smaller weights in the last layer, or look at what the inputs have of the labels",
    ),
    "TG009": Rule(
        "dead units",
        "a relu that gives 0 for all samples passes no gradient, so its unit cannot come back",
        "a smaller learning rate, no large negative bias, He initialisation, or leaky_relu",
    ),
    "TG010": Rule(
        "a step far from a thousandth of the weights",
        "|update| / |w| is about 1e-3 in a training that goes well: far above it steps overshoot, "
        "far below nothing is learnt",
        "another learning rate, by the factor that is missing",
    ),
    "TG011": Rule(
        "the logarithm of softmax or sigmoid",
        "where a probability is rounded to 0 the logarithm is -inf and its gradient NaN",
        "log_softmax(x) or logsigmoid(x), or cross_entropy on the scores",
    ),
    "TG012": Rule(
        "data is not normalised",
        "the first layer's gradient is as large as its input: no learning rate fits both it and "
        "the layers above",
        "x = (x - mean) / std, with the training set's figures; pixels / 255",
    ),
    "TG013": Rule(
        "float64 creeps in",
        "one tensor of float64, mostly from NumPy, makes all that follows float64: twice the "
        "memory, half the speed or less",
        "x.float() where it comes in",
    ),
    "TG014": Rule(
        "a graph that was built outside the loop",
        "what was computed once from the parameters keeps their old values, while they change",
        "compute it inside the loop, from the parameters as they are",
    ),
}


@dataclass
class Finding:
    """One mistake: what was seen, in words and numbers, and where. `step` counts from 1, None at a
    single moment; `times` says in how many steps it was seen."""

    code: str
    message: str
    place: str
    numbers: dict[str, Any] = field(default_factory=dict)
    step: int | None = None
    times: int = 1
    last: int | None = None  # the step in which it was seen last

    @property
    def title(self) -> str:
        return RULES[self.code].title

    @property
    def explanation(self) -> str:
        return RULES[self.code].why

    @property
    def fix(self) -> str:
        return RULES[self.code].fix

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "code": self.code, "title": self.title, "message": self.message,
            "explanation": self.explanation, "fix": self.fix, "place": self.place,
            "step": self.step, "times": self.times, "numbers": self.numbers,
        }  # fmt: skip


@dataclass
class Report:
    """The findings of lint or watch, each code and place once. Prints itself; true if there is
    something."""

    findings: list[Finding] = field(default_factory=list)
    steps: int | None = None

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    @property
    def codes(self) -> list[str]:
        """The codes that were found, each once, in order."""
        return sorted({f.code for f in self.findings})

    def add(self, finding: Finding) -> None:
        """Takes a finding, or counts the step if it was seen before."""
        finding.last = finding.step
        for known in self.findings:
            if (known.code, known.place) == (finding.code, finding.place):
                known.times += known.last != finding.step
                known.last = finding.step
                return
        self.findings.append(finding)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"steps": self.steps, "findings": [f.to_dict() for f in self.findings]}

    def __rich__(self) -> Group:
        return Group(*[_shown(f) for f in self.findings], Text(self.summary(), style="bold"))

    def summary(self) -> str:
        count = len(self.findings)
        seen = "" if self.steps is None else f" in {self.steps} step{'s' * (self.steps != 1)}"
        return f"{count or 'no'} finding{'s' * (count != 1)}{seen}"

    def __str__(self) -> str:
        out = io.StringIO()
        Console(file=out, width=100, color_system=None, force_jupyter=False).print(self)
        return out.getvalue().rstrip("\n")


def _shown(f: Finding) -> Group:
    when = f", first in step {f.step}, in {f.times} steps" if f.step and f.times > 1 else ""
    when = when or (f", in step {f.step}" if f.step else "")
    text = Text(f"{f.message}\nwhy: {f.explanation}\n")
    text.append(f"fix: {f.fix}\n", "green").append(f"at {f.place}\n", "dim")
    head = Text.assemble((f.code, "bold red"), " ", (f.title, "bold"), when)
    return Group(head, Padding(text, (0, 0, 0, 2)))


def here() -> str:
    """The user's line that is being run."""
    return storage.line_of(storage.user_place())
