"""Our tests catch mistakes: each fault of tests/faults/catalogue.py fails one of them, by name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tinygrad_ai as ta
from tests.faults.catalogue import FAULTS
from tests.faults.planting import Fault, changed, function_of, planted

pytest.importorskip("torch", reason="PyTorch is the reference of the tests that catch the faults")

ROOT = Path(__file__).parent.parent
PROOFS = {"AssertionError", "Failed", "GradcheckError"}  # a test's word that something is wrong


def test_every_planted_fault_is_caught_by_a_test() -> None:
    command = [sys.executable, "-m", "tests.faults", "--json"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=110)
    assert done.stdout.startswith("{"), done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert not found["broken"], "these tests fail without a fault"
    assert list(found["caught"]) == [f.name for f in FAULTS]
    for name, caught in found["caught"].items():
        print(f"{name}: {' '.join(caught)}")
    assert not [name for name, caught in found["caught"].items() if not caught]
    strange = {n: c for n, c in found["caught"].items() if c[1] not in PROOFS}
    assert not strange, "these tests broke down instead of finding a wrong number"
    assert done.returncode == 0


def test_there_are_many_faults_of_each_kind() -> None:
    assert len(FAULTS) >= 25 and len({f.name for f in FAULTS}) == len(FAULTS)
    for kind in ("rule of", "tinygrad_ai.autograd.grad", "tinygrad_ai.optim", "tinygrad_ai.nn"):
        assert len([f for f in FAULTS if f.target.startswith(kind)]) >= 4


def slope() -> float:
    x = ta.tensor([0.5], requires_grad=True)
    ta.tanh(x).sum().backward()
    return float(x.grad.item())


def test_a_fault_is_there_while_it_is_planted_and_gone_afterwards() -> None:
    right = slope()
    fault = next(f for f in FAULTS if f.name == "tanh: the square is missing")
    with pytest.raises(KeyError), planted(fault):
        assert abs(slope() - (1 - 0.46211716)) < 1e-6 < abs(slope() - right)
        raise KeyError
    assert slope() == right


def test_a_fault_that_does_not_fit_the_source_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'y \* z' is 0 times in\n@tanh.vjp"):
        changed(function_of("rule of tanh"), "y * z", "y")
    with (
        pytest.raises(ValueError, match="'g' is .* times in"),
        planted(Fault("twice", "rule of exp", "g", "y", "")),
    ):
        pass


def test_every_fault_fits_the_source() -> None:
    for fault in FAULTS:
        with planted(fault):
            pass
