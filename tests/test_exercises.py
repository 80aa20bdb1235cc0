"""Exercises are graded rightly, learners' errors are said clearly, the quiz hides what it says."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tinygrad_ai.__main__ import main
from tinygrad_ai.autograd import gradcheck
from tinygrad_ai.errors import ArgumentError
from tinygrad_ai.study import grade, lint, quiz, watch
from tinygrad_ai.study.exercises import quiz_command
from tinygrad_ai.study.exercises.catalogue import EXERCISES
from tinygrad_ai.study.exercises.exercise import TRIALS, Exercise, trials
from tinygrad_ai.study.exercises.faults import FAULTS, Fault
from tinygrad_ai.study.exercises.grading import LearnerError
from tinygrad_ai.study.exercises.quiz import HEALTHY, Quiz, healthy

ALL = list(EXERCISES.values())
each = pytest.mark.parametrize("exercise", ALL, ids=lambda e: e.name)


def test_there_are_exercises_from_add_to_attention() -> None:
    assert len(ALL) >= 20 and ALL[0].name == "add" and ALL[-1].name == "attention"


def results(exercise: Exercise, body: str, trial: Any) -> list[np.ndarray]:
    found = exercise.function(body)(*trial.arguments())
    return [np.asarray(f) for f in (found if isinstance(found, tuple) else (found,))]


@each
def test_the_forward_is_the_engine_s_and_right_is_what_differences_say(exercise: Exercise) -> None:
    for trial, sizes in zip(trials(exercise), TRIALS, strict=True):
        assert len(set(sizes.values())) == len(sizes)
        tensors = [ta.tensor(a) for a in trial.inputs.values()]
        np.testing.assert_allclose(exercise.reference(*tensors).numpy(), trial.y, atol=1e-12)
        forward = exercise.function(exercise.forward, False)
        kinked = "kinked" in " ".join(exercise.inputs.values())
        for name, right in zip(exercise.differentiable, trial.right, strict=True):
            step = 1e-6
            for index in list(np.ndindex(right.shape))[:6]:
                if kinked and trial.inputs[name][index] == 0:
                    continue
                ends = []
                for sign in (1, -1):
                    moved = {n: np.array(a, copy=True) for n, a in trial.inputs.items()}
                    moved[name][index] += sign * step
                    ends.append((forward(*moved.values()) * trial.g).sum())
                assert abs((ends[0] - ends[1]) / (2 * step) - right[index]) < 1e-6


@each
def test_the_solution_is_exact_and_each_known_mistake_is_named(exercise: Exercise) -> None:
    found = grade(exercise.name, exercise.function(exercise.solution))
    assert found.verdict == "exact" and not any([p.mistake for p in found.parts])
    for text, body in exercise.mistakes.items():
        found = grade(exercise.name, exercise.function(body))
        assert found.verdict == "wrong"
        assert {p.mistake for p in found.parts if p.verdict == "wrong"} == {text}


@each
def test_mistakes_of_every_rule_are_named(exercise: Exercise) -> None:
    right = exercise.function(exercise.solution)

    def changed(change: Any) -> Any:
        def rule(*args: Any) -> Any:
            found = right(*args)
            return tuple(map(change, found if isinstance(found, tuple) else (found,)))

        return rule

    assert mistakes(exercise, changed(lambda a: -a)) == {"the sign is wrong"}
    assert mistakes(exercise, changed(lambda a: 0 * a)) == {"it is 0 everywhere"}
    factors = mistakes(exercise, changed(lambda a: 1.25 * a))
    assert factors == {"it is 1.25 times what is right"}
    if exercise.name not in ("softmax", "batch_norm"):  # whose gradient is 0 for equal g
        plain = mistakes(exercise, lambda g, *rest: right(np.ones_like(g), *rest))
        assert plain == {"g, what comes in, is not used"}
    near = grade(exercise.name, changed(lambda a: a * (1 + 1e-6)))
    assert near.verdict == "approximate"


def mistakes(exercise: Exercise, rule: Any) -> set[str | None]:
    found = grade(exercise.name, rule)
    assert found.verdict == "wrong"
    return {p.mistake for p in found.parts}


def mistake(name: str, rule: Any, part: int = 0) -> str:
    return grade(name, rule).parts[part].mistake or ""


def test_shapes_and_factors_are_explained() -> None:
    text = mistake("add", lambda g, y, a, b: (g, g), 1)
    assert text.startswith("the sum over what the input was repeated along is missing")
    assert text.endswith("expected the shape (3,) of b, got (4, 3)")
    assert "repeated to the input's shape" in mistake("sum", lambda g, y, x: g)
    assert "repeated to the input's shape" in mistake("mean", lambda g, y, x: g / x.size)
    assert "it is transposed" in mistake("matmul", lambda g, y, a, b: (g @ b.T, g.T @ a), 1)
    assert "their shape is not: reshape" in mistake("sum", lambda g, y, x: np.repeat(g, x.shape[1]))
    text = mistake("mul", lambda g, y, a, b: (g * a, g * b))
    assert text == "that is gb: the gradients are in the wrong order"
    text = mistake("mean", lambda g, y, x: np.full(x.shape, g))
    assert text == "it is too large by the number of elements"
    text = mistake("linear", lambda g, y, x, w, b: (g @ w, g.T @ x / len(x), g.sum(0)), 1)
    assert text == "a mean over the batch where the sum belongs"
    text = mistake("matmul", lambda g, y, a, b: (g @ b.T / len(a), a.T @ g))
    assert text == "it is too small by the number of rows"
    text = mistake("tanh", lambda g, y, x: np.where(x > 0, g * (1 - y * y), 0))
    assert text == "it is wrong where x < 0, and right elsewhere"
    sloppy = grade("square", lambda g, y, x: g * ((x + 1e-5) ** 2 - x**2) / 1e-5)
    assert sloppy.verdict == "approximate" and "rounded" in (sloppy.parts[0].mistake or "")


def test_a_grade_has_the_worst_difference_and_its_index() -> None:
    def rule(g: Any, y: Any, x: Any) -> Any:
        gx = 2 * g * x
        gx[2, 1] += 1.5
        return gx

    found = grade("square", rule)
    (part,) = found.parts
    assert part.index == [2, 1] and part.difference == pytest.approx(1.5)
    assert part.mistake is not None and part.mistake.endswith("elements are right")
    assert "off by 1.5 at [2, 1]" in str(found)
    as_json = json.loads(json.dumps(found.to_dict()))
    assert as_json["verdict"] == "wrong" and as_json["parts"][0]["index"] == [2, 1]


def test_a_gradient_that_is_not_finite_is_said_and_is_json() -> None:
    found = grade("square", lambda g, y, x: np.where(x > 0, 2 * g * x, np.nan))
    assert found.verdict == "wrong"
    assert "likely: NaN or infinity in 22 of 39 elements" in str(found)
    (part,) = json.loads(json.dumps(found.to_dict(), allow_nan=False))["parts"]
    assert part["written"] is None and part["difference"] is None and part["right"]


def test_a_rule_may_be_written_with_tensors() -> None:
    def rule(g: Any, y: Any, a: Any, b: Any) -> Any:
        return ta.tensor(g) * ta.tensor(b), ta.tensor(g) * ta.tensor(a)

    assert grade("mul", rule).verdict == "exact"


def test_grading_leaves_random_numbers_alone() -> None:
    before = ta.get_rng_state().numpy().copy()
    grade("mul", lambda g, y, a, b: (g * b, g * a))
    quiz(3)
    np.testing.assert_array_equal(before, ta.get_rng_state().numpy())


# ---- the command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    return tmp_path


def written(folder: Path, text: str) -> Path:
    file = folder / "mul.py"
    file.write_text(text)
    return file


def test_the_command_lists_gives_and_grades(folder: Path, capsys: Any) -> None:
    assert main(["exercise"]) == 0
    out = capsys.readouterr().out
    assert all([e.name in out for e in ALL]) and "w[index]" in out
    assert main(["exercise", "mul"]) == 0
    assert "mul.py is written" in capsys.readouterr().out
    text = (folder / "mul.py").read_text()
    assert "g b" not in text and "def forward(a, b):\n    return a * b" in text
    assert main(["exercise", "mul"]) == 2
    assert "the rule is not written yet" in capsys.readouterr().out
    assert (folder / "mul.py").read_text() == text
    rule = 'raise NotImplementedError("the rule is not written yet")'
    (folder / "mul.py").write_text(text.replace(rule, "return g * b, -g * a"))
    assert main(["exercise", "mul", "--hint"]) == 1
    out = capsys.readouterr().out
    assert "hint: ga = g b,  gb = g a" in out and "likely: the sign is wrong" in out
    assert "\x1b" not in out
    (folder / "mul.py").write_text(text.replace(rule, "return g * b, g * a"))
    assert main(["exercise", "mul", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "exact" and "hint" not in found


@each
def test_every_file_that_is_given_runs(exercise: Exercise, folder: Path, capsys: Any) -> None:
    assert main(["exercise", exercise.name, "--file", "a.py"]) == 0
    file = folder / "a.py"
    for hidden in exercise.solution.split("\n"):
        if "return" in hidden and len(hidden) > 12:
            assert hidden not in file.read_text()
    rule = 'raise NotImplementedError("the rule is not written yet")'
    body = exercise.solution.replace("\n", "\n    ")
    file.write_text(file.read_text().replace(rule, body))
    assert main(["exercise", exercise.name, "--file", "a.py"]) == 0, capsys.readouterr().out
    scope: dict[str, Any] = {}
    exec(file.read_text(), scope)
    trial = trials(exercise)[0]
    np.testing.assert_array_equal(scope["forward"](*trial.inputs.values()), trial.y)


ERRORS = {
    "def rule(g, y, a, b)\n    return g": r"mul.py:1: expected ':': def rule\(g, y, a, b\)",
    "x = 1": r"has no function `rule`\n  fix: def rule\(g, y, a, b\):",
    "1 / 0": r"mul.py:1: ZeroDivisionError: division by zero",
    "def rule(g, y, a):\n    return g": r"TypeError: rule\(\) takes 3 positional arguments",
    "def rule(g, y, a, b):\n    z = 1\n    return g * c": (
        r"mul.py:3: NameError: name 'c' is not defined\n  return g \* c"
    ),
    "def rule(g, y, a, b):\n    g *= b\n    return g, g": (
        r"read-only\n  g \*= b\n  fix: make a new"
    ),
    "def rule(g, y, a, b):\n    exit()": r"mul.py:2: SystemExit",
    "def rule(g, y, a, b):\n    g * b": r"the rule returned nothing\n  fix: return ga, gb",
    "def rule(g, y, a, b):\n    return g * b": r"expected 2 gradients, ga, gb, got 1",
    "def rule(g, y, a, b):\n    return 'x', g": r"expected ga to be an array of real numbers, got",
    "def rule(g, y, a, b):\n    return None, g": r"array of real numbers, got NoneType",
    "def rule(g, y, a, b):\n    return 1j * g, g": r"got numbers of complex128",
    "def rule(g, y, a, b):\n    return [[1], [1, 2]], g": r"array of real numbers, got list",
}


@pytest.mark.parametrize("text", ERRORS, ids=range(len(ERRORS)))
def test_a_learner_s_error_is_said_clearly(text: str, folder: Path, capsys: Any) -> None:
    written(folder, text)
    assert main(["exercise", "mul"]) == 2
    out = capsys.readouterr().out
    assert re.search(ERRORS[text], out), out
    assert "Traceback" not in out
    assert main(["exercise", "mul", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["verdict"] == "error"


def test_bad_input_of_the_commands(folder: Path, capsys: Any) -> None:
    assert main(["exercise", "atention"]) == 2
    assert "did you mean attention?" in capsys.readouterr().err
    assert main(["exercise", "mul", "--file", str(folder / "no" / "mul.py")]) == 2
    assert "cannot be written" in capsys.readouterr().err
    (folder / "mul.py").write_bytes(b"\xff\xfe\x00")
    assert main(["exercise", "mul"]) == 2
    assert "cannot be read" in capsys.readouterr().out
    assert main(["quiz", "--seed", "-1"]) == 2
    assert "expected a seed of 0 or more, got -1" in capsys.readouterr().err
    assert main(["quiz", "--seed", "1", "--answer", "lr to large"]) == 2
    assert "did you mean 'lr too large'?" in capsys.readouterr().err
    with pytest.raises(ArgumentError, match="expected a rule, a function, got int"):
        grade("mul", 3)  # type: ignore[arg-type]
    with pytest.raises(LearnerError, match="returned nothing"):
        grade("mul", lambda g, y, a, b: None)


# ---- the quiz

SHOWN_BY_WATCH = {
    "no zero_grad": "TG001", "dead relu": "TG009", "lr too large": "TG010",
    "lr too small": "TG010", "softmax twice": "TG002", "forgotten layer": "TG003",
    "raw pixels": "TG012", "summed loss": "TG010",
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
def test_every_fault_does_harm_and_can_be_found(fault: Any) -> None:
    sick, well = Quiz(1, fault), healthy(1)
    with watch(sick.model, sick.optimizer) as report:
        losses = sick.train(60)
    assert not np.allclose(losses, well.train(60), rtol=1e-2)
    if fault.name in SHOWN_BY_WATCH:
        assert SHOWN_BY_WATCH[fault.name] in report.codes
    else:
        assert not report
    for code in [w.strip(":,") for w in fault.proof.split() if w.startswith("TG")]:
        fresh = Quiz(1, fault)
        moment = lint(fresh.loss(), fresh.model, fresh.optimizer).codes
        assert code in (report.codes if "watch" in fault.proof else moment)


def test_what_watch_does_not_show_is_found_otherwise() -> None:
    named = {f.name: f for f in FAULTS}
    x = ta.randn(4, dtype=ta.float64, requires_grad=True)
    assert gradcheck(healthy(1).model[1], (x,))
    assert not gradcheck(Quiz(1, named["wrong rule"]).model[1], (x,), raise_exception=False)
    assert Quiz(1, named["summed loss"]).loss().item() > 60 * np.log(10)
    large = Quiz(1, named["lr too large"])
    large.loss().backward()
    assert large.optimizer.inspect(0).ratio > 0.05
    shuffled = Quiz(1, named["shuffled labels"])
    assert (shuffled.labels != healthy(1).labels).mean() > 0.8


def test_a_healthy_run_is_clean_and_learns() -> None:
    run = Quiz(1, HEALTHY)
    assert not lint(run.loss(), run.model, run.optimizer)
    with watch(run.model, run.optimizer) as report:
        losses = run.train(80)
    assert not report and losses[-1] < 0.75 * losses[0]


def test_the_seeds_give_every_fault_and_always_the_same() -> None:
    assert {quiz(i).reveal()[0] for i in range(60)} == {f.name for f in FAULTS}
    assert quiz(5).train(3) == quiz(5).train(3)
    run = quiz(5)
    right = [name for name in run.choices if run.check(name)]
    assert right == [run.reveal()[0]]


def test_the_quiz_command(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    name, proof = quiz(4).reveal()
    assert main(["quiz", "--seed", "4"]) == 0
    out = capsys.readouterr().out
    assert "quiz 4: loss for a sample" in out and name in out and proof not in out
    assert main(["quiz", "--seed", "4", "--answer", name]) == 0
    assert capsys.readouterr().out.endswith("right\n")
    wrong = next(n for n in quiz(4).choices if n != name)
    assert main(["quiz", "--seed", "4", "--answer", wrong]) == 1
    assert capsys.readouterr().out.endswith("no, it is something else\n")
    assert main(["quiz", "--seed", "4", "--reveal", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["fault"] == name and found["proof"] == proof and len(found["losses"]) == 2
    burst = Fault("no zero_grad", "", "", lambda run: run.optimizer.param_groups[0].update(lr=1e30))
    monkeypatch.setattr(quiz_command, "quiz", lambda seed: Quiz(seed, burst))
    assert main(["quiz", "--seed", "4", "--json"]) == 0
    text = capsys.readouterr().out
    assert "NaN" not in text and json.loads(text)["losses"]["this run"][-1] is None
    monkeypatch.undo()
    typed = io.StringIO(f"nonsense\n{name}\n")
    monkeypatch.setattr(typed, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdin", typed)
    assert main(["quiz", "--seed", "4"]) == 0
    out = capsys.readouterr().out
    assert "there is no fault 'nonsense'" in out and out.endswith("right\n")
