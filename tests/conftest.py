"""Fixtures of the compiled kernels: every instruction set of this processor, and threads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import tinygrad_ai as ta
from tests.native_help import SETS
from tinygrad_ai.backend import native


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
