"""The main job on a GPU or the stand-in: the CPU's losses, files, a run stopped and resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tinygrad_ai.__main__ import main


def run(folder: Path, *options: str) -> list[dict[str, float]]:
    small = ["--out", str(folder), "--hidden", "16", "--batch-size", "200"]
    assert main(["train", *small, *options]) == 0
    found: list[dict[str, float]] = json.loads((folder / "history.json").read_text())
    return found


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_losses_are_the_cpus(gpu: Any, tmp_path: Path, optimizer: str) -> None:
    options = ["--epochs", "2", "--optimizer", optimizer]
    near = run(tmp_path / "near", *options)
    far = run(tmp_path / "far", *options, "--device", "cuda")
    for name in ("loss", "test_loss"):
        np.testing.assert_allclose([x[name] for x in near], [x[name] for x in far], rtol=1e-4)
    weights = [ta.load(tmp_path / d / "model.safetensors") for d in ("near", "far")]
    for name in weights[0]:
        np.testing.assert_allclose(*[w[name].numpy() for w in weights], rtol=2e-3, atol=2e-4)


def test_a_run_is_resumed(gpu: Any, tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", "--epochs", "2", "--device", "cuda")
    run(tmp_path / "half", "--epochs", "1", "--device", "cuda")
    assert main(["train", "--resume", str(tmp_path / "half"), "--epochs", "2"]) == 0
    again = json.loads((tmp_path / "half" / "history.json").read_text())
    assert again[1]["loss"] == whole[1]["loss"]


def test_info_names_the_gpus(cupy: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    assert "in use, cupy: 14.stand-in, gpus: Stand-in 0, Stand-in 1" in capsys.readouterr().out
