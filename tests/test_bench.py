"""The benchmarks' machinery: what disagrees is not timed, ratios are right, nothing is hidden."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import compare, linear, protocol, step, targets
from benchmarks.contenders import CONTENDERS
from benchmarks.protocol import Contender, Disagreement, Settings
from benchmarks.results import OURS, PROCESSOR, REFERENCE, Key, Results, geometric_mean

ROOT = Path(__file__).parent.parent
QUICK = Settings(threads=1, rounds=2, seconds=0.01, batches=(8,))


def bench(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tinygrad_ai", "bench", *args],
        capture_output=True, text=True, cwd=ROOT, timeout=120,
    )  # fmt: skip


def made(**times: dict[str, tuple[float, ...]]) -> Results:
    """Results of steps: for each contender its rounds of each case."""
    results = Results({"processor": "P"}, {"threads": 2})
    for contender, cases in times.items():
        for case, rounds in cases.items():
            for value in rounds:
                results.add(Key(step.NAME, case, contender), "s", value)
    return results


MAIN = step.label((784, 1024, 10, 128))


def test_a_step_of_ours_and_of_numpy_by_hand(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    options = ("--quick", "--threads", "1", "--only", "tinygrad_ai,numpy", "--batch", "8")
    done = bench("step", *options, "--json", str(file))
    assert done.returncode == 0, done.stderr
    assert "NumPy by hand" in done.stdout and "share of the floor" not in done.stderr
    results = Results.load(file)
    assert {k.contender for k in results.figures} >= {"tinygrad_ai", "numpy"}
    assert all(v > 0 for f in results.figures.values() for v in f.rounds)
    assert results.machine["threads"] == 1 and results.machine["versions"]["numpy"]
    again = bench("step", *options, "--compare", str(file))
    assert again.returncode == 0 and "Against the other run" in again.stdout


WRONG = """
from benchmarks.contenders import plain
from benchmarks.worker import Task

def step(data, variant):
    task = plain.step(data, variant)

    def result(loss):
        found = task.result(loss)
        return {**found, "the loss": found["the loss"] * 1.01}

    return Task(task.run, result)
"""


def test_who_disagrees_is_not_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "planted.py").write_text(WRONG)
    liar = Contender("liar", "a liar", "planted", env={"PYTHONPATH": str(tmp_path)})
    results = Results()
    job: Any = step
    with pytest.raises(Disagreement, match="a liar disagrees.*nothing was timed.*off by"):
        protocol.run(job, [CONTENDERS["numpy"], liar], QUICK, results, lambda _: None)
    assert not [k for k in results.figures if k.contender != PROCESSOR]


def test_what_differs_is_said() -> None:
    want = {"y": np.ones(4)}
    assert protocol.disagreement({"y": np.ones(4)}, want, 1e-6) is None
    assert "off by" in str(protocol.disagreement({"y": np.full(4, 1.1)}, want, 1e-6))
    assert "off by" in str(protocol.disagreement({"y": np.full(4, np.nan)}, want, 1e-6))
    assert "shape" in str(protocol.disagreement({"y": np.ones(3)}, want, 1e-6))
    assert "expected ['y']" in str(protocol.disagreement({}, want, 1e-6))


def test_who_is_missing_is_said() -> None:
    absent = Contender("absent", "Absent", "nowhere", packages=("no_such_package",))
    results = Results()
    assert protocol.present([absent, CONTENDERS["numpy"]], results) == [CONTENDERS["numpy"]]
    assert results.left_out == {"absent": "no_such_package not installed"}


def test_ratios_are_formed_round_by_round() -> None:
    # The machine slowed down between the rounds: medians of times alone would mislead.
    results = made(tinygrad_ai={MAIN: (1.0, 2.0, 30.0)}, pytorch={MAIN: (2.0, 4.0, 60.0)})
    assert results.ratio(step.NAME, MAIN, OURS, REFERENCE) == 0.5
    assert results.get(step.NAME, MAIN).median == 2.0  # type: ignore[union-attr]
    assert results.ratio(step.NAME, MAIN, OURS, "jax") is None
    assert geometric_mean([0.25, 4.0, 1.0]) == pytest.approx(1.0)


def test_the_floor_by_hand() -> None:
    # 2 (784 in-hidden + 3 hidden-out) for each sample: forward, and gw of both layers, gx of one.
    by_hand = 128 * (2 * 784 * 1024 * 2 + 2 * 1024 * 10 * 3)
    assert step.operations((784, 1024, 10), 128) == by_hand
    count = 784 * 1024 + 1024 + 1024 * 10 + 10
    assert step.parameters((784, 1024, 10)) == count
    floor = step.floor((784, 1024, 10), 128, 1e12, 1e11)
    assert floor == pytest.approx(by_hand / 1e12 + 4 * 8 * count / 1e11)
    results = made(tinygrad_ai={MAIN: (2 * floor,)}, pytorch={MAIN: (8 * floor,)})
    results.add(Key(step.NAME, "multiply-adds", PROCESSOR), "flop/s", 1e12)
    results.add(Key(step.NAME, "traffic", PROCESSOR), "B/s", 1e11)
    assert targets.share_of_floor(results, MAIN, OURS) == pytest.approx(0.5)
    texts = {t.text: t.passed for t in targets.targets(results)}
    assert texts == {
        f"step {MAIN}: ours / fastest peer (pytorch)": True,
        f"step {MAIN}: ours / PyTorch": True,
        f"step {MAIN}: share of the floor": False,
    }


def test_what_moved_is_marked() -> None:
    old = made(tinygrad_ai={MAIN: (1.0,)}, pytorch={MAIN: (2.0,)})
    new = made(tinygrad_ai={MAIN: (1.2,)}, pytorch={MAIN: (2.0,)})
    assert found_moves(old, new) == {OURS: (1.2, True), REFERENCE: (1.0, False)}
    new = made(tinygrad_ai={MAIN: (0.6,)}, pytorch={MAIN: (1.0,)})
    new.machine["processor"] = "another"  # then only ratios to PyTorch can be compared
    assert found_moves(old, new) == {OURS: (1.2, True)}


def found_moves(old: Results, new: Results) -> dict[str, tuple[float, bool]]:
    return {m.key.contender: (round(m.ratio, 3), m.flagged) for m in compare.moves(old, new)}


def test_results_survive_a_file(tmp_path: Path) -> None:
    results = made(tinygrad_ai={MAIN: (1.0, 2.0)})
    results.left_out["jax"] = "not installed"
    results.save(tmp_path / "r.json")
    assert Results.load(tmp_path / "r.json") == results
    (tmp_path / "bad.json").write_text(json.dumps({"schema": 0}))
    done = bench("step", "--compare", str(tmp_path / "bad.json"))
    assert done.returncode == 2 and "cannot compare" in done.stderr


def test_a_picture_is_made_or_the_reason_said(tmp_path: Path) -> None:
    from benchmarks.picture import draw

    results = made(tinygrad_ai={MAIN: (1e-3,)})
    assert "needs the training step of PyTorch" in str(draw(results, tmp_path / "p.png"))
    results = made(tinygrad_ai={MAIN: (1e-3,)}, pytorch={MAIN: (2e-3,)})
    results.machine = {"processor": "P", "instructions": "I", "threads": 2, "versions": {}}
    results.settings = {"rounds": 1}
    results.add(Key(step.NAME, "multiply-adds", PROCESSOR), "flop/s", 1e12)
    results.add(Key(step.NAME, "traffic", PROCESSOR), "B/s", 1e11)
    assert draw(results, tmp_path / "p.png") is None
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_the_linear_reference_is_what_pytorch_finds() -> None:
    torch = pytest.importorskip("torch")
    x, w, b, g = (getattr(linear.data(("backward", 7, 33, 130)), n) for n in "xwbg")
    x, w, b = (torch.tensor(a, requires_grad=True) for a in (x, w, b))
    y = torch.relu(torch.nn.functional.linear(x, w, b))
    grads = dict(zip(("gx", "gw", "gb"), torch.autograd.grad(y, (x, w, b), torch.tensor(g))))
    expected = linear.reference(linear.data(("backward", 7, 33, 130)))
    found = {f"{name}, run 1": grad.numpy() for name, grad in grads.items()}
    assert protocol.disagreement(found, expected, linear.TOLERANCE) is None


def test_mistakes_are_said() -> None:
    done = bench("step", "--only", "tinygrad_ai,theano")
    assert done.returncode == 2 and "there is no contender 'theano'" in done.stderr
    done = bench("speed")
    assert done.returncode == 2 and "invalid choice" in done.stderr
    done = bench("step", "--threads", "0")
    assert done.returncode == 2 and "threads" in done.stderr
