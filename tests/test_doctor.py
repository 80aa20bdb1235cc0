"""The doctor of gradients: planted mistakes are named, and told apart from kinks and noise."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import tinygrad_ai as ta
from tinygrad_ai import nn
from tinygrad_ai.__main__ import main
from tinygrad_ai.autograd import Function
from tinygrad_ai.errors import ArgumentError, GradcheckError
from tinygrad_ai.nn import functional as F
from tinygrad_ai.study import gradcheck, likeness
from tinygrad_ai.study.doctor import LOOKED_AT
from tinygrad_ai.study.likeness import number


def t(*shape: int, seed: int = 0) -> ta.Tensor:
    return ta.tensor(np.random.default_rng(seed).standard_normal(shape))


def at(*values: float) -> ta.Tensor:
    return ta.tensor(values, dtype=ta.float64)


def with_rule(forward: Callable[..., Any], rule: Callable[..., Any]) -> Callable[..., Any]:
    """A function with a rule of its own: rule(g, *inputs, y)."""

    class Own(Function):
        @staticmethod
        def forward(ctx: Any, *xs: Any) -> Any:
            y = forward(*xs)
            ctx.save_for_backward(*xs, y)
            return y

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return rule(g, *ctx.saved_tensors)

    return Own.apply


def without_graph(x: Any) -> Any:
    with ta.no_grad():
        scale = x.exp()
    return x * scale


def square(x: Any) -> Any:
    return x * x


def add_bias(x: Any, b: Any) -> Any:
    return x + b


X, W = t(3, 4), t(3, 3)
WRONG: dict[str, tuple[Any, Any, str, str]] = {  # function, inputs, mistake, words of its text
    "a factor": (with_rule(square, lambda g, x, y: 4 * g * x), X, "factor", "a factor of 2.0"),
    "half": (with_rule(square, lambda g, x, y: g * x), X, "factor", "a factor of 1/2"),
    "no mean": (
        with_rule(lambda x: x.mean(), lambda g, x, y: g * ta.ones_like(x)), X,
        "factor", "12 is a size: a mean is missing",
    ),
    "a factor of y": (
        with_rule(lambda x: x.exp(), lambda g, x, y: g * y * y), X, "factor", "of y too many",
    ),
    "a sign": (with_rule(lambda x: x.cos(), lambda g, x, y: g * x.sin()), X, "sign", "is minus"),
    "some signs": (
        with_rule(square, lambda g, x, y: 2 * g * abs(x)), X, "sign", "sign is wrong in",
    ),
    "a term": (
        with_rule(lambda x: x.tanh(), lambda g, x, y: g * 1), X, "missing term", "missing: -1.0 y²",
    ),
    "y for y²": (
        with_rule(lambda x: x.tanh(), lambda g, x, y: g * (1 - y)), X,
        "missing term", "1.0 y and -1.0 y²",
    ),
    "the sum of softmax": (
        with_rule(lambda x: ta.softmax(x, -1), lambda g, x, y: y * (g - g * y)), X,
        "missing sum", "a sum over them is missing",
    ),
    "the sum of a bias": (
        with_rule(add_bias, lambda g, x, b, y: (g, g[0])), (X, t(4)), "missing sum", "a sum",
    ),
    "a part": (
        with_rule(lambda x: x.sum(0), lambda g, x, y: ta.stack([g, 0 * g, 0 * g])), X,
        "missing term", "8 of 12 elements",
    ),
    "a weight's transpose": (
        with_rule(lambda x, w: x @ w, lambda g, x, w, y: (g @ w, x.T @ g)), (t(3, 3, seed=1), W),
        "transposed", "where its transpose belongs",
    ),
    "a gradient's transpose": (
        with_rule(lambda x: 2 * x, lambda g, x, y: 2 * g.T), W, "transposed", "is transposed",
    ),
    "detach": (lambda x: x**3 + x.detach().sin(), X, "detached term", "detached at sin, "),
    "detach in a product": (lambda x: x * x.detach(), X, "detached term", "detached at mul, "),
    "no_grad": (without_graph, X, "detached term", "under no_grad at exp, "),
    "all detached": (lambda x: x.detach() * 2, X, "detached term", "detached at mul, "),
    "nothing": (with_rule(square, lambda g, x, y: 0 * x), X, "detached", "it is zero"),
    "NaN": (with_rule(square, lambda g, x, y: g * math.nan), X, "not finite", "NaN"),
    "a shape": (
        with_rule(lambda x: x.sum(0), lambda g, x, y: g[:2]), X, "refused", "a gradient of shape",
    ),
    "g left out": (
        with_rule(square, lambda g, x, y: 2 * x * (g != 0).double()), X,
        "not linear", "linear in g",
    ),
    "beside a kink": (
        with_rule(lambda x: x.relu(), lambda g, x, y: 2 * g * (x > 0).double()), at(0, 1, -1, 2),
        "factor", "a factor of 2.0",
    ),
    "a second output": (
        lambda x: (x * 2, with_rule(square, lambda g, x, y: -2 * g * x)(x)), X, "sign", "is minus",
    ),
}  # fmt: skip


@pytest.mark.parametrize("planted", WRONG)
def test_wrong_rules_are_named(planted: str) -> None:
    f, x, name, words = WRONG[planted]
    found = gradcheck(f, x)
    assert found.verdict == "wrong" and not found.ok, found
    assert found.mistake and found.mistake.name == name, found
    assert words in found.mistake.text


def test_the_line_of_what_is_detached() -> None:
    def f(x: Any) -> Any:
        return x * x.detach()

    line = f.__code__.co_firstlineno + 1
    assert gradcheck(f, X).mistake.text.endswith(f"detached at mul, {__file__}:{line}")


RIGHT: dict[str, tuple[Any, Any]] = {
    "tanh": (lambda x: x.tanh(), X),
    "products": (lambda x, w: x @ w @ w, (t(2, 3), W)),
    "curved": (lambda x: (x * 1e4).sin(), X),
    "flat": (lambda x: x**4, at(0, 0)),
    "constant": (lambda x: x * 0, X),
    "large": (lambda x: (x * 1e3).exp(), at(0.1, -0.1)),
    "small": (lambda x: x * 1e-12, X),
    "far out": (lambda x: x.log(), at(1e8, 3.0)),
    "float32": (lambda x: x.exp(), X.float()),
    "a loss": (lambda x: F.cross_entropy(x, ta.tensor([0, 1, 2])), X),
    "a layer": (nn.LayerNorm(4).double(), X),
    "not all of it": (lambda x, n, y: x * n + y, (X, 3, ta.tensor([1, 2, 3, 4]))),
    "abs, whose slope at 0 is the mean of both": (lambda x: x.abs(), at(0, 1)),
    "a tie, which is shared": (lambda x: x.max(), at(1, 1, 0)),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_rules(name: str) -> None:
    f, x = RIGHT[name]
    found = gradcheck(f, x)
    assert found.verdict == "right" and found.ok and found.mistake is None, found
    assert found.worst and found.worst.error <= found.worst.allowed * 1.01


KINKS: dict[str, tuple[Any, Any, str]] = {
    "relu at 0": (lambda x: x.relu(), at(0, 1), "the slope is 0 before and 1 after"),
    "relu near 0": (lambda x: x.relu(), at(1e-7, 1), "there is a kink, or a sharp bend, within"),
    "a step": (lambda x: ta.floor(x) + x, at(1, 2.5), "the function jumps here"),
    "the edge of a root": (lambda x: x.sqrt(), at(0, 1), "at the edge of its domain"),
}


@pytest.mark.parametrize("name", KINKS)
def test_kinks_are_not_taken_for_wrong_rules(name: str) -> None:
    f, x, words = KINKS[name]
    found = gradcheck(f, x)
    assert found.verdict == "kink" and found.mistake is None and words in found.text, found


def test_a_rule_outside_the_slopes_of_a_kink_is_wrong() -> None:
    f = with_rule(
        lambda x: x.relu(), lambda g, x, y: g * ((x > 0).double() + 3 * (x == 0).double())
    )
    found = gradcheck(f, at(0, 1, 2))
    assert found.verdict == "wrong" and "the rule is outside" in found.text


@pytest.mark.parametrize("f", [
    lambda x: (x + 1e10) - 1e10,
    lambda x: (x * 1e9 + x * x) - x * 1e9,
    lambda x: x.float().exp().double(),
])  # fmt: skip
def test_noise_is_not_taken_for_a_wrong_rule(f: Any) -> None:
    found = gradcheck(f, X)
    assert found.verdict == "rounding noise" and found.mistake is None, found


def test_a_wrong_rule_shows_through_noise() -> None:
    f = with_rule(lambda x: (x + 1e6) - 1e6, lambda g, x, y: 3 * g)
    assert gradcheck(f, X).verdict == "wrong"


def test_what_is_not_deterministic() -> None:
    before = ta.get_rng_state().tolist()
    for f in (lambda x: x * ta.rand(3, 4), lambda x: F.dropout(x, 0.5)):
        found = gradcheck(f, X)
        assert found.verdict == "not deterministic" and "two calls differ by" in found.text
    assert ta.get_rng_state().tolist() == before


def test_the_curve_is_a_u() -> None:
    found = gradcheck(lambda x: x.exp(), at(1.0))
    errors = [s.error for s in found.curve]
    steps = [s.h for s in found.curve]
    bottom = errors.index(min(errors))
    assert 1e-7 < steps[bottom] < 1e-4
    # h² f'''/6 to the left of it, rounding to the right
    assert errors[0] == pytest.approx(steps[0] ** 2 * math.e / 6, rel=1e-2)
    assert errors[3] == pytest.approx(errors[0] / 100, rel=2e-2)
    assert errors[-1] > 100 * errors[bottom]
    assert [s.h for s in found.curve] == sorted(steps, reverse=True) and len(steps) > 20
    wrong = gradcheck(with_rule(square, lambda g, x, y: 4 * g * x), at(1.0))
    assert all([s.error == pytest.approx(2, rel=1e-4) for s in wrong.curve])


def test_the_worst_entry() -> None:
    scale = ta.tensor([[1.0, 1.0], [1.0, 1.5]], dtype=ta.float64)
    f = with_rule(lambda x, y: x * y, lambda g, a, b, y: (g * b, g * a * scale))
    found = gradcheck(f, (t(2, 2), at(1, 2, 3, 4).reshape(2, 2)))
    worst = found.worst
    assert (worst.output, worst.input) == (0, 1)
    assert worst.output_index == worst.input_index == (1, 1)
    assert worst.analytic == pytest.approx(1.5 * worst.numeric, rel=1e-6)
    assert (found.disagree, found.entries) == (1, 32)


def test_inputs_stay_as_they_are() -> None:
    layer = nn.Linear(4, 2).double()
    x = X.clone().requires_grad_()
    (layer(x) ** 2).sum().backward()
    state = ta.get_rng_state().tolist()

    def now() -> Any:
        tensors = (x, layer.weight, layer.bias)
        return [(v.tolist(), v.grad.tolist(), v._version, v.requires_grad) for v in tensors]

    before = now()
    assert gradcheck(layer, x).ok and not X.requires_grad
    assert now() == before and ta.get_rng_state().tolist() == state


def test_without_a_report_it_is_autograds() -> None:
    assert gradcheck(lambda x: x.tanh(), X, report=False) is True
    with pytest.raises(GradcheckError, match="is wrong"):
        gradcheck(lambda x: x * x.detach(), X, report=False)


def test_tolerances_are_the_users() -> None:
    f = with_rule(square, lambda g, x, y: 2.001 * g * x)
    assert gradcheck(f, X).verdict == "wrong" and gradcheck(f, X, rtol=1e-2).ok


def test_more_entries_than_are_looked_at_one_by_one() -> None:
    found = gradcheck(lambda x: x.relu(), ta.zeros(LOOKED_AT + 5, dtype=ta.float64))
    assert found.verdict == "kink" and found.disagree == LOOKED_AT + 5
    assert f"the worst {LOOKED_AT} of {LOOKED_AT + 5}" in found.text


def test_what_is_shown(tmp_path: Any) -> None:
    found = gradcheck(lambda x: x * x.detach(), at(1, 2))
    text = str(found)
    assert text.startswith(
        "wrong: the two differ by 2.0e+00, whatever the step size\ndetached term"
    )
    assert "output 0[1] by input 0[1]: analytic 2, numeric 4" in text
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(found)
    assert "left slope" in console.export_text()
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["mistake"]["name"] == "detached term" and len(told["curve"]) == len(found.curve)
    edge = gradcheck(lambda x: x.sqrt(), at(0))
    assert json.dumps(edge.to_dict(), allow_nan=False)
    curve = str(gradcheck(lambda x: x.exp(), at(1.0))).splitlines()[-1]
    assert curve.endswith(("▃", "▄", "▅")) and "█" in curve and "▁" in curve
    found.plot(tmp_path / "u.png")
    assert (tmp_path / "u.png").stat().st_size > 5000


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ArgumentError, match=r"matplotlib is missing.*\n.*tinygrad-ai\[plot\]"):
        gradcheck(lambda x: x.exp(), at(1.0)).plot("u.png")


def test_mistakes() -> None:
    for f, x, text in (
        (lambda x: x, 3, "expected a floating-point tensor to differentiate by, got int"),
        (lambda x: x, ta.tensor([1, 2]), "expected a floating-point tensor"),
        (lambda x: 3, X, "the function returns no floating-point tensor"),
        (lambda x: x * 2, X.half(), "differences of 16-bit numbers say nothing"),
    ):
        with pytest.raises(ArgumentError, match=text):
            gradcheck(f, x)


# ---- arrays beside each other


def test_likeness() -> None:
    a = np.arange(1.0, 7.0).reshape(2, 3)
    for wrong, right, name in (
        (a * 3, a, "factor"), (-a, a, "sign"), (a * [[1], [-1]], a, "sign"), (a.T, a, "transposed"),
        (0 * a, a, "detached"), (a * [[1], [0]], a, "missing sum"), (a + 0.5, a, "missing term"),
        (a[:, ::-1], a, "permuted"), (a, 0 * a, "not zero"), (a * np.nan, a, "not finite"),
    ):  # fmt: skip
        assert likeness(wrong, right).name == name
    assert likeness(a * a, a) is None
    square = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert likeness(square.T, square).name == "transposed"
    assert "3 is a size: a mean instead of a sum" in likeness(a / 3, a).text
    assert [number(v) for v in (2.0, 1 / 3, -1.0, 0.1234, 1e9, 1e-9)] == [
        "2.0", "1/3", "-1.0", "0.1234", "1000000000.0", "1/1000000000",
    ]  # fmt: skip


# ---- the command

FILE = """
import tinygrad_ai as ta

def cube(x, w):
    return x ** 3 * w

def cut(x):
    return x * x.detach()

def settled(x=[1.0, 2.0], n=3):
    return x ** n

NOT_A_FUNCTION = 3
"""


@pytest.fixture
def file(tmp_path: Any) -> str:
    (tmp_path / "mine.py").write_text(FILE)
    return str(tmp_path / "mine.py")


def test_a_function_of_a_file(file: str, capsys: Any, tmp_path: Any) -> None:
    shapes = ["--shape", "2,3", "--shape", "3", "--seed", "1"]
    assert main(["gradcheck", f"{file}:cube", *shapes]) == 0
    assert capsys.readouterr().out.startswith("right: the two agree at h = ")
    picture = tmp_path / "u.svg"
    assert main(["gradcheck", f"{file}:cut", "--shape", "3", "--picture", str(picture)]) == 1
    out = capsys.readouterr().out
    assert out.startswith("wrong: ") and "detached term: a term is cut off" in out
    assert picture.read_text().lstrip().startswith("<?xml")
    assert main(["gradcheck", f"{file}:settled", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "right" and told["entries"] == 4
    assert told["function"] == f"{file}:settled"


def test_inputs_of_the_file(file: str, capsys: Any) -> None:
    with open(file, "a") as more:
        more.write(
            "def INPUTS():\n    return ta.ones(2, 3, dtype=ta.float64), ta.zeros(3).double()\n"
        )
    assert main(["gradcheck", f"{file}:cube"]) == 0
    assert "of 54 entries disagree" in capsys.readouterr().out


def test_mistakes_of_the_command(file: str, capsys: Any) -> None:
    for arguments, text in (
        ([f"{file}:cub", "--shape", "3"], "has no function 'cub'\n  fix: " + f"{file}:cube"),
        ([f"{file}:NOT_A_FUNCTION"], "has no function 'NOT_A_FUNCTION'"),
        (["nowhere.py:f"], "nowhere.py does not exist"),
        ([f"{file}:cut"], "cut has arguments without values\n  fix: --shape 3,4"),
        ([f"{file}:cut", "--shape", "a"], "expected a shape such as 3,4, got 'a'"),
        ([f"{file}:cut", "exp"], "expected one FILE.py:function"),
        (["exp", "--shape", "3"], "--shape is for FILE.py:function"),
    ):
        assert main(["gradcheck", *arguments]) == 2
        assert text in capsys.readouterr().err


def test_ops_as_json(capsys: Any) -> None:
    assert main(["gradcheck", "exp", "tanh", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [op["op"] for op in told["ops"]] == ["exp", "tanh"] and told["wrong"] == 0
    assert told["ops"][0]["second order"] < 1e-6


def test_as_a_process(file: str) -> None:
    command = [sys.executable, "-m", "tinygrad_ai", "gradcheck", f"{file}:cut", "--shape", "3"]
    found = subprocess.run(command, capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (1, "") and "detached at mul" in found.stdout
    assert "\x1b" not in found.stdout
