"""profile: every moment is charged once, to what was running; and nothing of the user's changes."""

from __future__ import annotations

import json
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tinygrad_ai import nn, optim
from tinygrad_ai.autograd.grad import Walk
from tinygrad_ai.autograd.mode import state
from tinygrad_ai.autograd.op import REGISTRY, op
from tinygrad_ai.errors import ArgumentError, ProfileError, ShapeError, TinygradError
from tinygrad_ai.study import clock as clocks
from tinygrad_ai.study import profile, watch
from tinygrad_ai.study.profile import kinds
from tinygrad_ai.study.profile_report import Report
from tinygrad_ai.study.roofline import Machine
from tinygrad_ai.utils.checkpoint import checkpoint


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x: Any) -> Any:
        return x + self.down(self.up(x).tanh())


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(Block(), Block())
        self.head = nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        return self.head(self.blocks(x)).relu()


def machine(report: Report) -> Report:
    """With a machine that nobody has to measure."""
    report.known_machine = Machine(1e10, 1e9)
    return report


def made(seed: int = 0) -> tuple[Any, Any, Any, Any]:
    ta.manual_seed(seed)
    model = Net()
    return model, optim.Adam(model.parameters()), ta.randn(6, 8), ta.randint(3, (6,))


def train(model: Any, optimizer: Any, x: Any, y: Any, steps: int = 3) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(nn.functional.dropout(model(x), 0.3), y).backward()
        optimizer.step()


def profiled(steps: int = 3) -> Report:
    model, optimizer, x, y = made()
    with profile(model, optimizer) as report:
        train(model, optimizer, x, y, steps)
    return machine(report)


def seconds(report: Report, **wanted: str) -> float:
    """Of the events that have these fields."""
    chosen = [e for e in report.events if all([getattr(e, k) == v for k, v in wanted.items()])]
    return sum([e.seconds for e in chosen])


# ---- time


def test_the_times_sum_to_the_wall_clock() -> None:
    ta.manual_seed(0)
    model = nn.Sequential(nn.Linear(256, 512), nn.GELU(), nn.LayerNorm(512), nn.Linear(512, 10))
    optimizer = optim.Adam(model.parameters())
    x, y = ta.randn(512, 256), ta.randint(10, (512,))
    profiler = profile(model, optimizer)
    start = time.perf_counter()
    with profiler as report:
        train(model, optimizer, x, y, steps=20)
    wall = time.perf_counter() - start
    assert report.steps == 20
    assert abs(sum([e.seconds for e in report.events]) + report.overhead - wall) <= 0.05 * wall
    for view in ("op", "layer", "line"):
        rows = report.by(view).rows
        outermost = [r for r in rows if view != "layer" or "." not in r.name]
        total = sum([row.total.seconds for row in outermost]) + report.overhead
        assert total == pytest.approx(report.wall, rel=1e-6)


def test_no_moment_is_counted_twice() -> None:
    events = profiled().events
    for one, other in zip(events, events[1:], strict=False):
        assert 0 <= one.start <= one.start + one.seconds <= other.start + 1e-9
    assert all([e.seconds > 0 for e in events])


@pytest.fixture
def slow() -> Iterator[Any]:
    """An op that sleeps 20 ms, with a rule that sleeps 40."""

    @op
    def slowly(be: Any, x: Any) -> Any:
        time.sleep(0.02)
        return x * 2

    @slowly.vjp
    def _(g: Any) -> Any:
        time.sleep(0.04)
        return g * 2

    yield slowly
    del REGISTRY["slowly"]


class Sleeper(optim.SGD):
    def update_all(self, *args: Any) -> None:
        time.sleep(0.05)
        super().update_all(*args)


def test_each_is_charged_for_its_own_time(slow: Any) -> None:
    """Sleeps last as long as they say, and each is found where it was, and nowhere else."""
    w = ta.ones(3).requires_grad_()
    optimizer = Sleeper([w], lr=0.1)
    with profile(None, optimizer) as report:
        for _ in range(3):
            time.sleep(0.03)
            y = slow(w)
            y.register_hook(lambda g: time.sleep(0.01))
            y.sum().backward()
            optimizer.step()
    assert report.steps == 3
    expected = {"forward": 0.02, "backward": 0.04, "optimizer": 0.05, "walk": 0.01, "python": 0.03}
    for kind, each in expected.items():
        name = {"forward": "slowly", "backward": "slowly", "optimizer": "Sleeper"}.get(kind, kind)
        assert seconds(report, kind=kind, name=name) >= 3 * each
    assert sum([e.seconds for e in report.events]) + report.overhead == pytest.approx(report.wall)
    assert report.uncounted == {"slowly"} and "FLOPs unknown: slowly" in str(machine(report))
    assert report.by("op")["slowly"].total.flops == 0


def test_the_profilers_own_work_is_overhead(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinygrad_ai.study import counts

    def slowly(*args: Any) -> tuple[int, int]:
        time.sleep(0.2)
        return 0, 0

    monkeypatch.setattr(counts, "forward", slowly)
    with profile() as report:
        ta.ones(3) + ta.ones(3)
    assert report.overhead >= 0.2 > seconds(report, name="add")


def test_a_function_of_the_users_shows_what_it_is_made_of() -> None:
    class Double(ta.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x.exp() * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return (g * 2).cos()

    x = ta.ones(50).requires_grad_()
    with profile() as report:
        Double.apply(x).sum().backward()
    kinds = {(e.name, e.kind) for e in report.events}
    assert {
        ("exp", "forward"),
        ("mul", "forward"),
        ("mul", "backward"),
        ("cos", "backward"),
    } <= kinds
    assert [e.calls for e in report.events if e.name == "Double"][:1] == [1]
    assert sum([e.calls for e in report.events if e.name == "Double"]) == 1


def test_a_checkpoint_is_seen_to_compute_again() -> None:
    found = []
    for checkpointed in (False, True):
        model, _, x, _ = made()
        block = model.blocks[0]
        with profile(model) as report:
            y = checkpoint(block, x) if checkpointed else block(x)
            y.sum().backward()
        row = report.by("op")["linear"]
        found.append((row.passes["forward"].flops, row.passes["backward"].flops))
        assert {e.path for e in report.events if e.name == "linear"} == {
            "blocks.0.up", "blocks.0.down"
        }  # fmt: skip
    (forward, rule), (first, again) = found
    assert first == forward and again == rule + forward


def test_second_derivatives_are_work_of_the_backward_pass() -> None:
    x = ta.ones(4).requires_grad_()
    with profile() as report:
        (g,) = ta.autograd.grad(x.tanh().sum(), x, create_graph=True)
        g.sum().backward()
    rules = [e.name for e in report.events if e.kind == "backward" and e.calls]
    assert rules.count("tanh") == 2 and "mul" in rules  # what the first rule was made of
    assert {e.name for e in report.events if e.kind == "forward"} == {"tanh", "sum"}


def test_a_closure_is_the_users() -> None:
    model, _, x, y = made()
    optimizer = optim.LBFGS(model.parameters(), max_iter=2)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        time.sleep(0.01)
        return loss

    with profile(model, optimizer) as report:
        optimizer.step(closure)
    calls = report.by("op")["cross_entropy"].passes["forward"].calls
    assert report.steps == 1 and calls >= 2
    assert seconds(report, kind="python") >= 0.01 * calls
    assert sum([e.seconds for e in report.events]) + report.overhead == pytest.approx(report.wall)
    assert sum([e.calls for e in report.events if e.kind == "optimizer"]) == 1


def test_a_step_of_the_users_gets_what_it_was_given() -> None:
    class Scaled(optim.Optimizer):
        def step(self, scale: float, rates: Any = (), *, closure: Any = None) -> Any:  # type: ignore[override]
            return scale, rates, closure and closure(2)

    optimizer, layer = Scaled([ta.ones(1)], {}), nn.Linear(1, 1)
    with profile(None, optimizer) as report:
        assert optimizer.step(2.0, (3,), closure=lambda x: x + 1) == (2.0, (3,), 3)
        assert optimizer.step(scale=1) == (1, (), None)
        assert optimizer.step(layer, closure=lambda x: layer)[::2] == (layer, layer)
    assert report.steps == 3


def test_steps_are_seen_where_a_watch_stands_too() -> None:
    for outside in (False, True):
        model, optimizer, x, y = made()
        first, second = profile(model, optimizer), watch(model, optimizer)
        with second if outside else first as one, first if outside else second as other:
            train(model, optimizer, x, y, steps=2)
        assert one.steps == other.steps == 2 and "step" not in vars(optimizer)


# ---- where


def test_rules_belong_to_the_layer_and_line_of_their_op() -> None:
    report = profiled(steps=2)
    layers = report.by("layer")
    up = layers["blocks.0.up"]
    assert up.passes["forward"].calls == up.passes["backward"].calls == 2
    assert up.passes["forward"].flops == 2 * (2 * 6 * 8 * 16 + 6 * 16)
    assert layers["Net"].passes["forward"].calls == 2  # relu: of no submodule
    # tanh, + of the block itself, and two layers; their gradients
    inside = sum([layers[f"blocks.0.{name}"].total.flops for name in ("up", "down")])
    own = 2 * (6 * 16 * (1 + 3) + 6 * 8)
    assert layers["blocks.0"].total.flops == inside + own
    both = layers["blocks"].total
    assert both.flops == layers["blocks.0"].total.flops + layers["blocks.1"].total.flops
    names = [row.name for row in layers]
    assert names.index("blocks") < names.index("blocks.0") < names.index("blocks.0.up")

    lines = {row.name: row for row in report.by("line")}
    number = Block.forward.__code__.co_firstlineno + 1
    found = next(row for name, row in lines.items() if name.endswith(f"test_profile.py:{number}"))
    # two layers, tanh and + of two blocks in two steps, and as many rules
    assert [found.passes[kind].calls for kind in ("forward", "backward")] == [16, 16]


def test_what_a_hook_computes_is_on_its_line_and_what_the_walk_sums_on_the_ops() -> None:
    def hook(g: Any) -> Any:
        return g.tanh()

    x = ta.ones(2, 3).requires_grad_()
    with profile() as report:
        x.register_hook(hook)
        y = x.exp() * 2
        y = y + ta.ones(1, 3).requires_grad_()
        y.sum().backward()
    lines = {e.name: int(e.place.split(":")[1]) for e in report.events if e.kind == "backward"}
    first = hook.__code__.co_firstlineno
    assert (lines["tanh"], lines["exp"], lines["sum_to"]) == (first + 1, first + 6, first + 7)


def test_without_a_model_layers_have_their_classes_names() -> None:
    model, _, x, y = made()
    criterion = nn.CrossEntropyLoss()
    with profile() as report:
        criterion(model(x), y).backward()
    names = {row.name for row in report.by("layer")}
    assert {"Net", "Net.head", "Net.blocks.1.down", "CrossEntropyLoss"} <= names


def test_a_module_that_nobody_registered_belongs_to_who_calls_it() -> None:
    made_inside: weakref.WeakSet[Any] = weakref.WeakSet()

    class Hidden(nn.Module):
        def forward(self, x: Any) -> Any:
            layer = nn.Linear(8, 2)
            made_inside.add(layer)
            return layer(x)

    model = Hidden()
    with profile(model) as report:
        model(ta.ones(1, 8))
        model(ta.ones(1, 8))
        assert len(made_inside) == 0  # it dies as it would have
    assert [e.path for e in report.events if e.name == "linear"] == ["Hidden"] * 2


def test_a_loop_that_began_before() -> None:
    """The rules of nodes that were made outside of the block are counted, without a layer."""
    model, _, x, y = made()
    loss = nn.functional.cross_entropy(model(x), y)
    with profile(model) as report:
        loss.backward()
    row = report.by("op")["linear"]
    assert set(row.passes) == {"backward"} and row.total.flops > 0
    assert {e.path for e in report.events if e.name == "linear"} == {""}
    assert "(no layer)" in str(machine(report).by("layer"))


# ---- nothing changes


def state_of(model: Any, optimizer: Any) -> list[bytes]:
    found = [p.detach().numpy().tobytes() for p in model.parameters()]
    found += [p.grad.numpy().tobytes() for p in model.parameters()]
    for kept in optimizer.state_dict()["state"].values():
        found += [v.numpy().tobytes() for v in kept.values()]
    return [*found, ta.get_rng_state().numpy().tobytes()]


def test_a_profiled_loop_ends_in_the_same_state_bit_for_bit() -> None:
    ends = []
    for watched in (False, True):
        model, optimizer, x, y = made()
        if watched:
            with profile(model, optimizer):
                train(model, optimizer, x, y)
        else:
            train(model, optimizer, x, y)
        ends.append(state_of(model, optimizer))
    assert ends[0] == ends[1]


def doors() -> list[Any]:
    ours = [k for k in kinds(optim.Optimizer) if k.__module__.startswith("tinygrad_ai.")]
    steps = [vars(kind).get("step") for kind in ours]
    return [state.observers, vars(Walk)["run"], *steps]


def test_everything_is_undone_also_after_an_error() -> None:
    before = doors()
    model, optimizer, x, y = made()
    with pytest.raises(ShapeError), profile(model, optimizer) as report:
        model(x)
        model(ta.ones(2, 3))
    assert doors() == before and "step" not in vars(optimizer)
    assert report.ended and report.by("op")["linear"].total.calls >= 5
    assert sum([e.seconds for e in report.events]) + report.overhead == pytest.approx(report.wall)


def test_who_leaves_first_takes_nobody_along() -> None:
    """As where a generator with a block inside is closed late."""
    model, optimizer, x, _ = made()
    for order in (0, 1):
        both = [profile(model, optimizer), watch(model, optimizer)]
        for one in both:
            one.__enter__()
        both[order].__exit__(None, None, None)
        assert state.observers == (both[1 - order],)
        model(x).sum().backward()
        both[1 - order].__exit__(None, None, None)
        assert state.observers == ()


def test_an_interrupt_between_two_lines_leaves_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    push = clocks.Clock.push

    def interrupted(clock: Any, frame: Any) -> None:
        push(clock, frame)
        if frame.name == "exp":
            raise KeyboardInterrupt

    before = doors()
    monkeypatch.setattr(clocks.Clock, "push", interrupted)
    with pytest.raises(KeyboardInterrupt), profile() as report:
        time.sleep(0.01)
        ta.ones(3).exp()
    assert doors() == before and report.ended and seconds(report, kind="python") >= 0.01
    assert sum([e.seconds for e in report.events]) + report.overhead == pytest.approx(report.wall)


def test_a_gpu_that_fails_is_told_and_everything_undone(
    gpu: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(device: Any) -> None:
        raise RuntimeError("illegal address")

    before = doors()
    with pytest.raises(RuntimeError, match="illegal address"), profile():
        ta.ones(8, device="cuda").exp()
        monkeypatch.setattr(clocks.cuda, "synchronize", failing)
    assert doors() == before
    with profile():
        pass


def test_no_node_lives_on_in_the_report() -> None:
    import gc

    x = ta.ones(4).requires_grad_()
    with profile() as report:
        y = x.exp()
    node = weakref.ref(y.node)
    del y
    gc.collect()
    assert node() is None and report.ended


# ---- a GPU


def test_work_of_a_gpu_is_waited_for(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[str] = []

    def synchronize(device: Any) -> None:
        waited.append(device)
        time.sleep(0.005)  # what the GPU still had to do

    w = ta.ones(8, device="cuda").requires_grad_()
    optimizer = optim.SGD([w], lr=0.1)
    monkeypatch.setattr(clocks.cuda, "synchronize", synchronize)
    with profile() as report:
        ta.ones(3) + ta.ones(3)
        assert not waited
        w.exp().sum().backward()
        optimizer.step()
    assert report.devices == ["cuda:0"] and set(waited) == {"cuda:0"}
    assert min(seconds(report, name="exp", kind=k) for k in ("forward", "backward")) >= 0.005
    assert seconds(report, kind="optimizer") >= 0.005
    assert report.by("op")["exp"].passes["forward"].bytes == 2 * 4 * 8
    assert "waited for cuda:0 after each op" in str(machine(report))


# ---- with memory, traces and pictures


def test_memory_is_watched_beside_the_time() -> None:
    found = []
    for memory in (False, True):
        model, optimizer, x, y = made()
        with profile(model, optimizer, memory=memory) as report:
            train(model, optimizer, x, y)
        found.append({(r.name, k): (w.calls, w.flops, w.bytes) for r in report.by("op")
                      for k, w in r.passes.items()})  # fmt: skip
    assert found[0] == found[1] and ("Adam", "optimizer") in found[1] and report.steps == 3
    assert "step" not in vars(optimizer)
    parameters = sum([p.nbytes for p in model.parameters()])
    sizes = report.memory.peak.by_category
    assert sizes["parameters"] == parameters and sizes["optimizer state"] >= 2 * parameters
    assert report.to_dict()["memory"]["peak"] == report.memory.peak.to_dict()
    assert report.memory.samples[-1].seconds <= report.wall


def test_an_optimizer_that_nobody_told_of_has_its_state_counted() -> None:
    """As of a Trainer, which makes its own, and of a script."""
    for given in (True, False):
        model, optimizer, x, y = made()
        with profile(model if given else None, memory=True) as report:
            train(model, optimizer, x, y)
        parameters = sum([p.nbytes for p in model.parameters()])
        counters = 4 * len(list(model.parameters()))
        ends = report.memory.samples[-1].by_category
        assert ends["parameters"] == parameters
        assert ends["optimizer state"] == 2 * parameters + counters
        layers = {h.path for h in report.memory.holders(None) if h.category == "activations"}
        assert ("blocks.0.up" if given else "Net.blocks.0.up") in layers


def test_memory_is_undone_after_an_error() -> None:
    before = doors()
    model, optimizer, _, _ = made()
    with pytest.raises(ShapeError), profile(model, optimizer, memory=True) as report:
        model(ta.ones(2, 3))
    assert doors() == before and "step" not in vars(optimizer) and report.memory.samples


def test_a_trace_has_every_event(tmp_path: Path) -> None:
    report = profiled()
    path = report.trace(tmp_path / "trace.json")
    found = [e for e in json.loads(path.read_text())["traceEvents"] if e["ph"] == "X"]
    assert len(found) == len(report.events)
    assert sum([e["dur"] for e in found]) / 1e6 == pytest.approx(report.wall - report.overhead)


def test_a_roofline_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with profile() as report:
        (ta.ones(8, 8) @ ta.ones(8, 8)).exp()
    report.known_machine = Machine(1e10, 1e9)
    assert report.roofline(tmp_path / "roof.svg").stat().st_size > 1000


# ---- what is refused


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((print,), "expects a Module, got builtin_function_or_method"),
        ((nn.Linear,), "expects a Module, got type"),
        ((None, 3), "expects an Optimizer, got int"),
        ((None, [optim.SGD([ta.ones(1)]), None]), "expects an Optimizer, got NoneType"),
        ((optim.SGD([ta.ones(1)]),), "model first"),
    ],
)
def test_bad_arguments(args: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        profile(*args)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"record_shapes": True}, "no option 'record_shapes'\n  fix: leave it out"),
        ({"profile_memory": True}, "fix: memory=True"),
        ({"schedule": print}, "fix: let some steps run to warm up"),
        ({"memori": True}, "did you mean 'memory'"),
        ({"called": 3}, "called is a function of a module, got int"),
    ],
)
def test_options_that_are_none(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        profile(**options)


def test_pytorchs_habits_are_told_what_to_write() -> None:
    with pytest.raises(ArgumentError, match="does not decorate"):
        profile()(print)
    with pytest.raises(AttributeError, match="fix: with profile"):
        profile().start()
    with profile() as report, pytest.raises(AttributeError, match="optimizer's steps are seen"):
        report.step()
    with pytest.raises(AttributeError, match=r"'Report' .* 'key_averages'\n  fix: print\(report"):
        report.key_averages()
    with pytest.raises(AttributeError, match="'nothing'$"):
        report.nothing  # noqa: B018


def test_one_profile_at_a_time_and_once() -> None:
    before = doors()
    once = profile()
    with once as report:
        with pytest.raises(ProfileError, match="running already"), profile():
            pass
        ta.ones(2).exp()
    assert doors() == before and report.by("op")["exp"].total.calls == 1
    with pytest.raises(ProfileError, match="used once"), once:
        pass
    assert doors() == before and issubclass(ProfileError, (TinygradError, RuntimeError))


def test_one_profile_in_all_threads() -> None:
    """What it puts in place of the engine's functions is there for all of them."""
    before, found = doors(), []

    def other() -> None:
        try:
            with profile():
                pass
        except ProfileError as error:
            found.append(str(error))

    with profile() as report:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        ta.ones(2).requires_grad_().exp().sum().backward()
    assert "running already, perhaps in another thread" in found[0]
    assert doors() == before and report.by("op")["walk"].total.calls == 1
    other()
    assert len(found) == 1 and doors() == before


def test_a_report_is_read_at_the_end() -> None:
    with profile() as report:
        for read in (report.by, report.to_dict, lambda: report.trace("x"), lambda: report.memory):
            with pytest.raises(ProfileError, match="has not ended"):
                read()
        assert str(report) == "a profile that has not ended"
    with pytest.raises(ArgumentError, match="did you mean 'layer'"):
        report.by("layers")
    with pytest.raises(ArgumentError, match="memory=True"):
        report.memory  # noqa: B018
    with pytest.raises(ArgumentError, match="nothing to draw"):
        machine(report).roofline("nowhere.png")
    with pytest.raises(ArgumentError, match="no op 'exq'"):
        report.by("op")["exq"]
    with pytest.raises(ArgumentError, match="no op 0 in"):
        report.by("op")[0]


# ---- how it looks


def test_the_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    report = profiled()
    assert capsys.readouterr().out == ""  # nothing is printed that nobody asked for
    text = str(report)
    first, head, *body = text.splitlines()
    assert "3 steps of" in first and "10 GFLOP/s, 1 GB/s" in first
    assert head.split() == [
        "op", "calls", "ms", "share", "kFLOP", "kB", "FLOP/B", "GFLOP/s", "roofline"
    ]  # fmt: skip
    assert [line.split()[0] for line in body[-5:]] == ["Adam", "walk", "python", "profiler", "all"]
    assert repr(report) == f"<profile of 3 steps, {len(report.events)} events>"
    assert body[-1].split()[-1] == "100%" and "\x1b" not in text
    linear = next(i for i, line in enumerate(body) if line.startswith("linear"))
    assert body[linear].split()[1:3] == ["forward", "15"]
    assert body[linear + 1].split()[:2] == ["backward", "15"]
    assert max(map(len, text.splitlines())) <= 110


@pytest.mark.parametrize("view", ["op", "layer", "line"])
def test_a_table_fits_a_terminal_of_80_columns(view: str, monkeypatch: pytest.MonkeyPatch) -> None:
    report = machine(profiled())
    report.events += [replace(e, path=f"transformer.encoder.{e.path}", place=f"/some/{e.place}")
                      for e in report.events]  # fmt: skip
    monkeypatch.setenv("COLUMNS", "80")
    lines = str(report.by(view)).splitlines()
    assert max(map(len, lines)) <= 80 and lines[1].split()[-3:] == ["FLOP/B", "GFLOP/s", "roof"]
    numbers = [line.split() for line in lines if " fwd " in line]
    assert numbers and all(["…" not in cell for row in numbers for cell in row[1:]])
    assert view != "layer" or any([row[0].endswith("blocks.0.down") for row in numbers])
    assert view == "op" or any([row[0].startswith("…") for row in numbers])


def test_a_notebook_shows_tables() -> None:
    report = profiled()
    table = report.by("layer")
    assert repr(table) == f"<profile by layer, {len(table)} rows>"
    for shown in (report, table):
        found = shown._repr_mimebundle_((), ())
        assert {"text/html", "text/plain"} <= found.keys() and "profiler" in found["text/html"]
        # Of the page that they stand on, dark or light: nobody else's ink and paper.
        assert "background" not in found["text/html"] and "#000" not in found["text/html"]


def test_the_report_for_programs() -> None:
    report = profiled()
    found = json.loads(json.dumps(report.to_dict()))
    assert found["steps"] == 3 and found["wall"] == 3 * found["seconds_per_step"]
    assert found["machine"] == Machine(1e10, 1e9).to_dict() and "memory" not in found
    row = next(row for row in found["op"] if row["name"] == "linear")
    assert row["kind"] == "work" and row["forward"]["calls"] == row["backward"]["calls"] == 15
    part = row["forward"]
    assert part["intensity"] == part["flops"] / part["bytes"]
    assert part["flops_per_second"] == part["flops"] / part["seconds"]
    least = max(part["flops"] / 1e10, part["bytes"] / 1e9)
    assert part["roofline"] == pytest.approx(least / part["seconds"])
    total = sum([row["total"]["seconds"] for row in found["op"]]) + found["overhead"]
    assert np.isclose(total, found["wall"])
    assert report.by("op").to_dict() == report.to_dict()["op"]
