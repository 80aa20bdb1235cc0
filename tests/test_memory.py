"""The memory that NumPy's arrays come from: reused, bounded, and safe whoever outlives whom."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import tinygrad_ai as ta
from tinygrad_ai.backend import memory, native

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(native.module is None, reason=f"no compiled kernels: {native.reason}"),
]


def source(array: np.ndarray) -> str | None:
    return np._core.multiarray.get_handler_name(array)


@pytest.fixture(autouse=True)
def served() -> None:
    assert memory.use_cache()  # pytest may run a test in a context of its own
    ta.empty_cache()


def test_arrays_come_from_the_cache_and_go_back() -> None:
    before = ta.memory_stats()
    x = np.empty(300_000, np.float32)
    assert source(x) == "tinygrad_ai"
    place, held = x.ctypes.data, ta.memory_stats()["used"] - before["used"]
    assert x.nbytes <= held <= 1.15 * x.nbytes and place % 64 == 0
    del x
    after = ta.memory_stats()
    assert after["used"] == before["used"] and after["kept"] >= held
    again = np.empty(300_000, np.float32)
    assert again.ctypes.data == place
    assert ta.memory_stats()["reused"] == after["reused"] + 1
    assert after["most_used"] >= before["used"] + held


@pytest.mark.parametrize("size", [0, 1, 7, 64, 1000, 4096, 100_001, 262_130, 1_500_000])
def test_zeros_are_zeros_also_where_something_was(size: int) -> None:
    for _ in range(3):
        x = np.empty(size, np.uint8)
        x.fill(255)
        del x
        y = np.zeros(size, np.uint8)
        assert not y.any() and y.size == size
        y.fill(7)
        del y


@pytest.mark.parametrize("size", [1, 10, 3000, 400_000])
def test_an_array_that_grows_and_shrinks_keeps_its_numbers(size: int) -> None:
    x = np.arange(size, dtype=np.float64)
    for other in (2 * size, 9 * size + 5, size, 1):
        x.resize(other, refcheck=False)
        kept = min(size, other)
        np.testing.assert_array_equal(x[:kept], np.arange(kept))
        assert not x[size:].any()


def test_arrays_outlive_an_emptied_cache() -> None:
    x, y = np.ones(500_000), np.ones(500_000)
    del y
    assert ta.memory_stats()["kept"] > 0
    ta.empty_cache()
    assert ta.memory_stats()["kept"] == 0 and x.sum() == 500_000
    del x
    assert ta.memory_stats()["kept"] > 0


def test_a_training_step_fetches_nothing_new() -> None:
    model = ta.nn.Sequential(ta.nn.Linear(50, 600), ta.nn.ReLU(), ta.nn.Linear(600, 10))
    optimizer = ta.optim.Adam(model.parameters())
    x, y = ta.randn(100, 50), ta.randint(0, 10, (100,))

    def step() -> None:
        optimizer.zero_grad()
        ta.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    for _ in range(3):
        step()
    gc.collect()
    before = ta.memory_stats()["fetched"]
    step()
    assert ta.memory_stats()["fetched"] == before


def test_an_array_of_another_thread_comes_from_numpy_and_may_die_here() -> None:
    made: list[np.ndarray] = []
    ours = np.ones(200_000)

    def work(array: list[np.ndarray]) -> None:
        made.append(np.ones(200_000))
        array.clear()  # the last reference to ours

    held = [ours]
    del ours
    thread = threading.Thread(target=work, args=(held,))
    thread.start()
    thread.join()
    assert source(made[0]) in ("default_allocator", "tinygrad_ai")  # by Python's version
    assert made.pop().sum() == 200_000


def run(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "import numpy as np, tinygrad_ai as ta\n" + code],
        env={**os.environ, **env}, capture_output=True, text=True,
    )  # fmt: skip


def test_what_waits_is_bounded() -> None:
    code = (
        "x = [np.ones(100_000) for _ in range(40)]\n"
        "del x\n"
        "s = ta.memory_stats()\n"
        "assert s['limit'] == 8 << 20 and 6 << 20 < s['kept'] <= s['limit'], s\n"
        "print(ta.memory_summary())\n"
    )
    done = run(code, TINYGRAD_AI_CACHE="8")
    assert done.returncode == 0, done.stderr
    assert "of 8.0 MiB, " in done.stdout and "requests reused" in done.stdout


def test_switched_off_or_misspelt() -> None:
    code = "print(np._core.multiarray.get_handler_name(np.ones(9)), ta.memory_summary())"
    done = run(code, TINYGRAD_AI_CACHE="0")
    assert done.stdout.startswith("default_allocator the cache is not used"), done.stderr
    done = run(code, TINYGRAD_AI_CACHE="plenty")
    assert "expected TINYGRAD_AI_CACHE to be a number of MiB, got 'plenty'" in done.stderr


def test_more_than_there_is_is_a_memory_error() -> None:
    with pytest.raises(MemoryError):
        np.empty(1 << 61, np.uint8)
    assert np.ones(5).sum() == 5
