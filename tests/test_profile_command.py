"""`python -m tinygrad_ai profile FILE.py`: a script is run as always, and its time told."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tinygrad_ai.__main__ import main
from tinygrad_ai.autograd.mode import state
from tinygrad_ai.study.profile_report import Report
from tinygrad_ai.study.roofline import Machine

SCRIPT = """
import sys
import helper
import tinygrad_ai as ta
from tinygrad_ai import nn, optim

print("here", __name__, sys.argv[1:], helper.NUMBER)
net = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))
optimizer = optim.Adam(net.parameters())
x, y = ta.randn(64, 16), ta.randint(4, (64,))


def train(steps):
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()


if __name__ == "__main__":
    train(3)
    assert sys.modules["__main__"].train is train
"""


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody measures it here."""
    found = Machine(flops=1e10, bandwidth=1e9)
    monkeypatch.setattr(Report, "machine", property(lambda report: found))


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "helper.py").write_text("NUMBER = 7\n")
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return path


def test_a_script_is_run_as_python_runs_it(script: Path, capsys: Any) -> None:
    before = sys.argv, list(sys.path), sys.modules["__main__"], state.observers
    assert main(["profile", str(script), "--by", "layer", "--args", "--epochs", "3"]) == 0
    assert (sys.argv, list(sys.path), sys.modules["__main__"], state.observers) == before
    out = capsys.readouterr().out
    assert "here __main__ ['--epochs', '3'] 7" in out and "3 steps of" in out
    assert {"net.0", "net.2", "Adam", "walk", "python"} <= {line.split(" ")[0] for line in
                                                            out.splitlines()}  # fmt: skip


def test_json_is_all_of_the_output(script: Path, capsys: Any) -> None:
    assert main(["profile", str(script), "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["steps"] == 3 and "here __main__" in err
    lines = {row["name"] for row in found["line"] if row["kind"] == "work"}
    assert lines == {f"{script}:8", f"{script}:16"}  # where the weights are made; the step


def test_no_colour_where_nobody_wants_it(
    script: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "")
    assert main(["profile", str(script)]) == 0
    assert "\x1b[3" not in capsys.readouterr().out


def test_files_are_written_and_memory_shown(script: Path, tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("matplotlib")
    trace, roof = tmp_path / "trace.json", tmp_path / "roof.svg"
    options = ["--trace", str(trace), "--roofline", str(roof), "--memory"]
    assert main(["profile", str(script), *options]) == 0
    assert "parameters" in capsys.readouterr().out and roof.exists()
    events = json.loads(trace.read_text())["traceEvents"]
    assert {"X", "C"} <= {e["ph"] for e in events}


def test_a_script_may_go_to_another_folder(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path)
    script.write_text(SCRIPT + "    import os\n    os.chdir('there')\n")
    assert main(["profile", str(script), "--trace", "t.json"]) == 0
    assert (tmp_path / "t.json").exists()


@pytest.mark.parametrize("option", ["--trace", "--roofline"])
@pytest.mark.parametrize("name", ["none/t.json", "t.txt"])
def test_where_nothing_can_be_written_nothing_is_run(
    script: Path, tmp_path: Path, capsys: Any, option: str, name: str
) -> None:
    assert main(["profile", str(script), option, str(tmp_path / name)]) == 2
    out, err = capsys.readouterr()
    assert "here" not in out and ("there is no folder" in err or "cannot save as" in err)


def test_a_picture_that_fails_takes_no_text_along(
    script: Path, tmp_path: Path, capsys: Any
) -> None:
    script.write_text("print('idle')\n")
    assert main(["profile", str(script), "--roofline", str(tmp_path / "roof.svg")]) == 2
    out, err = capsys.readouterr()
    assert "python" in out and "nothing to draw" in err


def test_an_optimizers_state_is_in_a_scripts_memory(script: Path, capsys: Any) -> None:
    assert main(["profile", str(script), "--json", "--memory"]) == 0
    memory = json.loads(capsys.readouterr().out)["memory"]
    parameters = 4 * (16 * 32 + 32 + 32 * 4 + 4)
    found = memory["samples"][-1]["by_category"]
    assert found["parameters"] == parameters
    assert found["optimizer state"] == 2 * parameters + 4 * 4
    assert {"net.0", "net.2"} <= {h["path"] for h in memory["holders"]}


@pytest.mark.parametrize(
    ("ending", "status", "said"),
    [
        ("1 / 0", 1, "ZeroDivisionError"),
        ("sys.exit(3)", 3, ""),
        ("sys.exit('no more')", 1, "no more"),
        ("sys.exit()", 0, ""),
    ],
)
def test_what_a_script_did_before_it_left_is_told(
    script: Path, capsys: Any, ending: str, status: int, said: str
) -> None:
    script.write_text(SCRIPT + f"    {ending}\n")
    assert main(["profile", str(script)]) == status
    out, err = capsys.readouterr()
    assert "3 steps of" in out and said in err
    if status == 1 and "Zero" in said:
        assert f'File "{script}", line 23' in err and "profile_command" not in err
    assert state.observers == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "does not exist"), ("def f(:\n", "is no Python script"), ("\0", "is no Python script")],
)
def test_what_is_no_script_is_refused(
    tmp_path: Path, capsys: Any, text: str | None, message: str
) -> None:
    path = tmp_path / "script.py"
    if text is not None:
        path.write_text(text)
    assert main(["profile", str(path)]) == 2
    assert message in capsys.readouterr().err
