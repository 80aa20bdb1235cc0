"""benchmarks/: who computes something else is not timed, and the arithmetic on times is right."""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import (
    command,
    compare,
    imports,
    linear,
    machine,
    memory,
    overhead,
    picture,
    protocol,
    report,
    step,
    targets,
    together,
    worker,
)
from benchmarks.contenders import CONTENDERS
from benchmarks.protocol import Broken, Contender, Disagreement, Settings
from benchmarks.results import OURS, PROCESSOR, REFERENCE, Key, Results, geometric_mean
from tinygrad_ai import bench
from tinygrad_ai.backend import native

ROOT = Path(__file__).parent.parent
QUICK = Settings(threads=1, rounds=2, seconds=0.001)
TINY = (*step.TINY, step.TINY_BATCH)
LABEL = "4-16-2, batch 8"
GOOD = Contender("good", "a good one", "tests.contender")


def bad(variant: str) -> Contender:
    return replace(GOOD, key="bad", title="a bad one", variant=variant)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The training step, of the small network only."""
    monkeypatch.setattr(step, "cases", lambda settings: [TINY])
    monkeypatch.setattr(step, "PARAMETERS", 0)  # ceilings take a second
    return step


def measured(job: Any, *contenders: Contender) -> Results:
    results = Results()
    protocol.run(job, contenders, QUICK, results, lambda text: None)
    return results


# ---- the protocol


def test_who_agrees_is_timed_in_every_round(tiny: Any) -> None:
    results = measured(tiny, GOOD, replace(GOOD, key="twin"))
    assert results.cases("step") == [LABEL]
    for key in ("good", "twin"):
        figure = results.get("step", LABEL, key)
        assert figure and len(figure.rounds) == len(figure.cpus) == 2 and min(figure.rounds) > 0
    ratio = results.ratio("step", LABEL, "good", "twin")
    assert ratio and 0.05 < ratio < 20


def test_who_disagrees_is_refused_and_nothing_is_timed(tiny: Any) -> None:
    results = Results()
    with pytest.raises(Disagreement) as error:
        protocol.run(tiny, [GOOD, bad("wrong")], QUICK, results, lambda text: None)
    text = str(error.value)
    assert f"step, {LABEL}: a bad one disagrees with the float64 reference" in text
    assert "so nothing was timed: the loss, run 1 is off by" in text
    assert not results.cases("step")


def test_the_command_refuses_with_an_exit_code(tiny: Any, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setitem(CONTENDERS, "numpy", replace(bad("wrong"), key="numpy"))
    assert command.run(parsed("step", "--quick", "--only", "numpy")) == 1
    out, said = capsys.readouterr()
    assert "a bad one disagrees" in said and out == ""


def test_who_cannot_take_part_is_named_with_the_reason(tiny: Any) -> None:
    absent = replace(GOOD, key="absent", packages=("no_such_library", "numpy"))
    results = measured(tiny, absent, bad("left out"), GOOD)
    assert results.left_out == {
        "absent": "no_such_library not installed", "bad": "there is no compiler here",
    }  # fmt: skip
    assert results.contenders("step", LABEL) == ["good"]


def test_a_crash_is_told_with_its_last_words(tiny: Any) -> None:
    with pytest.raises(Broken, match="(?s)a bad one failed:.*RuntimeError: out of paper"):
        measured(tiny, bad("crash"))


@pytest.mark.parametrize("key", [*step.CONTENDERS, "tinygrad_ai-plain"])
def test_the_contenders_agree_with_the_reference(key: str) -> None:
    contender = CONTENDERS[key]
    if contender.missing:
        pytest.skip(contender.missing)
    cases = {
        linear: [("forward", 7, 33, 130), ("backward", 7, 33, 130)], step: [TINY],
        overhead: list(overhead.LIMITS),
    }  # fmt: skip
    with protocol.Worker(contender, QUICK) as process:
        for job, some in cases.items():
            for case in some if key in job.CONTENDERS else ():
                expected = job.reference(job.data(case))
                assert protocol.prove(process, job, case, expected) is None


def test_every_kind_of_disagreement_is_found() -> None:
    want = {"y": np.ones(4)}
    assert protocol.disagreement({"y": np.ones(4, np.float32)}, want, 1e-6) is None
    wrong = {
        "gives ['z'], expected ['y']": {"z": np.ones(4)},
        "y has the shape (2, 2), expected (4,)": {"y": np.ones((2, 2))},
        "y is off by 0.01 of its norm, more than 1e-06": {"y": np.full(4, 1.01)},
        "y is off by nan of its norm, more than 1e-06": {"y": np.array([1, 1, 1, np.nan])},
    }
    for text, found in wrong.items():
        assert protocol.disagreement(found, want, 1e-6) == text


def test_children_get_the_threads_and_no_variable_that_changes_speed(monkeypatch: Any) -> None:
    given = {"OPENBLAS_CORETYPE": "Haswell", "OMP_NUM_THREADS": "64", "TINYGRAD_AI_NATIVE": "0"}
    monkeypatch.setattr(protocol, "VARIABLES", given)
    monkeypatch.setattr(machine, "VARIABLES", given)
    env = protocol.environment(replace(QUICK, threads=3), replace(GOOD, env={"A": "b"}))
    assert env == {**dict.fromkeys(protocol.THREAD_VARIABLES, "3"), "A": "b"} | {
        "TINYGRAD_AI_NATIVE": "0"
    }
    kept = protocol.environment(replace(QUICK, keep_variables=True))
    assert kept["OPENBLAS_CORETYPE"] == "Haswell" and kept["OMP_NUM_THREADS"] == "1"
    told = machine.describe(QUICK, [GOOD])
    assert told["variables"] == {"TINYGRAD_AI_NATIVE": "0"}
    assert told["not passed on"]["OPENBLAS_CORETYPE"] == "Haswell"


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system cannot pin")
def test_processes_are_pinned_for_a_while() -> None:
    before = os.sched_getaffinity(0)
    with protocol.pinned(1):
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before


def test_short_runs_are_timed_several_at_once() -> None:
    runs = []
    found = worker.timed(lambda: runs.append(1), 0.001)
    assert 0 < found["seconds"] < 1e-3 and len(runs) > 100


# ---- arithmetic


def made_up(**rounds: Any) -> Results:
    """Seconds of a training step for each contender, and a processor of round numbers."""
    machine = {"processor": "P", "instructions": "I", "threads": 1, "versions": {"torch": "2"}}
    results = Results(machine, {"rounds": 3})
    for key, values in rounds.items():
        for value in values:
            results.add(Key("step", "784-1024-10, batch 128", key), "s", value, 1.0)
    results.add(Key("step", "multiply-adds", PROCESSOR), "flop/s", 4e11)
    results.add(Key("step", "traffic", PROCESSOR), "B/s", 2e11)
    results.add(Key("step", "memory", PROCESSOR), "B/s", 1e11)
    return results


CASE = "784-1024-10, batch 128"
TIMES = {
    "tinygrad_ai": (2e-3, 3e-3, 10e-3), "tinygrad_ai-fused": (2.5e-3,) * 3,
    "pytorch": (4e-3, 4e-3, 40e-3), "jax": (5e-3,) * 3,
}  # fmt: skip


def test_medians_and_ratios_round_by_round() -> None:
    results = made_up(**TIMES)
    figure = results.get("step", CASE)
    assert figure and figure.median == 3e-3
    assert results.ratio("step", CASE, OURS, REFERENCE) == 0.5  # not 3/4, the medians' ratio
    assert results.fastest_peer("step", CASE) == "pytorch"
    assert results.ratio("step", CASE, OURS, "numpy") is None
    assert geometric_mean([0.5, 2.0, 8.0]) == pytest.approx(2.0)


def test_the_floor_by_hand() -> None:
    # 2-3-1, batch 5: y and gw of 5x2x3, y, gw and gx of 5x3x1; 9 + 4 parameters.
    assert step.operations((2, 3, 1), 5) == 2 * (30 + 30) + 2 * (15 + 15 + 15)
    assert step.parameters((2, 3, 1)) == 13 and step.traffic((2, 3, 1)) == 13 * 4 * 8
    assert step.floor((2, 3, 1), 5, 210.0, 416.0) == 2.0
    assert step.parse(step.label((2, 3, 1, 5))) == ((2, 3, 1), 5)
    floor = step.floor(step.MAIN, 128, 4e11, 2e11)
    share = targets.share_of_floor(made_up(**TIMES), CASE, OURS)
    assert share == pytest.approx(floor / 3e-3)
    assert linear.operations("backward 2x3x4") == 2 * 2 * 24


def test_targets_pass_and_fail() -> None:
    found = {t.text.split(": ")[1]: t for t in targets.targets(made_up(**TIMES))}
    assert (
        found["our best / fastest peer (tinygrad_ai-fused / pytorch)"].value == 0.625
    )  # 2.5 of 4 ms
    assert found["ours / PyTorch"].value == 0.5 and found["ours / PyTorch"].passed
    share = found["our best, share of the floor"]
    assert share.at_least and not share.passed
    results = Results()
    for size, ours in ((8, 1.0), (9, 4.0)):
        results.add(Key("linear", f"forward {size}x8x8", OURS), "s", ours)
        results.add(Key("linear", f"forward {size}x8x8", REFERENCE), "s", 2.0)
    results.add(Key("memory", memory.JOB, OURS), "B", 1.0)
    results.add(Key("memory", memory.JOB, REFERENCE), "B", 4.0)
    results.add(Key("import", "import", OURS), "s", imports.LIMIT * 2)
    values = [(t.value, t.passed) for t in targets.targets(results)]
    assert values == [(1.0, False), (2.0, False), (0.25, True), (0.5, False)]


def test_quantities() -> None:
    told = [report.quantity(v, "s") for v in (1.2e-3, 0.9996, 123.4e-6, 8.5e-10, 580e9)]
    assert told == ["1.20 ms", "1.00 s", "123 us", "0.850 ns", "580 Gs"]


# ---- files


def test_json_comes_back_as_it_went(tmp_path: Path) -> None:
    results = made_up(**TIMES)
    results.left_out["jax"] = "jax not installed"
    results.targets = [t.as_data() for t in targets.targets(results)]
    results.save(tmp_path / "a.json")
    assert Results.load(tmp_path / "a.json") == results
    (tmp_path / "b.json").write_text("[]")
    with pytest.raises(ValueError, match="schema 1, got None"):
        Results.load(tmp_path / "b.json")


def test_what_moved_is_shown() -> None:
    old, new = made_up(**TIMES), made_up(**{**TIMES, "tinygrad_ai": (4e-3, 6e-3, 20e-3)})
    moves = {m.key.contender: m for m in compare.moves(old, new) if m.key.case == CASE}
    assert moves["tinygrad_ai"].ratio == 2 and moves["tinygrad_ai"].flagged
    assert moves["pytorch"].ratio == 1 and not moves["pytorch"].flagged
    table = report.moved(old, new)
    assert list(table.columns[1].cells)[0] == "2.000" and "more" in list(table.columns[2].cells)[0]


def test_of_two_machines_only_ratios_are_compared() -> None:
    old, new = made_up(**TIMES), made_up(**{k: [2 * x for x in v] for k, v in TIMES.items()})
    new.machine["processor"] = "another"
    moves = list(compare.moves(old, new))
    assert [(m.key.contender, m.ratio, m.relative) for m in moves] == [
        ("tinygrad_ai", 1.0, True), ("tinygrad_ai-fused", 1.0, True), ("jax", 1.0, True),
    ]  # fmt: skip


def test_the_picture_is_drawn_or_its_absence_explained(tmp_path: Path) -> None:
    if find_spec("matplotlib"):
        assert picture.draw(made_up(**TIMES), tmp_path / "a.png") is None
        assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert "needs the training step" in str(picture.draw(Results(), tmp_path / "b.png"))


# ---- the command


def parsed(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(argv)


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--only", "tinygrad_ai,caffe"], "there is no contender 'caffe'; there are tinygrad_ai, "),
        (["--rounds", "0"], "expected at least one round, got 0"),
        (["--threads", "100000"], "threads, as many processors, got 100000"),
        (["--compare", "nowhere.json"], "cannot compare: "),
    ],
)
def test_mistakes_are_explained(argv: list[str], text: str, capsys: Any) -> None:
    assert command.run(parsed("step", *argv)) == 2
    assert text in capsys.readouterr().err


def test_an_unknown_job_is_refused(capsys: Any) -> None:
    with pytest.raises(SystemExit) as error:
        parsed("steps")
    assert error.value.code == 2 and "invalid choice: 'steps'" in capsys.readouterr().err


def test_without_the_repository_one_line_says_so(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(bench, "HOME", tmp_path)
    with pytest.raises(SystemExit, match="^bench: the benchmarks come with the source repository"):
        bench.add_arguments(argparse.ArgumentParser())


def test_a_file_that_cannot_be_written_is_said_before_anything_is_measured(
    tmp_path: Path, capsys: Any
) -> None:
    for option in ("--json", "--picture"):
        args = parsed("step", option, str(tmp_path / "none" / "a"))
        assert command.run(args) == 2
        assert "bench: cannot write" in capsys.readouterr().err


def test_a_quick_run(tmp_path: Path) -> None:
    only = ["--only", "tinygrad_ai,numpy", "--batch", "8", "--json", str(tmp_path / "a.json")]
    argv = [sys.executable, "-m", "tinygrad_ai", "bench", "step", "--quick", "--threads", "1"]
    done = subprocess.run([*argv, *only], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "NumPy by hand" in done.stdout and "fastest peer (tinygrad_ai / numpy)" in done.stdout
    results = Results.load(tmp_path / "a.json")
    assert results.contenders("step", "784-1024-10, batch 8") == ["tinygrad_ai", "numpy"]
    assert results.machine["threads"] == 1 and results.settings["batches"] == [8]
    rate = results.processor("step", "multiply-adds")
    assert rate is None if native.module is None else rate and rate > 1e8


def test_what_the_machine_is() -> None:
    told = machine.describe(QUICK, CONTENDERS.values())
    assert told["threads"] == 1 and told["versions"]["numpy"] == np.__version__
    found = machine.others(0.01)
    assert not found or 0 <= found["others"] <= len(protocol.processors())


@pytest.mark.native
@pytest.mark.skipif(native.module is None, reason=f"no compiled kernels: {native.reason}")
def test_ceilings_count_what_they_do() -> None:
    once, twice = native.module.multiply_add(10), native.module.multiply_add(20)
    assert once > 0 and twice == 2 * once
    p, m, v, g = (np.full(1000, value, np.float32) for value in (1, 2, 4, 8))
    assert native.module.stream(p, m, v, g, 2) == 2 * 7 * 4 * 1000
    assert [a[-1] for a in (p, m, v, g)] == [12.25, 12.5, 13, 8]
    with pytest.raises(ValueError, match="four float32 arrays of one size"):
        native.module.stream(p, m, v, g.astype(np.float64), 1)
    assert math.isfinite(machine.ceilings(1000, 0.001)["memory"])


def test_two_libraries_in_one_process(monkeypatch: Any) -> None:
    monkeypatch.setattr(together, "SHAPE", (8, 16, 4))
    assert together.measure(["tinygrad_ai", "numpy"], 0.01) > 0
    monkeypatch.setattr(together, "product", lambda library, x, w: lambda: x @ w.T + 1)
    with pytest.raises(ValueError, match="numpy disagrees, so nothing was timed"):
        together.measure(["numpy"], 0.01)
