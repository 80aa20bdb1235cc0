"""The main job as a user runs it: train, stop, resume, predict, info."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tinygrad_ai.__main__ import main
from tinygrad_ai.data.digits import load_digits
from tinygrad_ai.train.config import Config

SMALL = ["--hidden", "16", "--batch-size", "200"]


def train(run: Path, *options: str) -> int:
    return main(["train", "--out", str(run), *SMALL, *options])


def weights(run: Path) -> dict[str, Any]:
    return ta.load(run / "model.safetensors")


def same(a: Path, b: Path) -> bool:
    first, second = weights(a), weights(b)
    return all(ta.equal(first[k], second[k]) for k in first) and first.keys() == second.keys()


def test_a_run_leaves_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert train(run, "--epochs", "2") == 0
    names = {p.name for p in run.iterdir()}
    assert names == {
        "model.safetensors",
        "history.json",
        "curves.png",
        "config.json",
        "checkpoint.safetensors",
    }
    history = json.loads((run / "history.json").read_text())
    assert [line["epoch"] for line in history] == [1, 2]
    assert history[1]["loss"] < history[0]["loss"] and history[1]["samples_per_second"] > 0
    assert Config.load(run) == Config(epochs=2, hidden=16, batch_size=200)
    assert (run / "curves.png").read_bytes()[:4] == b"\x89PNG"
    text = capsys.readouterr().out
    assert f"test accuracy {history[1]['test_accuracy']:.2%}" in text and "samples/s" in text


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "adamw", "rmsprop"])
def test_same_seed_same_weights_and_resume_is_bit_for_bit(tmp_path: Path, optimizer: str) -> None:
    whole, again, half = tmp_path / "whole", tmp_path / "again", tmp_path / "half"
    options = ("--optimizer", optimizer)
    assert train(whole, "--epochs", "3", *options) == train(again, "--epochs", "3", *options) == 0
    assert same(whole, again)
    assert train(half, "--epochs", "1", *options) == 0
    assert not same(whole, half)
    assert main(["train", "--resume", str(half), "--epochs", "3"]) == 0
    assert same(whole, half)
    assert train(tmp_path / "other", "--epochs", "3", "--seed", "1", *options) == 0
    assert not same(whole, tmp_path / "other")


def test_ctrl_c_saves_and_resume_ends_in_the_same_weights(tmp_path: Path) -> None:
    """The real program, a real signal, in the middle of an epoch."""
    whole, run = tmp_path / "whole", tmp_path / "run"
    options = ["--epochs", "6", "--hidden", "64", "--batch-size", "8"]
    assert main(["train", "--out", str(whole), *options]) == 0
    command = [sys.executable, "-m", "tinygrad_ai", "train", "--out", str(run), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 60
    while not (run / "checkpoint.safetensors").exists():  # the first epoch is done
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 130, text
    assert f"train --resume {run}" in text.replace("\n", "")
    assert not (run / "model.safetensors").exists()
    assert main(["train", "--resume", str(run)]) == 0
    assert same(whole, run)


@pytest.mark.slow
def test_the_defaults_reach_93_percent(tmp_path: Path) -> None:
    assert main(["train", "--out", str(tmp_path / "run")]) == 0
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert len(history) == 10 and history[-1]["test_accuracy"] >= 0.93


def test_idx_data(tmp_path: Path) -> None:
    import gzip
    import struct

    d = load_digits()
    for part, x, y in (
        ("train", d.train_images, d.train_labels),
        ("t10k", d.test_images, d.test_labels),
    ):
        head = struct.pack(">4I", 2051, len(x), 28, 28)
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(
            gzip.compress(head + x.tobytes(), 1)
        )
        head = struct.pack(">2I", 2049, len(y))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(head + y.astype(np.uint8).tobytes())
    assert train(tmp_path / "a", "--epochs", "1", "--data", str(tmp_path)) == 0
    assert train(tmp_path / "b", "--epochs", "1") == 0
    assert same(tmp_path / "a", tmp_path / "b")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("trained") / "run"
    assert main(["train", "--out", str(run), "--epochs", "3", "--hidden", "128"]) == 0
    return run


def test_predict_reads_pictures(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image = pytest.importorskip("PIL.Image", reason="Pillow reads the pictures")
    d = load_digits()
    paths = []
    for i in range(0, 1000, 50):
        pixels = d.test_images[i]
        dark_on_bright = i % 100 == 0
        path = tmp_path / f"{i}.png"
        Image.fromarray(255 - pixels if dark_on_bright else pixels).resize((56, 56)).save(path)
        paths.append(str(path))
    capsys.readouterr()
    assert main(["predict", str(trained), *paths]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = [int(line.split(": ")[1].split()[0]) for line in lines]
    right = sum(a == b for a, b in zip(found, d.test_labels[::50], strict=True))
    assert right >= 17


BAD = [
    (
        ["predict", "{run}", "{tmp}/no.png"],
        "DataError: {tmp}/no.png is no picture that can be read",
    ),
    (
        ["predict", "{tmp}", "x.png"],
        "CheckpointError: {tmp} is no run folder: it has no config.json",
    ),
    (["train", "--data", "{tmp}/nowhere"], "DataError: {tmp}/nowhere is no folder"),
    (["train", "--epochs", "0"], "ArgumentError: expected epochs >= 1, got 0"),
    (["train", "--device", "cuda"], "DeviceError: expected an available device, got cuda"),
    (["train", "--resume", "{tmp}"], "CheckpointError: {tmp} is no run folder"),
]


@pytest.mark.parametrize(
    ("command", "message"), BAD, ids=[" ".join(c[:2]) + str(i) for i, (c, _) in enumerate(BAD)]
)
def test_mistakes_are_explained(
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    message: str,
) -> None:
    names = {"run": trained, "tmp": tmp_path}
    assert main([part.format(**names) for part in command]) == 2
    assert capsys.readouterr().err.startswith(message.format(**names))


def test_a_damaged_checkpoint_is_refused(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert train(run, "--epochs", "1") == 0
    path = run / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(SystemExit, match="only --epochs may change"):
        main(["train", "--resume", str(run), "--lr", "1"])
    assert main(["train", "--resume", str(run), "--epochs", "2"]) == 2
    path.write_bytes((run / "model.safetensors").read_bytes())
    assert main(["train", "--resume", str(run), "--epochs", "2"]) == 2
    with pytest.raises(SystemExit, match="holds a run already"):
        train(run, "--epochs", "1")


def test_info(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["packages"]["numpy"] == np.__version__ and found["blas"]["name"]
    states = found["accelerators"]
    assert all(state["available"] or state["reason"] for state in states.values())
    assert main(["info"]) == 0
    told = capsys.readouterr().out
    for name, state in states.items():
        assert f"{name:<14}{'in use, ' if state['available'] else 'not used: '}" in told


def python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **env}
    )


def test_import_is_light() -> None:
    heavy = "torch cupy matplotlib transformers scipy PIL tokenizers"
    done = python(
        f"import sys, tinygrad_ai; print([m for m in '{heavy}'.split() if m in sys.modules])"
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_an_accelerator_that_must_be_there_is_missed() -> None:
    done = python("import tinygrad_ai", TINYGRAD_AI_CUDA="require")
    assert "DeviceError: TINYGRAD_AI_CUDA=require, but" in done.stderr and done.returncode == 1
    assert python("import tinygrad_ai", TINYGRAD_AI_CUDA="0").returncode == 0
    assert (
        "to be auto, require or 0, got 'maybe'"
        in python("import tinygrad_ai", TINYGRAD_AI_CUDA="maybe").stderr
    )


def test_warnings_of_numpy_stay_silent() -> None:
    code = "import tinygrad_ai as ta; print(ta.log(ta.zeros(1)), (ta.zeros(1) / 0).isnan().item())"
    done = python(code)
    assert done.stderr == "" and done.stdout == "tensor([-inf]) True\n"
