"""What the doctor must not say: of what bends sharply, of what is not finite, and on a GPU."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import tinygrad_ai as ta
from tests.test_doctor import at, square, t, with_rule
from tinygrad_ai.__main__ import main
from tinygrad_ai.errors import ArgumentError
from tinygrad_ai.nn import functional as F
from tinygrad_ai.study import gradcheck
from tinygrad_ai.study.likeness import number

# A function, its derivative, and where its slope changes within much less than the usual steps.
SHARP: dict[str, tuple[Any, Any, Any]] = {
    "a wave": (lambda x: (1e6 * x).sin(), lambda x: 1e6 * (1e6 * x).cos(), t(3, 4)),
    "a wave far out": (lambda x: x.sin(), lambda x: x.cos(), t(3, 4) * 1e6),
    "a root near 0": (lambda x: x.sqrt(), lambda x: 0.5 / x.sqrt(), t(3, 4).abs() * 1e-6),
    "a logarithm near 0": (lambda x: x.log(), lambda x: 1 / x, t(3, 4).abs() * 1e-9),
    "a pole": (lambda x: 1 / x, lambda x: -1 / x**2, t(3, 4) * 1e-7),
    "a step that is smooth": (
        lambda x: (1e7 * x).tanh(), lambda x: 1e7 * (1 - (1e7 * x).tanh() ** 2), t(3, 4) * 1e-7,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SHARP)
def test_a_sharp_bend_is_no_mistake(name: str) -> None:
    f, _, x = SHARP[name]
    found = gradcheck(f, x)
    assert found.ok, found
    assert found.disagree == 0 or "entries disagree at the first step size" in str(found)


@pytest.mark.parametrize("name", SHARP)
def test_and_hides_none(name: str) -> None:
    f, slope, x = SHARP[name]
    found = gradcheck(with_rule(f, lambda g, x, y: 2 * g * slope(x)), x)
    assert found.verdict == "wrong" and found.mistake and "factor of 2.0" in found.mistake.text


@pytest.mark.parametrize("scale", [1e8, 1e9])
def test_what_no_step_resolves_is_not_called_wrong(scale: float) -> None:
    assert gradcheck(lambda x: (scale * x).sin(), t(3, 4)).verdict != "wrong"
    assert gradcheck(lambda x: (1e-5 * scale * x).sin(), t(3, 4).float()).verdict != "wrong"


@pytest.mark.parametrize("f", [
    lambda x: F.hardswish(x - 3), lambda x: F.softshrink(x + 0.5), lambda x: x.relu(),
    lambda x: (x + 1).clamp(0, 1), lambda x: x.relu() * 5 + (3 * x).exp(),
])  # fmt: skip
@pytest.mark.parametrize("near", [0.0, 1e-7, 1e-5, 1e-3])
@pytest.mark.parametrize("dtype", [ta.float64, ta.float32])
def test_near_a_kink(f: Any, near: float, dtype: Any) -> None:
    x = ta.tensor([near, -near, 0.7], dtype=dtype)
    found = gradcheck(f, x)
    assert found.verdict in ("right", "kink", "rounding noise"), found
    assert gradcheck(with_rule(f, lambda g, x, y: 30 * g), x).verdict == "wrong"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_input_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ArgumentError, match="NaN or infinity in the input"):
        gradcheck(square, at(value, 1))
    assert gradcheck(lambda x, n: x * n, (at(2.0).requires_grad_(), at(1.0))).ok


@pytest.mark.parametrize(("f", "value"), [
    (lambda x: x.exp(), "inf"), (lambda x: (x - x) / (x - x), "nan"),
    (lambda x: (x - 1000).log(), "-inf"),
])  # fmt: skip
def test_a_result_that_is_not_finite(f: Callable[..., Any], value: str) -> None:
    found = gradcheck(f, at(1000))
    assert (found.verdict, found.text) == ("kink", f"the function itself is {value} here")


def test_a_gpu(cupy: Any) -> None:
    x = t(3, 3).cuda()
    assert gradcheck(lambda x: x.tanh(), x).ok
    for rule, name in (
        (lambda g, x, y: g * x, "factor"), (lambda g, x, y: g * (2 * x - 1), "missing term"),
        (lambda g, x, y: (2 * g * x).T, "transposed"), (lambda g, x, y: -2 * g * x, "sign"),
    ):  # fmt: skip
        found = gradcheck(with_rule(square, rule), x)
        assert found.verdict == "wrong" and found.mistake and found.mistake.name == name
    assert gradcheck(lambda x: x * x.detach(), x).mistake.name == "detached term"
    assert gradcheck(lambda x: x.relu(), ta.zeros(3, dtype=ta.float64).cuda()).verdict == "kink"


def test_factors_are_written_as_people_do() -> None:
    assert [number(v) for v in (859.36, 100 / 3, 3 / 7, 16 / 15, 2.5, 40.0)] == [
        "859.4", "33.33", "3/7", "16/15", "5/2", "40.0",
    ]  # fmt: skip


# ---- the command


def test_a_file_may_import_its_neighbours(tmp_path: Any, capsys: Any) -> None:
    (tmp_path / "neighbour_of_mine.py").write_text("def twice(x):\n    return 2 * x\n")
    file = tmp_path / "with_a_neighbour.py"
    file.write_text("from neighbour_of_mine import twice\n\ndef f(x):\n    return twice(x)\n")
    assert main(["gradcheck", f"{file}:f", "--shape", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"]


@pytest.mark.parametrize(("arguments", "text"), [
    (["--shape", "2", "--shape", "3"], "f cannot be called with 2 arguments: too many"),
    (["--shape=-2"], "expected a shape such as 3,4, got '-2'"),
    (["--shape", "2", "--picture", "NOWHERE/u.png"], "the picture cannot be written"),
    (["--shape", "2", "--picture", "u.xyz"], "the picture cannot be written: Format 'xyz'"),
])  # fmt: skip
def test_mistakes_of_the_command(
    tmp_path: Any, capsys: Any, monkeypatch: Any, arguments: list[str], text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("def f(x):\n    return x * x\n")
    assert main(["gradcheck", "mine.py:f", *arguments]) == 2
    out = capsys.readouterr()
    assert text in out.err and ("--picture" not in arguments or out.out.startswith("right"))


def test_a_module_of_a_file(tmp_path: Any, capsys: Any) -> None:
    file = tmp_path / "mine.py"
    file.write_text("from tinygrad_ai import nn\n\nlayer = nn.Linear(3, 2).double()\n")
    assert main(["gradcheck", f"{file}:layer", "--shape", "3"]) == 0
    assert main(["gradcheck", f"{file}:layer"]) == 2
    assert "Linear has arguments without values" in capsys.readouterr().err
