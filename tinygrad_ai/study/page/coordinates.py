"""Where the boxes of a picture are, given which modules are open. place.js is this in JavaScript,
because the page places anew whenever a module is opened; a test compares the two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from .layers import Level

WIDTH, HEIGHT = 168.0, 58.0  # of an item or a closed module
BESIDE, UNDER = 22.0, 38.0  # room between boxes, and between rows
NARROW, PORT = 14.0, 12.0  # room beside a bend, and between a port and the next row
PAD, TITLE = 18.0, 24.0  # room inside an open module, and for its name
SWEEPS = 8
LOOSE = 1e-6  # how much a box to which nothing leads counts in its row


@dataclass
class Box:
    """A visible item or module: its left upper corner and size. `open`: a frame around others."""

    name: str
    x: float
    y: float
    w: float
    h: float
    open: bool = False


@dataclass
class Edge:
    """A line through points from what made a value to who uses it, or to the border of a module on
    the way. `arrow`: it ends at a user."""

    source: int
    users: list[int]
    points: list[tuple[float, float]]
    arrow: bool


@dataclass
class Place:
    """A level laid out by itself: centres and sizes of its boxes, its own size."""

    x: dict[str, float] = field(default_factory=dict)
    y: dict[str, float] = field(default_factory=dict)
    size: dict[str, tuple[float, float]] = field(default_factory=dict)
    inner: dict[str, Place] = field(default_factory=dict)
    w: float = 0.0
    h: float = 0.0

    def anchor(self, box: str, path: str, end: bool) -> float:
        """How far from a box's centre a path ends in it: at the port of an open module."""
        if box not in self.inner:
            return 0.0
        source = path.split(">")[0]
        inner = self.inner[box]
        return inner.x[f"<{source}" if end else f">{source}"] - inner.w / 2


def place(levels: list[Level], number: int, open: set[int]) -> Place:
    """One level and all below it that is open."""
    level, found = levels[number], Place()
    own = set(level.boxes)
    for row in level.rows:
        for box in row:
            found.size[box] = (WIDTH, HEIGHT) if box in own else (0.0, 0.0)
            if box[0] == "g" and int(box[1:]) in open:
                inner = found.inner[box] = place(levels, int(box[1:]), open)
                found.size[box] = inner.w, inner.h
    across(level, found)
    framed = number > 0
    left = min([found.x[b] - found.size[b][0] / 2 for b in found.x], default=0.0)
    right = max([found.x[b] + found.size[b][0] / 2 for b in found.x], default=0.0)
    shift = (PAD if framed else 0.0) - left
    found.x = {b: x + shift for b, x in found.x.items()}
    found.w = right - left + (2 * PAD if framed else 0.0)
    down(level, found, framed)
    return found


def across(level: Level, found: Place) -> None:
    """Horizontally: boxes move towards those they are linked to, and never through each other.
    What nothing leads to (a weight) moves towards its users, and not they towards it: so a chain
    of layers is straight."""
    row = {box: at for at, boxes in enumerate(level.rows) for box in boxes}
    links: dict[int, dict[str, list[tuple[str, float]]]]  # those below (1) and above (-1)
    links = {1: defaultdict(list), -1: defaultdict(list)}
    for name, path in level.paths.items():
        for a, b in zip(path, path[1:]):
            offset = found.anchor(a, name, False) - found.anchor(b, name, True)
            step = 1 if row[b] > row[a] else -1
            links[-step][b].append((a, offset))
            links[step][a].append((b, -offset))
    loose = {box for box in level.boxes if not links[-1][box]}
    for boxes in level.rows:
        spread(found, boxes, loose, lambda box: 0.0)
    for sweep in range(SWEEPS):
        last = sweep == SWEEPS - 1
        sides = (-1, 1) if last else (-1,) if sweep % 2 == 0 else (1,)
        for boxes in level.rows if sweep % 2 == 0 or last else level.rows[::-1]:

            def wish(box: str, sides: tuple[int, ...] = sides) -> float:
                near = [pair for side in sides for pair in links[side][box]]
                near = [pair for pair in near if pair[0] not in loose] or near
                places = [found.x[b] + offset for b, offset in near]
                return sum(places) / len(places) if places else found.x[box]

            spread(found, boxes, loose, wish)


def spread(found: Place, boxes: list[str], loose: set[str], wish: Callable[[str], float]) -> None:
    """Puts a row as near as it can be to what its boxes wish (weighted least squares, by pooling
    neighbours that would overlap: Ayer et al., 1955)."""
    offsets, at = [], 0.0
    for k, box in enumerate(boxes):
        if k:
            before = boxes[k - 1]
            room = BESIDE if found.size[box][0] and found.size[before][0] else NARROW
            at += (found.size[before][0] + found.size[box][0]) / 2 + room
        offsets.append(at)
    pools: list[list[float]] = []  # weighted sum, weight, how many
    for box, offset in zip(boxes, offsets):
        weight = LOOSE if box in loose else 1.0 if found.size[box][0] else 3.0
        pools.append([weight * (wish(box) - offset), weight, 1])
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
            total, weight, count = pools.pop()
            pools[-1] = [pools[-1][0] + total, pools[-1][1] + weight, pools[-1][2] + count]
    k = 0
    for total, weight, count in pools:
        for _ in range(int(count)):
            found.x[boxes[k]] = total / weight + offsets[k]
            k += 1


def down(level: Level, found: Place, framed: bool) -> None:
    """Vertically: row below row."""
    y = TITLE if framed else 0.0
    for at, boxes in enumerate(level.rows):
        tall = max([found.size[b][1] for b in boxes], default=0.0)
        for box in boxes:
            found.y[box] = y + tall / 2
            if not found.size[box][0] and box[0] not in "<>":  # a bend passes the whole row
                found.size[box] = 0.0, tall
        last = at == len(level.rows) - 1
        port = boxes[0][0] in "<>" or (not last and level.rows[at + 1][0][0] == ">")
        y += tall + (0.0 if last else PORT if port else UNDER)
    found.h = y + (PAD if framed and level.rows[-1][0][0] != ">" else 0.0)


def picture(levels: list[Level], open: set[int]) -> tuple[list[Box], list[Edge]]:
    """All that is to be drawn; frames come before what they hold."""
    boxes: list[Box] = []
    edges: list[Edge] = []
    draw(levels, 0, place(levels, 0, open), 0.0, 0.0, boxes, edges)
    return boxes, edges


def draw(
    levels: list[Level], number: int, found: Place, x: float, y: float,
    boxes: list[Box], edges: list[Edge],
) -> None:  # fmt: skip
    """One level with its left upper corner at x, y."""
    level = levels[number]
    for name in level.boxes:
        w, h = found.size[name]
        left, top = x + found.x[name] - w / 2, y + found.y[name] - h / 2
        boxes.append(Box(name, left, top, w, h, name in found.inner))
        if name in found.inner:
            draw(levels, int(name[1:]), found.inner[name], left, top, boxes, edges)
    for name, path in level.paths.items():
        forward = found.y[path[0]] < found.y[path[-1]]
        points = []
        for k, box in enumerate(path):
            middle, half = y + found.y[box], found.size[box][1] / 2
            above, under = middle - half, middle + half
            at = x + found.x[box] + found.anchor(box, name, k > 0)
            sides = (above, under) if forward else (under, above)
            if box[0] in "<>":
                sides = (y, y) if box[0] == "<" else (y + found.h, y + found.h)
            before, after = k > 0 or "@" in box, k < len(path) - 1
            points += [(at, sides[0])] * before + [(at, sides[1])] * after
        arrow = found.size[path[-1]][0] > 0 and path[-1] not in found.inner
        edges.append(Edge(int(name.split(">")[0]), level.users[name], points, arrow))
