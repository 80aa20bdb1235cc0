"""`python -m tinygrad_ai gradcheck`: every op has inputs to be checked with, and passes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tinygrad_ai.autograd.op import REGISTRY
from tinygrad_ai.errors import ArgumentError
from tinygrad_ai.ops.samples import SAMPLES
from tinygrad_ai.study.gradcheck import differentiable, main


def test_every_differentiable_op_has_samples_and_nothing_else_has() -> None:
    assert sorted(SAMPLES) == [op.name for op in differentiable()]


def test_all_ops_pass(capsys: Any) -> None:
    assert main([], all=True) == 0
    text = capsys.readouterr().out
    assert text.endswith(f"{len(differentiable())} ops checked, 0 derivatives wrong\n")
    assert all(f" {name}" in text for name in SAMPLES)


def test_a_wrong_rule_is_found_named_and_fails(capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(REGISTRY["tanh"], "rule", lambda g, y: g * (1 - y))
    assert main(["exp", "tanh"]) == 1
    text = capsys.readouterr().out
    assert "tanh, order 1: the gradient of output 0 by input 0 is wrong in 6 of 36" in text
    assert "exp, order" not in text
    assert text.endswith("2 ops checked, 2 derivatives wrong\n")


def test_a_rule_wrong_in_second_order_only(capsys: Any, monkeypatch: Any) -> None:
    rule = REGISTRY["square"].rule
    monkeypatch.setattr(
        REGISTRY["square"], "rule", lambda g, x: rule(g, getattr(x, "detach", lambda: x)())
    )
    assert main(["square"]) == 1
    assert "square, order 2: " in capsys.readouterr().out


def test_an_op_without_samples_fails(capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.delitem(SAMPLES, "exp")
    assert main(["exp"]) == 1
    assert "exp, order 1: there are no inputs to check it with" in capsys.readouterr().out


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(ArgumentError) as error:
        main(["tahn"])
    assert str(error.value) == (
        "there is no differentiable op 'tahn'\n  fix: did you mean tan or tanh or atan?"
    )


def test_brackets_of_a_formula_are_printed(capsys: Any) -> None:
    assert main(["dropout"]) == 0
    assert "y = [keep] scale x" in capsys.readouterr().out


def test_the_command() -> None:
    command = [sys.executable, "-m", "tinygrad_ai", "gradcheck", "add", "matmul"]
    found = subprocess.run(command, capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.endswith("2 ops checked, 0 derivatives wrong\n")
