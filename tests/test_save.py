"""Saving and loading: formats, exchange with PyTorch, whole files or none, clear refusals."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import tinygrad_ai as ta
from tinygrad_ai import nn, serialization

STATE = {
    "w": ta.tensor([[1.0, 2.0], [3.0, 4.0]]),
    "scalar": ta.tensor(2.5),
    "empty": ta.zeros(0, 3),
    "mask": ta.tensor([True, False]),
    "ids": ta.tensor([1, 2]),
    "half": ta.tensor([1.5]).half(),
    "strided": ta.arange(6.0).reshape(2, 3).T,
}


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_round_trip(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    ta.save(STATE, path, metadata={"note": "ä"})
    found = ta.load(path)
    assert list(found) == sorted(STATE) or set(found) == set(STATE)
    for name, value in STATE.items():
        assert found[name].dtype == value.dtype and ta.equal(found[name], value)
    assert serialization.load_metadata(path) == {"note": "ä"}
    ta.save(ta.ones(2), path)
    assert ta.equal(ta.load(path), ta.ones(2))


def test_nested_and_shared(tmp_path: Path) -> None:
    shared = ta.ones(2)
    ta.save({"a": {"b": shared, "c": shared}}, tmp_path / "a.safetensors")
    assert set(ta.load(tmp_path / "a.safetensors")) == {"a.b", "a.c"}
    model = nn.Linear(2, 3)
    ta.save(model.state_dict(), tmp_path / "m.npz")
    other = nn.Linear(2, 3)
    other.load_state_dict(ta.load(tmp_path / "m.npz"))
    assert ta.equal(other.weight, model.weight)


def test_exchange_with_pytorch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the reference of this test")
    from safetensors.torch import load_file, save_file

    theirs = {k: torch.tensor(v.numpy().copy()) for k, v in STATE.items()}
    save_file(theirs, tmp_path / "t.safetensors")
    found = ta.load(tmp_path / "t.safetensors")
    for name, value in STATE.items():
        assert found[name].dtype == value.dtype and ta.equal(found[name], value)
    ta.save(STATE, tmp_path / "o.safetensors")
    for name, value in load_file(tmp_path / "o.safetensors").items():
        assert torch.equal(value, theirs[name])


@pytest.mark.parametrize("moment", ["write", "fsync", "replace"])
def test_a_crash_leaves_the_old_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    path = tmp_path / "a.safetensors"
    ta.save({"w": ta.ones(2)}, path)
    before = path.read_bytes()

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError("the disk is full")

    target = {"write": "fdopen", "fsync": "fsync", "replace": "replace"}[moment]
    monkeypatch.setattr(os, target, fail)
    with pytest.raises(OSError, match="the disk is full"):
        ta.save({"w": ta.zeros(1000)}, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_files_that_are_refused(tmp_path: Path) -> None:
    good = tmp_path / "a.safetensors"
    ta.save({"w": ta.ones(1000)}, good)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(good.read_bytes()[:-10])
    with pytest.raises(RuntimeError, match="cut.safetensors is damaged or no safetensors file"):
        ta.load(cut)
    foreign = tmp_path / "f.npz"
    foreign.write_bytes(b"hello")
    with pytest.raises(RuntimeError, match="f.npz is damaged or no npz file"):
        ta.load(foreign)
    pickled = tmp_path / "p.npz"
    np.savez(pickled, a=np.array([{}], dtype=object))
    with pytest.raises(RuntimeError, match="p.npz is damaged or no npz file"):
        ta.load(pickled)
    with pytest.raises(RuntimeError, match="none.npz does not exist"):
        ta.load(tmp_path / "none.npz")


def test_pickle_is_refused() -> None:
    with pytest.raises(RuntimeError) as error:
        ta.load("model.bin")
    assert str(error.value) == (
        "model.bin: pickled files can run any code when they are loaded, and are refused\n"
        "  fix: in PyTorch: safetensors.torch.save_file(torch.load(path), 'model.safetensors')"
    )
    with pytest.raises(RuntimeError, match="expected a file name ending in .safetensors or .npz"):
        ta.save(ta.ones(1), "model.txt")
    with pytest.raises(RuntimeError, match="only tensors can be saved, got int at a.b"):
        ta.save({"a": {"b": 3}}, "model.npz")
