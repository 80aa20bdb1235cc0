"""The runner behind `make gpu`: phases that fail, hang or are not there do not stop the others."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import gpu
from benchmarks.gpu import FIGURES, Phase


def python(name: str, code: str, seconds: float = 20, **variables: str) -> Phase:
    return Phase(name, (sys.executable, "-c", code), seconds, variables)


def write(figures: str) -> str:
    return f"import os; open(os.environ[{FIGURES!r}], 'w').write({figures!r})"


PHASES = (
    python("good", write('{"time": 0.5}') + "; print('one'); print('all | well\\n')"),
    python("bad", "import sys; print('broken'); sys.exit(3)"),
    python("slow", "import time; print('waits', flush=True); time.sleep(60)", seconds=1),
    Phase("absent", ("no-such-command",), 5),
    python("told", "import os; print(os.environ['OURS'])", OURS="yes"),
)


def test_every_phase_is_run_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--out", str(tmp_path)], PHASES) == 1
    (file,) = tmp_path.glob("gpu-*.json")
    phases = {p["name"]: p for p in json.loads(file.read_text())["phases"]}
    states = {name: phase["state"] for name, phase in phases.items()}
    assert states == {
        "good": "passed", "bad": "failed", "slow": "too long", "absent": "missing",
        "told": "passed",
    }  # fmt: skip
    assert phases["good"]["figures"] == {"time": 0.5} and phases["slow"]["seconds"] < 20
    said = capsys.readouterr().out.split("== summary")[1]
    assert "all | well" in said and "broken" in said and "no-such-command" in said
    assert "time: 0.5" in said and "yes" in said and "waits" in said
    table = file.with_suffix(".md").read_text()
    assert "all \\| well |" in table and "| time | 0.5 |" in table


def test_only_the_phases_asked_for(tmp_path: Path) -> None:
    assert gpu.main(["--out", str(tmp_path), "--only", "good,told"], PHASES) == 0
    with pytest.raises(SystemExit):
        gpu.main(["--out", str(tmp_path), "--only", "none"], PHASES)


def test_the_whole_ends_in_nine_minutes() -> None:
    assert sum([phase.seconds for phase in gpu.PHASES]) < 9 * 60
