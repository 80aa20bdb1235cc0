"""Fixtures of the compiled kernels: every instruction set of this processor, and threads. And CuPy:
the stand-in, or the real one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import tinygrad_ai as ta
from tests import fakecupy
from tests.native_help import SETS
from tests.required import required
from tinygrad_ai.backend import cuda, native


def pytest_terminal_summary(terminalreporter: Any) -> None:
    found = ", ".join(SETS) if native.module else f"NOT TESTED, {native.reason}"
    terminalreporter.write_line(f"compiled kernels: {found}")


@pytest.fixture(params=SETS)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    before = native.module.isa()
    native.module.use(request.param)
    yield request.param
    native.module.use(before)


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = ta.get_num_threads()
    ta.set_num_threads(request.param)
    yield request.param
    ta.set_num_threads(before)


@pytest.fixture
def cupy() -> Iterator[Any]:
    """The stand-in for CuPy, with two GPUs."""
    with fakecupy.installed() as module:
        yield module


@pytest.fixture
def gpu() -> Iterator[Any]:
    """CuPy itself with TINYGRAD_AI_REQUIRE=gpu, else the stand-in."""
    if required("gpu"):
        yield cuda.load().xp
    else:
        with fakecupy.installed() as module:
            yield module
