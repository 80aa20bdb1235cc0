"""The simulator proves something: it passes our kernels, and finds the bugs planted into them.

Three builds of tests/cuda/linear_check.cpp, for each finds what the others miss: plain (wrong
numbers, NaN from memory that nobody wrote), with sanitizers of addresses and undefined behaviour,
and with the one of threads (a race is found whatever the order was).
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.cuda_programs import SANITIZERS, TESTS, built

QUIET = {"ASAN_OPTIONS": "detect_leaks=0", "TSAN_OPTIONS": "halt_on_error=1"}


def program(build: str, plant: str = "") -> Path:
    flags = [*SANITIZERS[build], *([f"-DPLANT_{plant}"] if plant else [])]
    name = f"linear-{build}{'-' + plant if plant else ''}"
    return built(name, [(TESTS / "linear_check.cpp", flags)], SANITIZERS[build])


def checked(build: str, kernel: str, plant: str = "", **env: str) -> subprocess.CompletedProcess:
    command = [str(program(build, plant)), kernel]
    env = {**os.environ, **QUIET, **env}
    return subprocess.run(command, capture_output=True, text=True, env=env, errors="replace")


@pytest.mark.parametrize("copies", ["late", "early"])
@pytest.mark.parametrize("order", ["fwd", "rev", "shuffle:5"])
@pytest.mark.parametrize("build", SANITIZERS)
def test_the_kernels_are_clean(build: str, order: str, copies: str) -> None:
    done = checked(build, "all", CUSIM_ORDER=order, CUSIM_ASYNC=copies)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert done.stdout.count("ok  ") == 8 and "FAIL" not in done.stdout


# The bug, the build that finds it, the kernel it sits in, and what is said.
PLANTED = [
    ("TILED_NO_BARRIER", "thread", "tiled", "data race"),
    ("LOAD_PAST_END", "address", "tiled", "heap-buffer-overflow"),
    ("SHARED_PAST_END", "address", "tiled", "heap-buffer-overflow"),
    ("STORE_PAST_END", "address", "tiled", "heap-buffer-overflow"),
    ("BLOCKED_NO_BARRIER", "thread", "blocked", "data race"),
    ("NO_COPY_WAIT", "plain", "tensor_core", "FAIL TF32 nt: off by nan"),
    ("TENSOR_NO_BARRIER", "thread", "tensor_core", "data race"),
    ("MATRICES_SWAPPED", "plain", "tensor_core", "FAIL bfloat16 nn"),
    ("SUM_NO_BARRIER", "thread", "act_grad", "data race"),
    ("SUM_ACROSS_BLOCKS", "thread", "act_grad", "data race"),
    ("COLUMN_PAST_END", "address", "act_grad", "heap-buffer-overflow"),
]


@pytest.mark.parametrize("plant, build, kernel, message", PLANTED)
def test_a_planted_bug_is_found(plant: str, build: str, kernel: str, message: str) -> None:
    done = checked(build, kernel, plant)
    assert done.returncode != 0, f"missed:\n{done.stdout}"
    assert message in done.stdout + done.stderr
    if build == "thread":  # and the line is named
        assert any(f"{file}.cuh:" in done.stderr for file in ("linear", "tensor_core", "act_grad"))
