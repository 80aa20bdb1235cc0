"""Runs the faults' tests, first in peace, then with each fault planted; prints who caught what.

All in one process: the tests are collected once. 1 if a fault is caught by no test, or if a test
fails without a fault.
"""

from __future__ import annotations

import json
import re
import sys
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from tests.faults.catalogue import FAULTS
from tests.faults.planting import planted

FILES = sorted({file for fault in FAULTS for file in re.findall(r"tests/\w+\.py", fault.tests)})
MOST = 12  # tests tried for one fault
PROOFS = ("AssertionError", "Failed", "GradcheckError")  # how a test says that a number is wrong


class Planter:
    """A plugin that replaces pytest's loop over the tests."""

    def __init__(self) -> None:
        self.caught: dict[str, list[str]] = {}
        self.broken: list[str] = []
        self.raised = ""

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        self.of = {f.name: [i for i in items if re.search(f.tests, i.nodeid)] for f in FAULTS}
        for name, found in self.of.items():
            step = max(1, len(found) // MOST)
            self.of[name] = found[::step]
        wanted = {i for found in self.of.values() for i in found}
        items[:] = [i for i in items if i in wanted]

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: Any, call: Any) -> Any:
        yield
        if call.excinfo is not None:
            self.raised = call.excinfo.typename

    def pytest_runtestloop(self, session: Any) -> bool:
        self.broken = [i.nodeid for i in session.items if self.fails(i)]
        for fault in FAULTS if not self.broken else []:
            with planted(fault):
                first = next((i.nodeid for i in self.of[fault.name] if self.fails(i)), None)
            self.caught[fault.name] = [first, self.raised] if first else []
        return True

    def fails(self, item: Any) -> bool:
        """Whether a test says that something is wrong; it may run again."""
        if hasattr(item, "_request"):
            item._initrequest()
        reports = runtestprotocol(item, log=False, nextitem=None)
        return any([r.failed for r in reports])


def main(argv: list[str]) -> int:
    planter = Planter()
    quiet = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    with redirect_stdout(StringIO()) as said:
        code = pytest.main([*quiet, *FILES], plugins=[planter])
    if code not in (0, 1):
        print(said.getvalue())
        return 1
    missed = [f.name for f in FAULTS if not planter.caught.get(f.name)]
    odd = [n for n, c in planter.caught.items() if c and c[1] not in PROOFS]
    if "--json" in argv:
        print(json.dumps({"caught": planter.caught, "broken": planter.broken}))
    else:
        for name, found in planter.caught.items():
            print(f"{name:55} {found[0] if found else 'CAUGHT BY NO TEST'}")
        for test in planter.broken:
            print(f"fails without a fault: {test}")
    return 1 if missed or odd or planter.broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
