"""The laws of the house hold, and the checker that says so can fail."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


def load(name: str) -> Any:
    """A program of tools/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def house() -> Any:
    return load("check_house")


def test_the_house_is_in_order(house: Any) -> None:
    assert list(house.breaches()) == []


def test_the_stub_of_tensor_is_up_to_date() -> None:
    stub = load("make_stub")
    assert stub.TARGET.read_text() == stub.stub(), "run python tools/make_stub.py"


PROGRAM = """import tinygrad_ai as ta
from tinygrad_ai import nn
x = ta.zeros(2, 3, requires_grad=True)
y = (nn.Linear(3, 4)(x).relu() * 2.0 + 1).sum(dim=1)
y.mean().backward()
grad: ta.Tensor | None = x.grad
"""


def test_a_users_program_type_checks(tmp_path: Path) -> None:
    api = pytest.importorskip("mypy.api", reason="mypy checks the types")
    (tmp_path / "program.py").write_text(PROGRAM)
    text, _, status = api.run(["--cache-dir", str(tmp_path), str(tmp_path / "program.py")])
    assert status == 0, text


def test_breaches_are_found(house: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in house.READING:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x = 1\n" * 200)
    (tmp_path / "nn").mkdir()
    (tmp_path / "nn" / "bad.py").write_text(
        "import numpy\nimport torch\nimportlib.import_module('torch.nn')\n"
        + "from ..train import loop\nfrom ..ops import linear\n"
        + "def long():\n" + "    x = 1\n" * 41 + "y = 2\n" * 400
    )  # fmt: skip
    monkeypatch.setattr(house, "PACKAGE", tmp_path)
    found = "\n".join(house.breaches())
    assert "the four reading files have 800 lines" in found
    assert "nn/bad.py has 447 lines" in found and "nn/bad.py: long has 42 lines" in found
    assert "nn/bad.py:1 imports numpy" in found and "nn/bad.py:2 imports torch" in found
    assert "nn/bad.py:3 imports torch" in found  # by name, too
    assert "nn/bad.py:4 imports train, a room above it" in found and "bad.py:5" not in found
