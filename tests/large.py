"""Data of megabytes for tests marked `large`: fetched once, else a skip that says why."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

import pytest

from examples.data import FetchError
from tests.required import required

T = TypeVar("T")


@functools.cache
def _tried(fetch: Callable[[], T]) -> tuple[T | None, str]:
    try:
        return fetch(), ""
    except FetchError as error:
        return None, str(error)


def large(fetch: Callable[[], T]) -> T:
    """What a function of examples/data.py gives. Without the data the test is skipped, or with
    `large` in TINYGRAD_AI_REQUIRE fails.
    """
    found, reason = _tried(fetch)
    if found is not None:
        return found
    if required("large"):
        pytest.fail(reason)
    pytest.skip(reason)
