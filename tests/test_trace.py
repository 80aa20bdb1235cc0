"""The trace of a profile, checked against Chrome's trace event format by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tinygrad_ai as ta
from tinygrad_ai import nn, optim
from tinygrad_ai.errors import ArgumentError
from tinygrad_ai.study import trace
from tinygrad_ai.study.events import Event
from tinygrad_ai.study.timeline import Timeline

EVENTS = [
    Event("forward code", "python", 0.0, 0.001, "", "train.py:3", 0, 0),
    Event("linear", "forward", 0.001, 0.002, "0", "train.py:4", 6400, 512),
    Event("tanh", "forward", 0.003, 0.0005, "1", "train.py:4", 40, 320),
    Event("walk", "walk", 0.0035, 0.0001, "", "train.py:5", 0, 0),
    Event("tanh", "backward", 0.0036, 0.0004, "1", "train.py:4", 120, 480),
    Event("linear", "backward", 0.004, 0.003, "0", "train.py:4", 12800, 1024),
    Event("Adam", "optimizer", 0.007, 0.001, "", "train.py:6", 500, 900),
]


def memory() -> Timeline:
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh())
    optimizer = optim.Adam(model.parameters())
    ticks = iter(range(1000))
    with Timeline(model, optimizer, clock=lambda: next(ticks) / 1e4) as found:
        model(ta.ones(3, 4)).sum().backward()
        optimizer.step()
    return found


def read(path: Path) -> list[dict[str, Any]]:
    found = json.loads(path.read_text())
    assert set(found) == {"traceEvents", "displayTimeUnit"} and found["displayTimeUnit"] == "ms"
    return found["traceEvents"]


def test_the_format(tmp_path: Path) -> None:
    path = trace.write(EVENTS, tmp_path / "trace.json", memory())
    every = read(path)
    for e in every:
        assert isinstance(e["name"], str) and e["name"] and e["ph"] in "XCM"
        assert type(e["pid"]) is int and type(e["tid"]) is int and e["ts"] >= 0
        assert isinstance(e["args"], dict)
        assert ("dur" in e) == (e["ph"] == "X")
    assert [e["ts"] for e in every] == sorted(e["ts"] for e in every)
    rows = {e["tid"]: e["args"]["name"] for e in every if e["name"] == "thread_name"}
    assert list(rows.values()) == ["forward", "backward", "optimizer", "python"]
    order = {e["tid"]: e["args"]["sort_index"] for e in every if e["name"] == "thread_sort_index"}
    assert sorted(rows, key=order.__getitem__) == list(rows)
    assert {e["tid"] for e in every if e["ph"] == "X"} <= set(rows)


def test_work_is_where_it_was_and_sums_to_the_events(tmp_path: Path) -> None:
    every = read(trace.write(EVENTS, tmp_path / "trace.json"))
    work = [e for e in every if e["ph"] == "X"]
    assert len(work) == len(EVENTS) and not [e for e in every if e["ph"] == "C"]
    for e, event in zip(work, EVENTS):
        assert (e["name"], e["cat"]) == (event.name, event.kind)
        assert e["ts"] == pytest.approx(1e6 * event.start)
        assert e["dur"] == pytest.approx(1e6 * event.seconds)
        for key in ("path", "place", "flops", "bytes"):
            assert e["args"].get(key, type(getattr(event, key))()) == getattr(event, key)
    assert sum(e["dur"] for e in work) == pytest.approx(8000)
    forward = next(e["tid"] for e in work if e["cat"] == "forward")
    assert sum(e["dur"] for e in work if e["tid"] == forward) == pytest.approx(2500)
    walk = {e["tid"] for e in work if e["cat"] in ("walk", "backward")}
    assert len(walk) == 1


def test_work_in_a_row_lies_apart_or_inside(tmp_path: Path) -> None:
    inner = Event("exp", "forward", 0.0015, 0.0005, "0", "", 1, 8)
    work = [e for e in read(trace.write([inner, *EVENTS], tmp_path / "t.json")) if e["ph"] == "X"]
    for row in {e["tid"] for e in work}:
        ends: list[float] = []
        for e in [e for e in work if e["tid"] == row]:
            while ends and ends[-1] <= e["ts"] + 1e-6:
                ends.pop()
            assert not ends or e["ts"] + e["dur"] <= ends[-1] + 1e-6
            ends.append(e["ts"] + e["dur"])


def test_memory_is_a_counter(tmp_path: Path) -> None:
    found = memory()
    counters = [e for e in read(trace.write([], tmp_path / "t.json", found)) if e["ph"] == "C"]
    assert [e["args"] for e in counters] == [s.by_category for s in found.samples]
    assert {e["name"] for e in counters} == {"memory, bytes"}
    for e, sample in zip(counters, found.samples):
        assert e["ts"] == pytest.approx(1e6 * sample.seconds)


@pytest.mark.parametrize("name", ["trace.txt", "trace", "trace.json.gz"])
def test_other_files(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArgumentError, match=r"cannot save as '.*'\n.*use .json"):
        trace.write(EVENTS, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="there is no folder"):
        trace.write(EVENTS, tmp_path / "nowhere" / "trace.json")


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (
            Event("x", "sideways", 0, 1, "", "", 0, 0),
            "expected an event's kind to be one of forward",
        ),
        (Event("x", "forward", -1, 1, "", "", 0, 0), "expected times from 0 on, got -1 and 1 of x"),
        (Event("x", "forward", 0, float("nan"), "", "", 0, 0), "expected times from 0 on"),
        (Event("x", "forward", float("inf"), 1, "", "", 0, 0), "expected times from 0 on"),
    ],
)
def test_events_that_are_none(tmp_path: Path, event: Event, message: str) -> None:
    before = tmp_path / "trace.json"
    before.write_text("kept")
    with pytest.raises(ArgumentError, match=message):
        trace.write([*EVENTS, event], before)
    assert before.read_text() == "kept"
