"""Memory by category over time: bytes counted by hand, and held against what tracemalloc saw."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import weakref
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import tinygrad_ai as ta
from tests import fakecupy
from tinygrad_ai import nn, optim
from tinygrad_ai.autograd.checkpoint import checkpoint
from tinygrad_ai.autograd.function import Function
from tinygrad_ai.autograd.mode import state
from tinygrad_ai.autograd.op import REGISTRY
from tinygrad_ai.backend import native, storage
from tinygrad_ai.errors import ArgumentError
from tinygrad_ai.nn import functional as F
from tinygrad_ai.study.ledger import CATEGORIES
from tinygrad_ai.study.timeline import Timeline

ROOT = Path(__file__).parent.parent
# The network 20-30-5 in float32: its parameters are 30·20 + 30 + 5·30 + 5 numbers.
WEIGHTS = (30 * 20 + 30 + 5 * 30 + 5) * 4
BATCH = 16


def mlp() -> tuple[Any, Any, Any]:
    ta.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 5))
    return model, ta.randn(BATCH, 20), ta.randint(5, (BATCH,))


# ---- bytes by hand


def test_what_a_forward_pass_saves() -> None:
    model, x, y = mlp()
    with Timeline(model) as memory:
        loss = F.cross_entropy(model(x), y)
        now = memory.now()
    # linear keeps y and x, relu its output, the second linear its output (and the loss the scores,
    # which are the same array): 16·30 + 16·30 + 16·5 numbers. x and the labels came from outside.
    assert now["activations"] == (BATCH * 30 + BATCH * 30 + BATCH * 5) * 4
    assert now["inputs"] == BATCH * 20 * 4 + BATCH * 8
    assert now["parameters"] == WEIGHTS
    assert now["gradients"] == now["optimizer state"] == 0
    assert now["temporaries"] == loss.nbytes == 4
    assert memory.peak.bytes == sum(now.values())


def test_gradients_and_adams_state() -> None:
    model, x, y = mlp()
    optimizer = optim.Adam(model.parameters())
    with Timeline(model, optimizer) as memory:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        del loss
        found = memory.now()
        assert found["gradients"] == WEIGHTS and found["activations"] == 0
        optimizer.step()
        found = memory.now()
        # Two moments of each number, and of each of four parameters a counter of four bytes.
        assert found["optimizer state"] == 2 * WEIGHTS + 4 * 4
        optimizer.zero_grad(set_to_none=True)
        found = memory.now()
        assert found["gradients"] == found["activations"] == found["temporaries"] == 0
    assert memory.samples[-1].by_category == found
    assert [s.event.op for s in memory.samples].count("Adam.step") == 1


def test_gradients_in_flight() -> None:
    x = ta.ones(20, 50, requires_grad=True)
    with Timeline() as memory:
        (x.exp() + x.tanh()).sum().backward()
        most = max(s.by_category["gradients"] for s in memory.samples)
        assert most == 2 * x.nbytes + 4  # of exp, of tanh, and the number that the walk begins with
        assert memory.now()["gradients"] == x.nbytes
        x.grad = None
        assert memory.now()["gradients"] == 0
        x.t().exp().sum().backward()  # a leaf keeps no view: for a moment there are two
        memory.now()
    ends = [s.by_category["gradients"] for s in memory.samples if s.event.op == "backward"]
    assert ends[-1] == 2 * x.nbytes and memory.samples[-1].by_category["gradients"] == x.nbytes
    made = {s.event.op for s in memory.samples if s.by_category["gradients"]}
    assert {"exp backward", "tanh backward", "backward"} <= made


def test_sums_that_the_walk_makes_are_gradients() -> None:
    x = ta.ones(1000, requires_grad=True)
    with Timeline() as memory:
        h = x * 2
        (h + h.exp()).sum().backward()
    # The rule of mul takes the sum of two gradients, of which one was an array; and makes another.
    assert max(s.by_category["gradients"] for s in memory.samples) == 3 * 4000


def test_zeroed_gradients_stay() -> None:
    model, x, y = mlp()
    with Timeline(model) as memory:
        F.cross_entropy(model(x), y).backward()
        model.zero_grad(set_to_none=False)
    assert memory.samples[-1].by_category["gradients"] == WEIGHTS


def test_losses_that_are_kept_keep_their_activations() -> None:
    model, x, y = mlp()
    losses, seen = [], []
    with Timeline(model) as memory:
        for _ in range(4):
            losses.append(F.cross_entropy(model(x), y))
            seen.append(memory.now()["activations"])
    each = (BATCH * 30 + BATCH * 30 + BATCH * 5) * 4
    assert seen == [each, 2 * each, 3 * each, 4 * each]
    assert memory.samples[-1].by_category["activations"] == 4 * each
    assert not any(weakref.getweakrefcount(loss.node) for loss in losses)


def test_nothing_is_saved_without_gradients() -> None:
    model, x, _ = mlp()
    with Timeline(model) as memory, ta.no_grad():
        out = model(x)
    assert memory.samples[-1].by_category["activations"] == 0
    assert memory.samples[-1].by_category["temporaries"] == out.nbytes
    # At most the input of relu, its output and not yet the scores, or its output and the scores.
    most = max(s.by_category["temporaries"] for s in memory.samples)
    assert most == 2 * BATCH * 30 * 4


def test_views_cost_nothing_and_belong_to_their_owner() -> None:
    data, image = ta.randn(100, 20), ta.randn(1, 1, 20, 20)
    with Timeline() as memory:
        part = data[10:20].reshape(200)
        wide = part.unsqueeze(0).expand(1000, 200)
        seen = REGISTRY["windows"](image, size=(5, 5), stride=(1, 1), dilation=(1, 1))
    assert wide.nbytes == 1000 * 200 * 4 and seen.nbytes == 16 * 16 * 25 * 4
    assert memory.samples[-1].by_category["inputs"] == memory.samples[-1].bytes == 2400 * 4


def test_a_result_that_a_variable_keeps_is_a_temporary_again() -> None:
    x = ta.ones(10, requires_grad=True)
    with Timeline() as memory:
        y = x.exp()  # exp keeps its result
        assert memory.now()["activations"] == 40
        y.sum().backward()
        found = memory.now()
    assert found["activations"] == 0 and found["temporaries"] == y.nbytes == 40
    assert found["parameters"] == 40 and found["gradients"] == 40


def test_an_index_is_saved_too() -> None:
    x = ta.ones(10, 30, requires_grad=True)
    with Timeline() as memory:
        index = x.argmax(1, keepdim=True)
        found = x.gather(1, index)
        assert memory.now()["activations"] == index.nbytes == 80
        del found
        assert memory.now()["activations"] == 0 and memory.now()["temporaries"] == 80


def test_dropouts_mask_is_an_activation() -> None:
    x = ta.ones(64, 8, requires_grad=True)
    with Timeline() as memory:
        y = F.dropout(x, 0.5)
        found = memory.now()
    assert found["activations"] == 64 * 8 and found["inputs"] == 0
    assert found["temporaries"] == y.nbytes


class Cube(Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return 3 * g * x * x


def test_functions_of_the_users_save_too() -> None:
    x = ta.ones(50, requires_grad=True)
    with Timeline() as memory:
        h = x + 1
        loss = Cube.apply(h).sum()
        del h
        assert memory.now()["activations"] == 200
        loss.backward()
        assert memory.now()["activations"] == 0


def test_a_graph_from_before_the_block_is_seen() -> None:
    model, x, y = mlp()
    loss = F.cross_entropy(model(x), y)
    with Timeline(model) as memory:
        loss.backward()
    most = max(s.by_category["activations"] for s in memory.samples)
    saved = (BATCH * 30 + BATCH * 30 + BATCH * 5) * 4
    assert most == saved + x.nbytes + y.nbytes  # nobody saw that these came from outside
    assert memory.samples[-1].by_category["gradients"] == WEIGHTS


def test_checkpoint_holds_less() -> None:
    model, x, y = mlp()
    deep = nn.Sequential(*[nn.Sequential(nn.Linear(30, 30), nn.Tanh()) for _ in range(8)])

    def run(through: Any) -> int:
        with Timeline(nn.ModuleList([model, deep])) as memory:
            F.cross_entropy(model[2](through(model[:2](x))), y).backward()
        return max(s.by_category["activations"] for s in memory.samples)

    plain, spared = run(deep), run(lambda h: checkpoint(deep[4:], checkpoint(deep[:4], h)))
    layer = BATCH * 30 * 4  # linear keeps its output, tanh its own
    assert plain == 2 * layer + 16 * layer + BATCH * 5 * 4
    assert spared < 0.75 * plain


def test_a_second_derivative_is_followed() -> None:
    x = ta.ones(100, requires_grad=True)
    with Timeline() as memory:
        (g,) = ta.grad((x * x * x).sum(), x, create_graph=True)
        g.sum().backward()
        del g
    assert memory.samples[-1].by_category == {**dict.fromkeys(CATEGORIES, 0),
                                              "parameters": 400, "gradients": 400}  # fmt: skip


# ---- who holds the peak


def test_who_holds_the_peak() -> None:
    model, x, y = mlp()
    optimizer = optim.Adam(model.parameters())
    with Timeline(model, optimizer) as memory:
        for _ in range(3):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)  # here
            loss.backward()
            optimizer.step()
    every = memory.holders(None)
    assert sum(h.bytes for h in every) == memory.peak.bytes == max(s.bytes for s in memory.samples)
    for category, size in memory.peak.by_category.items():
        assert sum(h.bytes for h in every if h.category == category) == size
    assert memory.holders(3) == every[:3] and every[0].bytes >= every[1].bytes >= every[2].bytes
    weight = next(h for h in every if h.category == "parameters")
    assert (weight.path, weight.shape, weight.dtype) == ("0.weight", (30, 20), "float32")
    text = Path(__file__).read_text().split("\n")
    line = next(i for i, one in enumerate(text, 1) if one.endswith("  # here"))
    relu = next(h for h in every if h.op == "activate" and h.category == "activations")
    assert (relu.path, relu.place) == ("1", f"test_timeline.py:{line}")
    assert {h.op for h in every if h.category == "optimizer state"} == {"Adam"}


def test_the_peak_is_told_right_after_it_is_gone() -> None:
    with Timeline() as memory:
        x = ta.ones(1000)
        y = x + 1
        del x
        z = y * 2
        del y, z
        for _ in range(50):
            ta.ones(10) + 1
        assert len(memory.ledger.gone) == 2  # what came later is not remembered
    assert memory.peak.bytes == 8000 and memory.peak.event.op == "add"
    assert [(h.bytes, h.op, h.category) for h in memory.holders()] == [
        (4000, "", "inputs"),
        (4000, "add", "temporaries"),
    ]


# ---- against others' counts

LOOP = """
import tracemalloc
import numpy as np
import tinygrad_ai as ta
from tinygrad_ai import nn, optim
from tinygrad_ai.nn import functional as F
from tinygrad_ai.study.timeline import Timeline

tracemalloc.start()
ta.manual_seed(0)
model = nn.Sequential(nn.Linear(784, 512, activation="relu"), nn.LayerNorm(512), nn.Dropout(0.2),
                      nn.Linear(512, 10))
optimizer = optim.AdamW(model.parameters())
x, y = ta.randn(600, 784), ta.randint(10, (600,))
before = tracemalloc.get_traced_memory()[0]

def steps():
    for _ in range(3):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()

own = sum(p.nbytes for p in model.parameters()) + x.nbytes + y.nbytes
tracemalloc.reset_peak()
with Timeline(model, optimizer) as memory:
    steps()
peak = tracemalloc.get_traced_memory()[1]
print(memory.peak.bytes, peak - (before - own))
"""


def child(code: str, **env: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.native
@pytest.mark.skipif(native.module is None, reason=f"no compiled kernels: {native.reason}")
def test_the_peak_is_tracemallocs() -> None:
    """NumPy's own allocator tells tracemalloc. What it knows besides: Python's objects, among them
    the timeline's, and arrays that live inside one kernel; together within a 50th."""
    ours, theirs = map(int, child(LOOP, TINYGRAD_AI_CACHE="0"))
    assert ours > 8e6
    assert 0.98 * theirs <= ours <= theirs


@pytest.mark.native
@pytest.mark.skipif(native.module is None, reason=f"no compiled kernels: {native.reason}")
def test_what_is_alive_at_the_end_is_what_the_cache_has_given_out() -> None:
    code = LOOP.replace("before =", "start = ta.memory_stats()['used']\nbefore =").replace(
        "print(memory.peak.bytes, peak - (before - own))",
        "import gc; gc.collect()\n"
        "print(memory.samples[-1].bytes - own, ta.memory_stats()['used'] - start)",
    )
    ours, theirs = map(int, child(code))
    assert ours <= theirs <= 1.15 * ours + 2**16  # blocks are an eighth larger than asked for


# ---- nothing changes


def trained(watched: bool) -> tuple[list[bytes], bytes]:
    _, x, y = mlp()
    model = nn.Sequential(
        nn.Linear(20, 30), nn.Dropout(0.3), nn.ReLU(inplace=True), nn.Linear(30, 5)
    )
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    with Timeline(model, optimizer) if watched else nullcontext():
        for _ in range(3):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    numbers = [p.array.tobytes() for p in model.parameters()]
    return numbers, ta.get_rng_state().numpy().tobytes()


def test_a_watched_loop_ends_in_the_same_weights() -> None:
    assert trained(True) == trained(False)


def test_nothing_is_kept_alive() -> None:
    model, x, y = mlp()
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with Timeline(model, optimizer) as memory:
        scores = model(x)
        owner = weakref.ref(storage.root(scores.array))
        loss = F.cross_entropy(scores, y)
        node = weakref.ref(loss.node)
        loss.backward()
        optimizer.step()
        assert owner() is not None
        del scores, loss
        assert owner() is None and node() is None
        memory.now()
        assert not memory.holds
    kept = [x.array, *[p.array for p in model.parameters()]]
    kept += [p.grad.array for p in model.parameters()]
    for array in kept:
        write = storage.written.get(id(array))  # the engine's own
        known = [id(write.ref)] if write else []
        assert [id(r) for r in weakref.getweakrefs(array)] == known
    assert not any(weakref.getweakrefcount(p.node) for p in model.parameters())
    assert memory.peak.bytes > 0


def test_blocks_that_nest_and_errors_that_leave_them() -> None:
    model, x, y = mlp()
    optimizer = optim.Adam(model.parameters())
    before = state.observers, dict(optimizer.__dict__)
    with pytest.raises(ZeroDivisionError), Timeline(model, optimizer) as outer:
        with pytest.raises(KeyError), Timeline(model, optimizer) as inner:
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            raise KeyError
        assert state.observers == (*before[0], outer)
        model(x).relu().sum().backward()
        optimizer.step()
        raise ZeroDivisionError
    assert (state.observers, dict(optimizer.__dict__)) == before
    steps = [[s.event.op for s in m.samples].count("Adam.step") for m in (outer, inner)]
    assert inner.samples[-1].event.op in ("end", "freed", "Adam.step")
    assert steps[1] == 1 and outer.samples[-1].by_category["optimizer state"] == 2 * WEIGHTS + 16
    ended = len(outer.samples)
    model(x)
    assert len(outer.samples) == ended


def test_events_have_the_names_of_ops() -> None:
    """Also where a rule belongs to an op of several results."""
    layer, x = nn.LayerNorm(8), ta.randn(4, 8).requires_grad_()
    with Timeline(layer) as memory:
        y = layer(x)
        (y + y * 2).sum().backward()
    names = {s.event.op for s in memory.samples}
    assert "layer_norm backward" in names and not any([n.startswith("pick") for n in names])


def test_a_rule_that_fails_leaves_nothing_behind() -> None:
    class Broken(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            raise ZeroDivisionError

    x = ta.ones(3, requires_grad=True)
    with Timeline() as memory:
        with pytest.raises(ZeroDivisionError):
            Broken.apply(x).sum().backward()
        (x * 2).sum().backward()
    assert not memory.rules and memory.samples[-1].by_category["gradients"] == 12


# ---- what is refused


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((3,), "expected a model, an nn.Module, got int"),
        ((None, "adam"), "expected an optimizer, got str"),
    ],
)
def test_what_is_no_model_or_optimizer(given: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Timeline(*given)


@pytest.mark.parametrize("n", [0, -1, 2.5, "3", True])
def test_how_many_holders(n: Any) -> None:
    with Timeline() as memory:
        ta.ones(3) + 1
    with pytest.raises(ArgumentError, match="expected a number of arrays from 1 on, or None"):
        memory.holders(n)


def test_a_timeline_is_used_once_and_shows_nothing_before() -> None:
    memory = Timeline()
    for show in (lambda: memory.peak, lambda: str(memory), memory.to_dict):
        with pytest.raises(ArgumentError, match="there is no memory to show"):
            show()
    with memory:
        pass
    before = state.observers
    with pytest.raises(ArgumentError, match="a Timeline is used once"), memory:
        pass
    assert state.observers == before


# ---- how it is shown


def shown() -> Timeline:
    model, x, y = mlp()
    optimizer = optim.Adam(model.parameters())
    ticks = iter(range(10_000))
    with Timeline(model, optimizer, clock=lambda: next(ticks) / 1000) as memory:
        for _ in range(2):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return memory


def test_in_words() -> None:
    memory = shown()
    text = str(memory)
    assert "peak" in text and "0.weight" in text and "optimizer state" in text
    assert "30×20 float32" in text and "test_timeline.py:" in text
    assert "█" in text.split("\n")[0]
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(memory)
    assert "held by" in console.export_text()


def test_as_json() -> None:
    memory = shown()
    found = json.loads(json.dumps(memory.to_dict()))
    assert (found["samples"][0]["op"], found["samples"][0]["bytes"]) == ("begin", WEIGHTS)
    assert found["peak"]["bytes"] == memory.peak.bytes
    assert found["peak"]["by_category"] == memory.peak.by_category
    assert [s["bytes"] for s in found["samples"]] == [s.bytes for s in memory.samples]
    assert found["holders"][0]["bytes"] == memory.holders(1)[0].bytes
    times = [s["seconds"] for s in found["samples"]]
    assert times == sorted(times) and times[0] > 0


@pytest.mark.parametrize("name", ["m.png", "m.svg", "m.pdf"])
def test_as_a_picture(tmp_path: Path, name: str) -> None:
    path = shown().picture(tmp_path / name)
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[name[2:]]
    assert path.read_bytes().startswith(start) and path.stat().st_size > 5000


def test_pictures_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = shown()
    with pytest.raises(ArgumentError, match=r"cannot save as 'm.gif'\n.*use .png, .svg, .pdf"):
        memory.picture(tmp_path / "m.gif")
    with pytest.raises(ArgumentError, match="there is no folder"):
        memory.picture(tmp_path / "nowhere" / "m.png")
    with pytest.raises(ArgumentError, match="there is no memory to draw"):
        Timeline().picture(tmp_path / "m.png")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ArgumentError, match=r"matplotlib is missing\n.*tinygrad-ai\[plot\]"):
        memory.picture(tmp_path / "m.png")
    assert not list(tmp_path.iterdir())


# ---- on a GPU


def test_arrays_on_a_gpu_are_seen() -> None:
    with fakecupy.installed():
        model, x, y = mlp()
        model, x, y = model.to("cuda"), x.to("cuda"), y.to("cuda")
        optimizer = optim.Adam(model.parameters())
        with Timeline(model, optimizer) as memory:
            for _ in range(2):
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
            del loss
        end = memory.samples[-1].by_category
        assert (end["parameters"], end["gradients"]) == (WEIGHTS, WEIGHTS)
        assert end["optimizer state"] == 2 * WEIGHTS + 16
        assert end["activations"] == 0
        assert np.isclose(memory.samples[-1].bytes, sum(end.values()))
