"""lint and watch: a script of tests/lint/ gives its code and no other, correct loops give none."""

from __future__ import annotations

import json
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rich

import tinygrad_ai as ta
from tinygrad_ai import nn, optim
from tinygrad_ai.errors import ArgumentError, GradError, GraphFreedError
from tinygrad_ai.nn import functional as F
from tinygrad_ai.study import findings, lint, watch
from tinygrad_ai.train.config import Config
from tinygrad_ai.train.images import load_images
from tinygrad_ai.train.loop import Loop

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted((ROOT / "tests" / "lint").glob("tg*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_a_script_gives_its_code_and_no_other(script: Path) -> None:
    report = runpy.run_path(str(script))["report"]
    assert report.codes == [script.stem[:5].upper()], str(report)
    lines = script.read_text().split("\n")
    for found in report:
        file, _, line = found.place.rpartition(":")
        if "# here" in script.read_text():
            assert file == str(script) and "# here" in lines[int(line) - 1], found.place
    json.dumps(report.to_dict())


def test_every_code_has_a_script_and_a_row_in_the_docs() -> None:
    codes = sorted(findings.RULES)
    assert codes == [f"TG{i:03}" for i in range(1, 15)]
    assert sorted({s.stem[:5].upper() for s in SCRIPTS}) == codes
    page = (ROOT / "docs" / "study.md").read_text()
    rows = dict(re.findall(r"^\| (TG\d{3}) \| ([^|]+) \|", page, re.MULTILINE))
    assert rows == {code: rule.title for code, rule in findings.RULES.items()}


# ---- correct loops


def net() -> tuple[Any, Any, Any]:
    ta.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.1),
                          nn.Linear(16, 3))  # fmt: skip
    return model, ta.randn(32, 8), ta.randint(3, (32,))


def steps(model: Any, optimizer: Any, x: Any, y: Any) -> None:
    """Training and measuring as they should be."""
    best = None
    for _ in range(4):
        model.train()
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        if best is None or loss.item() < best.item():
            best = loss
        model.eval()
        with ta.no_grad():
            model(x).argmax(1)


def accumulating(model: Any, optimizer: Any, x: Any, y: Any) -> None:
    for _ in range(3):
        for i in (0, 16):
            (F.cross_entropy(model(x[i : i + 16]), y[i : i + 16]) / 2).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)


def zeroed_by_hand(model: Any, optimizer: Any, x: Any, y: Any) -> None:
    for _ in range(3):
        F.cross_entropy(model(x), y, reduction="sum").div(32).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        for p in model.parameters():
            p.grad.zero_()


def frozen(model: Any, optimizer: Any, x: Any, y: Any) -> None:
    """A batch norm that is kept as it is."""
    model[1].requires_grad_(False)
    for _ in range(3):
        model.train()
        model[1].eval()
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


def scaled(model: Any, optimizer: Any, x: Any, y: Any) -> None:
    scaler = ta.amp.GradScaler("cpu")
    for _ in range(3):
        optimizer.zero_grad()
        scaler.scale(F.cross_entropy(model(x), y)).backward()
        scaler.step(optimizer)
        scaler.update()


def closures(model: Any, optimizer: Any, x: Any, y: Any) -> None:
    def closure() -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)


@pytest.mark.parametrize("loop", [steps, accumulating, zeroed_by_hand, frozen, scaled, closures])
@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
def test_a_correct_loop_is_clean(loop: Any, kind: str) -> None:
    model, x, y = net()
    optimizer = getattr(optim, kind)(model.parameters(), lr=1e-3)
    with watch(model, optimizer) as report:
        loop(model, optimizer, x, y)
    assert not report, str(report)
    assert report.steps == (4 if loop is steps else 3)


def test_lbfgs_is_clean() -> None:
    model, x, y = net()
    optimizer = optim.LBFGS(model.parameters(), lr=0.1, max_iter=2)
    with watch(model, optimizer) as report:
        closures(model, optimizer, x, y)
    assert not report, str(report)
    optimizer.zero_grad()
    assert not lint(F.cross_entropy(model(x), y), model, optimizer)


def test_a_state_that_is_detached_is_clean() -> None:
    ta.manual_seed(0)
    cell, head = nn.RNNCell(4, 8), nn.Linear(8, 2)
    model = nn.ModuleList([cell, head])
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    h = ta.zeros(8, 8)
    with watch(model, optimizer) as report:
        for _ in range(5):
            optimizer.zero_grad()
            h = cell(ta.randn(8, 4), h.detach())
            F.cross_entropy(head(h), ta.randint(2, (8,))).backward()
            optimizer.step()
    assert not report, str(report)


def test_two_optimizers_that_take_turns_are_clean() -> None:
    ta.manual_seed(0)
    maker, critic = nn.Linear(4, 8), nn.Linear(8, 1)
    optimizers = [optim.SGD(m.parameters(), lr=0.01) for m in (maker, critic)]
    with watch(nn.ModuleList([maker, critic]), optimizers) as report:
        for _ in range(4):
            made = maker(ta.randn(8, 4))
            optimizers[1].zero_grad()
            F.softplus(critic(made.detach())).mean().backward()
            optimizers[1].step()
            optimizers[0].zero_grad()
            F.softplus(-critic(made)).mean().backward()
            optimizers[0].step()
    assert not report, str(report)


class Attached:
    """Watches every optimizer from its first step or zero_grad on, with the caller's model."""

    def __init__(self) -> None:
        self.found: dict[int, tuple[watch, Any]] = {}

    def attach(self, optimizer: Any, scope: dict[str, Any]) -> None:
        if id(optimizer) in self.found:
            return
        own = {id(p) for group in optimizer.param_groups for p in group["params"]}
        models = [m for m in scope.values() if isinstance(m, nn.Module) and list(m.parameters())]
        model = next((m for m in models if {id(p) for p in m.parameters()} & own), None)
        watching = watch(model, optimizer)
        self.found[id(optimizer)] = watching, watching.__enter__()


@pytest.fixture
def attached(monkeypatch: pytest.MonkeyPatch) -> Iterator[Attached]:
    all_of_them, zero_grad = Attached(), optim.Optimizer.zero_grad

    def first(self: Any, *args: Any, **kwargs: Any) -> None:
        frame = sys._getframe(1)
        all_of_them.attach(self, {**frame.f_globals, **frame.f_locals})
        zero_grad(self, *args, **kwargs)

    monkeypatch.setattr(optim.Optimizer, "zero_grad", first)
    yield all_of_them
    for watching, _ in reversed(all_of_them.found.values()):
        watching.__exit__()


def blocks(source: Path) -> list[str]:
    """The programs of a page, or the one of a script."""
    text = source.read_text()
    if source.suffix == ".py":
        return [text]
    if source.suffix == ".ipynb":
        cells = [c for c in json.loads(text)["cells"] if c["cell_type"] == "code"]
        return ["".join(c["source"]) for c in cells]
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


PATTERNS = ("README.md", "docs/*.md", "examples/*.py", "notebooks/*.ipynb")
PLACES = [path for pattern in PATTERNS for path in sorted(ROOT.glob(pattern))]
LOOPS = [p for p in PLACES if "zero_grad()" in "".join(blocks(p)) and p.name != "study.md"]


@pytest.mark.parametrize("source", LOOPS, ids=lambda p: p.name)
def test_our_own_loops_are_clean(source: Path, attached: Attached) -> None:
    names = {"__name__": "__main__"}
    for block in blocks(source):
        exec(compile(block, str(source), "exec"), names)
    assert attached.found
    for _, report in attached.found.values():
        assert report.steps and not report, str(report)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_train_command_is_clean(optimizer: str) -> None:
    loop = Loop(Config(epochs=1, hidden=32, optimizer=optimizer), load_images(None))
    with watch(loop.model, loop.optimizer) as report:
        loop.run(lambda: None, lambda line: None)
    assert report.steps == -(-len(loop.images.train) // 64) and not report, str(report)


def test_a_layer_that_begins_at_zero_is_clean() -> None:
    model, x, y = net()
    nn.init.zeros_(model[4].weight)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    with watch(model, optimizer) as report:
        steps(model, optimizer, x, y)
    assert not report, str(report)


@pytest.mark.usefixtures("cupy")
def test_both_look_at_a_model_on_a_gpu() -> None:
    model, x, y = net()
    model, x, y = model.cuda(), x.cuda(), y.cuda()
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    assert not lint(F.cross_entropy(model(x), y), model, optimizer)
    with watch(model, optimizer) as report:
        for _ in range(2):
            F.cross_entropy(model(255 * x), y).backward()
            optimizer.step()
    assert report.codes == ["TG001", "TG012"]


# ---- what they leave as it was


def snapshot(model: Any, optimizer: Any) -> list[Any]:
    grads = [None if p.grad is None else p.grad.numpy().copy() for p in model.parameters()]
    weights = [v.numpy().copy() for v in model.state_dict().values()]
    state = [v.numpy().copy() if isinstance(v, ta.Tensor) else v
             for s in optimizer.state.values() for v in s.values()]  # fmt: skip
    return [*grads, *weights, *state, str(optimizer.param_groups), ta.get_rng_state().numpy()]


@pytest.mark.parametrize("kind", ["SGD", "Adam", "RMSprop", "Adagrad", "Adadelta", "NAdam"])
def test_lint_changes_nothing(kind: str) -> None:
    model, x, y = net()
    optimizer = getattr(optim, kind)(model.parameters(), lr=1e-3)
    steps(model, optimizer, x, y)
    model.train()
    loss = F.cross_entropy(model(x), y)
    before = snapshot(model, optimizer)
    lint(loss, model, optimizer)
    for a, b in zip(before, snapshot(model, optimizer), strict=True):
        np.testing.assert_array_equal(a, b)
    loss.backward()


def test_a_watched_loop_ends_in_the_same_weights() -> None:
    ends = []
    for watched in (False, True):
        model, x, y = net()
        optimizer = optim.Adam(model.parameters(), lr=1e-3)
        if watched:
            with watch(model, optimizer):
                steps(model, optimizer, x, y)
        else:
            steps(model, optimizer, x, y)
        ends.append(snapshot(model, optimizer))
    for a, b in zip(*ends, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_does_not_come_from_the_watched_parameters_is_not_looked_at() -> None:
    model, x, y = net()
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    alive = []
    with watch(model, optimizer) as report:
        for _ in range(6):
            aside = ta.randn(4, requires_grad=True)
            alive.append((aside.softmax(0).log() ** 2).sum())  # log(softmax), and a graph kept
            alive[-1].backward(retain_graph=True)
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    assert report.steps == 6 and not report, str(report)


def test_watch_undoes_what_it_put_up() -> None:
    model, x, y = net()
    optimizer = optim.SGD(model.parameters(), lr=1e-3)
    observers = ta.autograd.mode.state.observers
    with pytest.raises(ZeroDivisionError), watch(model, optimizer):
        assert "step" in optimizer.__dict__
        raise ZeroDivisionError
    assert "step" not in optimizer.__dict__
    assert ta.autograd.mode.state.observers == observers
    mine = optimizer.step = lambda: None  # somebody's own wrapper
    with watch(model, optimizer):
        assert optimizer.step is not mine
    assert optimizer.step is mine


# ---- what they say


def test_a_report_says_what_where_and_how_often() -> None:
    model, x, y = net()
    optimizer = optim.SGD(model.parameters(), lr=1e-3)
    with watch(model, optimizer) as report:
        for _ in range(3):
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    (found,) = report
    text = str(report)
    assert (found.step, found.times) == (2, 2)
    assert "TG001 gradients are not zeroed, first in step 2, in 2 steps" in text
    assert "fix: optimizer.zero_grad() before loss.backward()" in text
    assert text.endswith("1 finding in 3 steps") and "\x1b" not in text
    assert found.numbers["parameters"] == [n for n, _ in model.named_parameters()]
    as_json = report.to_dict()["findings"][0]
    assert as_json["code"] == "TG001" and as_json["fix"] == found.fix and as_json["times"] == 2
    assert str(lint(F.cross_entropy(model(x), y))) == "no findings"


def test_rich_shows_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    rich.print(runpy.run_path(str(ROOT / "tests" / "lint" / "tg002.py"))["report"])
    assert "TG002 softmax before a loss" in capsys.readouterr().out


def test_bad_input_is_refused() -> None:
    model, x, y = net()
    optimizer = optim.SGD(model.parameters(), lr=1e-3)
    loss = F.cross_entropy(model(x), y)
    with pytest.raises(ArgumentError, match=r"expected a loss, a Tensor, got float"):
        lint(1.0, model, optimizer)
    with pytest.raises(ArgumentError, match="expected a model, an nn.Module, got SGD"):
        lint(loss, optimizer, model)
    with pytest.raises(ArgumentError, match="expected an optimizer, got Sequential"):
        watch(model, [optimizer, model])
    with pytest.raises(GradError, match=r"requires a gradient\n.*outside no_grad"):
        lint(loss.detach(), model, optimizer)
    with pytest.raises(GradError, match="only for one number"):
        lint(model(x), model, optimizer)
    loss.backward()
    with pytest.raises(GraphFreedError, match=r"fix: lint\(loss, \.\.\.\) before loss.backward"):
        lint(loss, model, optimizer)


def test_the_names_mean_the_functions() -> None:
    import tinygrad_ai.study.lint as module  # noqa: F401
    from tinygrad_ai import study

    assert study.lint is lint and study.watch is watch
