"""What `make gpu` measures: the arithmetic with made-up times; the contenders on the stand-ins."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tests.fakecupy as fakecupy
import tinygrad_ai as ta
from benchmarks import (
    gpu,
    gpu_adam,
    gpu_attention,
    gpu_clock,
    gpu_figures,
    gpu_linear,
    gpu_smoke,
    gpu_step,
    step,
)
from benchmarks.gpu_clock import Contender, QueueClock, WallClock
from benchmarks.gpu_place import Place
from benchmarks.protocol import Disagreement
from benchmarks.targets import Target
from tests.cuda_entries import Recorded
from tests.cuda_programs import library_file, module
from tinygrad_ai import backend
from tinygrad_ai.backend import cublaslt, fused_cuda


class Scripted:
    """A clock that shows these seconds, one after the other, over and over."""

    def __init__(self, *seconds: float) -> None:
        self.seconds_shown = cycle(seconds)
        self.ran: list[Any] = []

    def prepare(self, run: Any) -> None:
        run(0)

    def seconds(self, run: Any, prepared: None) -> float:
        self.ran.append(run)
        run(1)
        return next(self.seconds_shown)


class StandIn(Place):
    """The simulator's kernels, the stand-in for CuPy, PyTorch's CPU, made-up times."""

    pytorch = "cpu"
    cache = 1000

    def __init__(self, *seconds: float) -> None:
        self.clock = Scripted(*seconds)

    be = property(lambda self: backend.on("cuda"))
    queue_clock = wall_clock = lambda self: self.clock


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(cublaslt, "places", lambda: [str(library_file())])
    with fakecupy.installed() as cupy:
        fused_cuda.stand_in(backend.on("cuda"), Recorded(module()))
        yield cupy


def ran(name: str, log: list[str]) -> Contender:
    return Contender(name, lambda i: log.append(name))


def test_contenders_work_in_turn_and_ratios_are_of_rounds() -> None:
    log: list[str] = []
    times = gpu_clock.contest([ran("a", log), ran("b", log)], Scripted(1, 2, 3, 4, 10, 10), 3)
    assert log == ["a", "b", *["a", "b"] * 3]
    assert times == {"a": [1, 3, 10], "b": [2, 4, 10]}
    assert gpu_clock.ratio(times, "a", "b") == 0.75  # of 0.5, 0.75 and 1
    assert gpu_clock.fastest(times, ["b", "a"]) == "a"


def test_who_disagrees_is_not_timed() -> None:
    right, wrong = ({"y": np.array([1.0, x])} for x in (1, 2))
    gpu_clock.agree([Contender("a", len, lambda: right)], right, 1e-3)
    with pytest.raises(Disagreement, match="b disagrees with float64, so nothing was timed: y"):
        gpu_clock.agree([Contender("b", len, lambda: wrong)], right, 1e-3)


def test_inputs_outgrow_the_cache() -> None:
    assert gpu_clock.sets_of(100, 1000) == 30 and gpu_clock.sets_of(10**6, 1000) == 2


def test_the_wall_clock_waits_for_the_gpu() -> None:
    log: list[str] = []
    clock = WallClock(lambda: log.append("wait"))
    turn = clock.prepare(lambda i: log.append("run"))
    assert turn.runs == 500 and log[-4:] == ["run", "run", "run", "wait"]
    log.clear()
    assert 0 < clock.seconds(lambda i: log.append("run"), turn) < 1
    assert log == ["wait", *["run"] * 500, "wait"]


def test_the_queue_clock_keeps_the_gpu_at_work(
    stand_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QueueClock, "PLUG", 64)
    monkeypatch.setattr(stand_in.cuda, "get_elapsed_time", lambda a, b: 20.0)
    clock = QueueClock(stand_in)
    assert clock.plug_seconds == 0.002  # ten took 20 ms
    plugged: list[int] = []
    monkeypatch.setattr(clock, "plug", plugged.append)
    runs: list[int] = []
    assert clock.seconds(runs.append, gpu_clock.Turn(4, 0.004)) == 0.005
    assert plugged == [3] and runs == [0, 1, 2, 3]


SMALL = dict(m=40, n=24, k=16, dtype="float32")


@pytest.mark.parametrize("act", ["gelu", "gelu_tanh", "relu"])
def test_linear_beside_pytorch(stand_in: Any, act: str) -> None:
    case = gpu_linear.Case(**SMALL, act=act)
    place = StandIn(3.0, 4.0)
    ((target, times),) = gpu_linear.against_pytorch(case, 0.8, place, place.clock)
    assert (target.value, target.passed) == (0.75, True)
    assert list(times) == ["ours (auto)", "PyTorch"] and len(times["PyTorch"]) == gpu_clock.ROUNDS
    assert target.text == f"linear+{act} float32 40x24x16: ours / PyTorch eager"


def test_linear_beside_cublaslt(stand_in: Any) -> None:
    case = gpu_linear.Case(**SMALL, act="gelu_tanh")
    place = StandIn(4.0, 2.0)
    ((target, times),) = gpu_linear.against_cublaslt(case, 1.05, place, place.clock)
    assert target.value == 2 and not target.passed
    assert list(times) == ["ours (ours)", "ours (cublaslt)"]


def test_without_cublaslt_there_is_no_figure(
    stand_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cublaslt, "opened", lambda module: (None, "not here"))
    place = StandIn(1.0)
    case = gpu_linear.Case(**SMALL, act="gelu_tanh")
    kept: dict[str, Any] = {}
    figures = {"it": lambda: gpu_linear.against_cublaslt(case, 1.0, place, place.clock)}
    assert not gpu_figures.measure(figures, kept.__setitem__)
    assert kept["it"]["error"].startswith("Missing: cuBLASLt is not here")


def test_share_of_the_ceiling(stand_in: Any) -> None:
    case = gpu_linear.Case(**SMALL)
    place = StandIn(10.0, 9.0, 8.0)  # ours, torch.matmul, cuBLASLt
    ((target, times),) = gpu_linear.share_of_ceiling(case, 0.8, place, place.clock)
    assert target.value == 0.8 and target.passed and target.at_least
    assert list(times) == ["ours (ours)", "torch.matmul", "ours (cublaslt)"]


def test_tf32_is_switched_back(stand_in: Any) -> None:
    torch = pytest.importorskip("torch")
    place, seen = StandIn(1.0, 1.0), []
    case = gpu_linear.Case(**SMALL, act="relu")
    for _ in gpu_linear.with_tf32(case, 1.0, place, place.clock):
        seen.append((torch.get_float32_matmul_precision(), ta.get_float32_matmul_precision()))
    assert seen == [("high", "high")]
    assert torch.get_float32_matmul_precision() == ta.get_float32_matmul_precision() == "highest"


def test_a_wrong_layer_is_found(stand_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_linear, "activated", lambda z, act: z)
    case, place = gpu_linear.Case(**SMALL), StandIn(1.0)
    with pytest.raises(Disagreement, match="ours"):
        list(gpu_linear.against_pytorch(case, 0.8, place, place.clock))
    assert not place.clock.ran


def test_rounding_to_bfloat16() -> None:
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    wanted = torch.tensor(x).bfloat16().float().numpy()
    np.testing.assert_array_equal(gpu_linear.rounded(x, "bfloat16"), wanted)
    assert gpu_linear.rounded(x, "float32") is x


@pytest.mark.parametrize("with_graph", [False, True])
def test_the_step(stand_in: Any, monkeypatch: pytest.MonkeyPatch, with_graph: bool) -> None:
    """Ours is captured on the stand-in; PyTorch's graph, which needs a GPU, is its plain step."""
    monkeypatch.setattr(gpu_step, "PytorchGraph", lambda f, inputs: f)
    data = step.data((12, 16, 5, 8))
    place = StandIn(1.0, 5.0)
    ((target, times),) = gpu_step.against_pytorch(data, place, place.clock, with_graph)
    assert target.value == 0.2 and target.limit == (0.9 if with_graph else 0.25)
    assert list(times)[1] == ("PyTorch, graphed" if with_graph else "PyTorch, eager")


def test_a_graph_that_repeats_an_old_step_is_found(
    stand_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that never sees the new inputs."""

    def deaf(function: Any, inputs: Any) -> Any:
        return lambda *given: function(*inputs)

    monkeypatch.setattr(ta.cuda, "make_graphed_step", deaf, raising=False)
    place = StandIn(1.0)
    with pytest.raises(Disagreement, match="ours, graphed"):
        list(gpu_step.against_pytorch(step.data((12, 16, 5, 8)), place, place.clock, False))


def test_pytorchs_graph_is_captured_after_plain_steps() -> None:
    """Its order of work, with a graph that only notes what is asked of it."""
    torch = pytest.importorskip("torch")
    log: list[str] = []

    class Block:
        def __init__(self, *_: Any) -> None:
            pass

        def __enter__(self) -> None:
            log.append("capture")

        def __exit__(self, *_: Any) -> None:
            pass

    graph = object.__new__(gpu_step.PytorchGraph)
    sample = (torch.zeros(2),)
    graph.inputs, graph.left, graph.graph = [t.clone() for t in sample], 2, None
    graph.plain = lambda x: log.append(f"step {x[0].item():.0f}") or x.sum()
    graph.warm = lambda: graph.plain(*graph.inputs)
    replayed = SimpleNamespace(replay=lambda: log.append("replay"))
    graph.torch = SimpleNamespace(
        cuda=SimpleNamespace(CUDAGraph=lambda: replayed, graph=Block)
    )  # fmt: skip
    for i in range(4):
        graph(torch.full((2,), float(i)))
    assert log == ["step 0", "step 1", "capture", "step 2", "replay", "replay"]
    assert graph.inputs[0].tolist() == [3.0, 3.0]  # what the last replay read


def test_adam(stand_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime, copied = stand_in.cuda.runtime, []
    monkeypatch.setattr(runtime, "memcpyDeviceToDevice", 3, raising=False)
    monkeypatch.setattr(runtime, "memcpyAsync", lambda *a: copied.append(a[2:4]), raising=False)
    place = StandIn(2.0, 1.0, 0.5)  # ours, two copies
    ((target, times),) = gpu_adam.share(place, place.clock, count=20_000, parts=2, size=40_000)
    # 560,000 bytes in 2 s, beside 80,000 in 0.5 s
    assert target.value == pytest.approx(280_000 / 160_000) and target.at_least and target.passed
    assert list(times) == ["our Adam", "a kernel's copy", "the driver's copy"]
    assert set(copied) == {(40_000, 3)}


def test_attention(stand_in: Any) -> None:
    case = gpu_attention.Case(2, 2, 33, 64, "float32")
    place = StandIn(1.0, 1.0)
    ((target, times),) = gpu_attention.against_pytorch(case, place, place.clock)
    assert target.value == 1 and target.passed and list(times)[0] == "ours"


def test_each_figure_stands_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> Any:
        raise ImportError("no torch")

    good = Target("good: a / b", 0.5, 0.8)
    figures = {"bad": broken, "good": lambda: iter([(good, {"a": [1.0, 3.0], "b": [2.0, 6.0]})])}
    file = tmp_path / "figures.json"
    assert not gpu_figures.measure(figures, gpu_figures.Kept(file))
    found = json.loads(file.read_text())
    assert found["bad"] == {"error": "ImportError: no torch"}
    assert found["good: a / b"]["passed"] and found["good: a / b"]["seconds"] == {"a": 2, "b": 4}
    gpu_figures.Kept(file)("later", {"error": "x"})  # another process adds to it
    assert len(json.loads(file.read_text())) == 3
    assert "good: a / b: 0.500  <= 0.80  met" in capsys.readouterr().out


def test_groups_that_hang_or_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "figures.json"
    monkeypatch.setenv(gpu.FIGURES, str(file))
    assert gpu_figures.main([], {"gpu_nothing": 60.0, "gpu_step": 0.01}) == 1
    found = json.loads(file.read_text())
    assert "No module named" in found["gpu_nothing"]["error"]
    assert found["gpu_step"]["error"] == "not done after 0 s"


def test_the_groups_fit_their_phase() -> None:
    (phase,) = [p for p in gpu.PHASES if p.name == "figures"]
    assert sum(gpu_figures.GROUPS.values()) < phase.seconds <= 150
    for name in gpu_figures.GROUPS:
        figures = __import__(f"benchmarks.{name}", fromlist=["figures"]).figures(StandIn(1.0))
        assert figures and all([callable(f) for f in figures.values()])


def test_rows_of_the_table() -> None:
    missed = {**Target("x", 1.2, 1.0).as_data(), "seconds": {"a": 0.012, "b": 0.01}}
    assert gpu.row("x", missed) == ["x", "1.200", "<= 1.00", "MISSED", "a 0.012, b 0.01"]
    met = {**Target("x", 0.9, 0.8, at_least=True).as_data(), "seconds": {}}
    assert gpu.row("x", met)[2:4] == [">= 0.80", "met"]
    assert gpu.row("x", {"error": "a|b\nc"}) == ["x", "a\\|b c", "", "not measured", ""]
    assert gpu.row("x", 0.5)[:2] == ["x", "0.5"]


def test_each_kernel_once(stand_in: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """What the sanitizers run; here on the stand-in."""
    assert gpu_smoke.run([ta.float32]) == 0
    said = capsys.readouterr().out
    assert said.count(": ok") == len(gpu_smoke.JOBS)


def test_the_smoke_sees_what_is_not_finite(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = {"bad": lambda dtype: [ta.tensor([float("nan")])], "raises": lambda dtype: 1 / 0}
    monkeypatch.setattr(gpu_smoke, "JOBS", jobs)
    assert gpu_smoke.run([ta.float32]) == 1
    said = capsys.readouterr().out
    assert f"bad {ta.float32}: not finite" in said
    assert "ZeroDivisionError" in said
