"""The CUDA kernels without a GPU: run on the CPU under a simulator.

The programs of tests/cuda run each kernel at awkward sizes, in several orders of the threads, with
sanitizers. Bugs planted on purpose show that the checks can fail.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cuda_help import BUILDS, SOURCES, build, needs_compiler, run
from tests.required import required

PROGRAMS = ["rows", "elementwise", "optim", "norm", "embedding", "attention", "attention_mma"]
ORDERS = ["fwd", "rev", "shuffle:3"]

# A bug, the program that runs into it, and the build that finds it where others may not.
PLANTED = [
    ("REDUCE_BARRIER", "rows", "thread", "data race"),
    ("LABEL_BOUND", "rows", "address", "heap-buffer-overflow"),
    ("ELEMENT_BOUND", "elementwise", "address", "heap-buffer-overflow"),
    ("MASK_BOUND", "elementwise", "address", "heap-buffer-overflow"),
    ("CHUNK_OWNER", "optim", "plain", "FAIL"),
    ("ADAM_BARRIER", "optim", "thread", "data race"),
    ("SLICE_BARRIER", "norm", "thread", "data race"),
    ("RANK_BARRIER", "embedding", "thread", "data race"),
    ("FIRST_OF_ROW", "embedding", "plain", "FAIL"),
    ("TILE_BARRIER", "attention", "thread", "data race"),
    ("WARP_BARRIER", "attention", "thread", "data race"),
    ("QUERY_BARRIER", "attention", "thread", "data race"),
    ("TILE_BOUND", "attention", "address", "heap-buffer-overflow"),
    ("NO_RESCALE", "attention_mma", "plain", "FAIL"),
    ("HALVES_SWAPPED", "attention_mma", "plain", "FAIL"),
    ("MMA_COPY_WAIT", "attention_mma", "plain", "got nan"),
    ("MMA_BARRIER", "attention_mma", "thread", "data race"),
    ("FETCH_BOUND", "attention_mma", "address", "heap-buffer-overflow"),
]


@needs_compiler
@pytest.mark.parametrize("kind", BUILDS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_kernels_run_under_the_simulator(program: str, kind: str, tmp_path: Path) -> None:
    built = build(tmp_path / program, f"kernels_{program}.cpp", *BUILDS[kind])
    for order in ORDERS if kind == "plain" else ["shuffle:5"]:
        status, text = run(built, order)
        assert status == 0 and "PASSED" in text, f"{kind}, {order}:\n{text}"


@needs_compiler
@pytest.mark.parametrize("bug, program, kind, sign", PLANTED, ids=[p[0] for p in PLANTED])
def test_a_planted_bug_is_found(
    bug: str, program: str, kind: str, sign: str, tmp_path: Path
) -> None:
    flags = [flag.replace("address,undefined", "address") for flag in BUILDS[kind]]
    built = build(tmp_path / bug, f"kernels_{program}.cpp", *flags, f"-DPLANT_{bug}")
    status, text = run(built)
    assert status != 0 and sign in text, text


def no_gpu() -> str | None:
    """Why the programs cannot be built for a GPU and run on it, or None."""
    if shutil.which("nvcc") is None:
        return "no nvcc to compile the kernels with"
    if shutil.which("nvidia-smi") is None or subprocess.run(["nvidia-smi", "-L"]).returncode:
        return "no NVIDIA GPU to run the kernels on"
    return None


@pytest.mark.gpu
@pytest.mark.parametrize("program", PROGRAMS)
def test_kernels_run_on_the_gpu(program: str, tmp_path: Path) -> None:
    """The same programs, built by nvcc."""
    reason = no_gpu()
    if reason is not None:
        assert not required("gpu"), reason
        pytest.skip(reason)
    source, target = SOURCES / f"kernels_{program}.cpp", tmp_path / program
    command = ["nvcc", "-x", "cu", "-std=c++17", "-O2", "-arch=native", str(source)]
    done = subprocess.run([*command, "-o", str(target)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    status, text = run(target)
    assert status == 0 and "PASSED" in text, text
