"""The roofline: its formula, what is counted over what time, and its picture."""

from __future__ import annotations

import json
import math
import sys
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tests import fakecupy
from tinygrad_ai.backend import native
from tinygrad_ai.errors import ArgumentError, DeviceError
from tinygrad_ai.study import roofline, roofline_picture
from tinygrad_ai.study.roofline import Machine

MACHINE = Machine(flops=200e9, bandwidth=20e9)
POINTS = [
    ("linear", 60.0, 150e9, 0.02), ("linear backward", 62.0, 140e9, 0.04),
    ("add", 1 / 12, 1.5e9, 0.004), ("mul", 1 / 12, 1.4e9, 0.004), ("exp", 0.125, 2e9, 0.001),
    ("view", 0.0, 0.0, 0.0), ("fill", 0.0, 0.0, 0.001), ("Adam.step", 0.5, 9e9, 0.01),
    ("mean", 0.25, 1e4, 0.00002),
]  # fmt: skip


@pytest.mark.parametrize(
    ("intensity", "limit"),
    [(0, 0), (0.25, 5e9), (1, 20e9), (9.9, 198e9), (10, 200e9), (1e6, 200e9), (math.inf, 200e9)],
)
def test_the_roof(intensity: float, limit: float) -> None:
    assert MACHINE.limit(intensity) == limit
    assert MACHINE.ridge == 10.0
    assert json.loads(json.dumps(MACHINE.to_dict()))["ridge"] == 10.0


@pytest.mark.parametrize("intensity", [-1.0, math.nan])
def test_intensities_that_are_none(intensity: float) -> None:
    with pytest.raises(ArgumentError, match="expected operations a byte, 0 or more"):
        MACHINE.limit(intensity)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little to multiply and to move, in less time."""
    monkeypatch.setattr(roofline, "SIZES", (16, 32, 64))
    monkeypatch.setattr(roofline, "GPU_SIZES", (64,))
    monkeypatch.setattr(roofline, "LEAST", 1 << 16)
    monkeypatch.setattr(roofline, "_last_cache", lambda: 0)
    monkeypatch.setattr(roofline, "found", {})


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("dtype", ["float32", "float64", np.float32, np.dtype("float64")])
def test_rates_are_what_was_counted_over_what_the_clock_says(dtype: Any) -> None:
    """Every run takes a thousandth of a second by this clock: the largest product is the best."""
    ticks = count()
    machine = roofline.measured(dtype=dtype, clock=lambda: next(ticks) / 1024)
    assert machine.flops == 2 * 64**3 * 1024
    passes = 7 if native.module else 3  # over an array, read or written
    assert machine.bandwidth == passes * (1 << 16) // 4 * 1024
    assert machine.dtype in (dtype, np.dtype(dtype).name)
    assert machine.threads == ta.get_num_threads()


@pytest.mark.usefixtures("small")
def test_large_products_are_left_out_where_small_ones_take_long() -> None:
    ticks = count()
    machine = roofline.measured(clock=lambda: float(next(ticks)))
    assert machine.flops == 2 * 16**3


@pytest.mark.usefixtures("small")
def test_measured_once_and_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "BUDGET", 0.001)
    random, threads = ta.get_rng_state().tolist(), ta.get_num_threads()
    used = ta.memory_stats()["used"]
    one = roofline.measured()
    assert one.flops > 0 and one.bandwidth > 0 and math.isfinite(one.ridge)
    assert roofline.measured() is one and roofline.measured(threads) is one
    assert roofline.measured(dtype="float64") is not one
    assert ta.get_rng_state().tolist() == random and ta.get_num_threads() == threads
    assert ta.memory_stats()["used"] == used


@pytest.mark.usefixtures("small")
@pytest.mark.skipif(native.module is None, reason="only the compiled kernels count threads")
def test_threads_are_those_asked_for_and_put_back() -> None:
    seen, before = set(), ta.get_num_threads()
    ticks = count()

    def clock() -> float:
        seen.add(ta.get_num_threads())
        return float(next(ticks))

    assert roofline.measured(threads=3, clock=clock).threads == 3
    assert seen == {3} and ta.get_num_threads() == before

    def broken() -> float:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        roofline.measured(threads=3, clock=broken)
    assert ta.get_num_threads() == before


@pytest.mark.usefixtures("small")
def test_a_gpu_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = []
    monkeypatch.setattr(roofline.cuda, "synchronize", lambda device: waits.append(str(device)))
    ticks = count()
    with fakecupy.installed():
        machine = roofline.measured(device="cuda", clock=lambda: float(next(ticks)))
    assert machine.flops == 2 * 64**3 and machine.bandwidth == 3 * (1 << 16)
    runs = 2 * (1 + roofline.FEWEST)
    assert waits == [machine.device] * runs and machine.device.startswith("cuda")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dtype": "int64"}, "measured in float32 or float64, got int64"),
        ({"dtype": "nonsense"}, "measured in float32 or float64, got nonsense"),
        ({"threads": 0}, "expected a number of threads from 1 on, or None, got 0"),
        ({"threads": 1.5}, "expected a number of threads from 1 on, or None, got 1.5"),
        ({"threads": True}, "expected a number of threads from 1 on, or None, got True"),
        ({"device": "tpu"}, "expected a device"),
    ],
)
def test_what_cannot_be_measured(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        roofline.measured(**given)


def test_a_gpu_that_is_not_there() -> None:
    with fakecupy.installed(devices=0), pytest.raises(DeviceError):
        roofline.measured(device="cuda")


# ---- the picture


@pytest.mark.parametrize("name", ["r.png", "r.svg", "r.pdf"])
def test_the_picture(tmp_path: Path, name: str) -> None:
    path = roofline.picture(MACHINE, POINTS, tmp_path / name)
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[name[2:]]
    assert path.read_bytes().startswith(start)


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The figure of the picture."""
    figures = []
    paper = roofline_picture.paper
    monkeypatch.setattr(
        roofline_picture, "paper", lambda *a: figures.append(paper(*a)) or figures[0]
    )
    roofline.picture(MACHINE, POINTS, tmp_path / "r.png")
    return figures[0]


def test_points_are_where_they_belong(drawn: Any) -> None:
    (axes,) = drawn.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    points = next(c for c in axes.collections if len(c.get_offsets()) == 6)
    kept = sorted([p for p in POINTS if p[2] > 1e6], key=lambda p: -p[3])
    np.testing.assert_allclose(points.get_offsets(), [p[1:3] for p in kept])
    areas = points.get_sizes()
    assert areas[0] / areas[1] == pytest.approx(0.04 / 0.02)
    texts = {t.get_text() for t in axes.texts}
    assert {p[0] for p in kept} <= texts and not {"view", "mean"} & texts
    assert {"200 GFLOP/s", "20 GB/s"} <= texts
    told = "left out: 2 without operations or bytes, 1 below 0.1% of the time"
    assert told in [t.get_text() for t in drawn.texts]


def test_the_roof_is_drawn_as_the_formula_says(drawn: Any) -> None:
    (axes,) = drawn.axes
    slope, flat = axes.lines[:2]
    (x0, x1), (y0, y1) = slope.get_data()
    assert (x1, y1) == (10.0, 200e9) and y0 == pytest.approx(20e9 * x0)
    assert list(flat.get_ydata()) == [200e9, 200e9] and flat.get_xdata()[0] == 10.0


def test_names_do_not_cover_each_other(drawn: Any) -> None:
    (axes,) = drawn.axes
    renderer = drawn.canvas.get_renderer()
    names = {p[0] for p in POINTS}
    boxes = [t.get_window_extent(renderer) for t in axes.texts if t.get_text() in names]
    assert len(boxes) == 6
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_points_without_times_are_drawn_alike(tmp_path: Path) -> None:
    path = roofline.picture(MACHINE, [p[:3] for p in POINTS], tmp_path / "r.svg")
    assert path.stat().st_size > 5000


def test_pictures_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArgumentError, match=r"cannot save as 'r.bmp'\n.*use .png, .svg, .pdf"):
        roofline.picture(MACHINE, POINTS, tmp_path / "r.bmp")
    with pytest.raises(ArgumentError, match="there is no folder"):
        roofline.picture(MACHINE, POINTS, tmp_path / "nowhere" / "r.png")
    for nothing in ([], [("view", 0.0, 0.0, 0.0)]):
        with pytest.raises(ArgumentError, match="there is no op to draw"):
            roofline.picture(MACHINE, nothing, tmp_path / "r.png")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ArgumentError, match=r"matplotlib is missing\n.*tinygrad-ai\[plot\]"):
        roofline.picture(MACHINE, POINTS, tmp_path / "r.png")
    assert not list(tmp_path.iterdir())
