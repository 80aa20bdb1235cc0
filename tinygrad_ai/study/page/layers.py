"""Who stands where: items in modules in modules, each module's content in rows.

A picture of layers (Sugiyama, Tagawa and Toda, 1981), module by module: ranks by longest path,
long edges through an invisible box in every row, the order in a row by barycenters. An edge leaves
a module by a port in its last row and enters one by a port in its first, so that what a module
looks like inside does not depend on whether others are folded. Sizes and coordinates come later
(coordinates.py, and the page itself).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from .collect import Item

SWEEPS = 8


@dataclass
class Level:
    """The content of a module, or of the whole picture.

    Boxes are named by strings: "12" is item 12, "g3" the module that is level 3, "<12" and ">12"
    the ports at which what item 12 made comes in and goes out, "12@4" a bend in row 4 on its way.
    A path is named after item and end, as "12>g3", and lists the boxes it goes through; it may
    begin at a bend of "12>@4", the part that several paths have in common.
    """

    name: str
    label: str
    members: list[int]
    boxes: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    paths: dict[str, list[str]] = field(default_factory=dict)
    users: dict[str, list[int]] = field(default_factory=dict)  # whom each path leads to


def levels(items: list[Item]) -> list[Level]:
    """The whole picture first, then every module with more than one item, outer before inner."""
    found = [Level("", "", list(range(len(items))))]
    for level in found:  # which grows on the way
        unit = units(items, level, found)
        arrange(items, level, unit)
    return found


# ---- what a level holds


def units(items: list[Item], level: Level, found: list[Level]) -> dict[int, str]:
    """The box of each member; makes the levels of the modules below."""
    groups: dict[tuple[str, int], list[int]] = defaultdict(list)
    parts = {i: below(items[i].module, level.name) for i in level.members}
    calls = {p: instances(items, level.members, parts, p) for p in {*parts.values()} - {""}}
    for i in level.members:
        if parts[i]:
            groups[parts[i], calls[parts[i]][i]].append(i)
    unit = {i: str(i) for i in level.members}
    for (part, number), members in groups.items():
        if len(members) < 2:
            continue
        name = f"{level.name}.{part}".lstrip(".")
        again = f" ({number + 1})" if number else ""
        child = Level(name, name.removeprefix(level.name).lstrip(".") + again, members)
        unit.update(dict.fromkeys(members, f"g{len(found)}"))
        found.append(child)
    level.boxes = list(dict.fromkeys(unit.values()))
    return unit


def below(path: str, outer: str) -> str:
    """The next name of a module's path below an outer one: fc1 of encoder.0.fc1 below encoder.0."""
    rest = path[len(outer) :].lstrip(".") if path.startswith(outer) else ""
    return rest.split(".")[0]


def instances(
    items: list[Item], members: list[int], parts: dict[int, str], part: str
) -> dict[int, int]:
    """Which use of a module each item belongs to: a path that has left it and comes back enters
    its next use. So a module that is called twice is two boxes and not a circle. Parameters and
    what is made of them alone belong to the first use that needs them."""
    use: dict[int, int] = {}  # of items in it; of others: the last use before them
    free: dict[int, int] = {}  # of what is made of parameters alone: the first use behind it
    for i in members:
        sources = [s for _, s, _ in items[i].inputs if s is not None]
        inside, before = parts[i] == part, [-1]
        if inside and all([s in free for s in sources]):
            free[i] = len(items)
            continue
        for s in sources:
            came = use.get(s, 0 if s in free and not inside else -1)
            before.append(came + (inside and parts.get(s) != part and came >= 0))
        use[i] = max(0, *before) if inside else max(before)
    for i in reversed(members):
        if i in free:
            use[i] = free[i] if free[i] < len(items) else 0
        for _, source, _ in items[i].inputs if parts[i] == part else ():
            if source is not None and source in free:
                free[source] = min(free[source], use[i])
    return use


# ---- rows and order


def arrange(items: list[Item], level: Level, unit: dict[int, str]) -> None:
    """Fills a level's paths and rows."""
    ends = segments(items, level, unit)
    pairs = list(dict.fromkeys((a, b) for a, b in ends.values() if b[0] != ">" and a[0] != "<"))
    rank = ranks(level.boxes, pairs)
    depth = max(rank.values(), default=0) + 1
    for a, b in ends.values():
        rank.update({end: at for end, at in ((a, -1), (b, depth)) if end[0] in "<>"})
    rows: dict[int, list[str]] = defaultdict(list)
    for box in [*level.boxes, *dict.fromkeys(e for p in ends.values() for e in p if e[0] in "<>")]:
        rows[rank[box]].append(box)
    ways: dict[tuple[str, bool], list[str]] = defaultdict(list)
    for name, (a, b) in ends.items():
        ways[name.split(">")[0], rank[b] > rank[a]].append(name)
    for (source, down), names in ways.items():
        names.sort(key=lambda name: abs(rank[ends[name][1]] - rank[ends[name][0]]))
        trunk(level, source, [(name, *ends[name]) for name in names], rank, rows, 1 if down else -1)
    level.rows = ordered([rows[at] for at in sorted(rows)], list(level.paths.values()))


def trunk(
    level: Level, source: str, ends: list[tuple[str, str, str]], rank: dict[str, int],
    rows: dict[int, list[str]], step: int,
) -> None:  # fmt: skip
    """The paths from one source to all its users on one side, nearest first: one line through the
    rows from which each branches off, so that a weight of many uses is not as many lines."""
    start = ends[0][1]
    line, at = [start], rank[start]
    for k, (name, _, end) in enumerate(ends):
        while at + step != rank[end] and at != rank[end]:
            at += step
            line.append(f"{source}@{at}")
            rows[at].insert(len(rows[at]) // 2, line[-1])  # straight on, between weights
        if len(line) > 1 and k + 1 < len(ends):
            part = f"{source}>@{at}"
            level.paths[part] = line
            level.users[part] = [u for other, _, _ in ends[k:] for u in level.users[other]]
            line = line[-1:]
        level.paths[name] = [*line, end]


def segments(items: list[Item], level: Level, unit: dict[int, str]) -> dict[str, tuple[str, str]]:
    """The two ends of every path of a level: in a box of it, or at a port. Notes whom it serves."""
    inside = set(level.members)
    found = {}
    for i, item in enumerate(items):
        for _, source, _ in item.inputs:
            if source is None or not (i in inside or source in inside):
                continue
            start = unit.get(source, f"<{source}")
            end = unit.get(i, f">{source}")
            if start != end:
                name = f"{source}>{'' if end[0] == '>' else end}"
                found[name] = start, end
                level.users.setdefault(name, []).append(i)
    return found


def ranks(boxes: list[str], pairs: list[tuple[str, str]]) -> dict[str, int]:
    """Longest paths from above; then what makes edges shorter by it comes down to its use: a
    weight, and what is made of such alone, as each step's input of a recurrent network."""
    after: dict[str, list[str]] = {b: [] for b in boxes}
    for a, b in pairs:
        after[a].append(b)
    order = without_circles(boxes, after)
    rank = dict.fromkeys(boxes, 0)
    fed = {b for a in order for b in after[a]}
    above = dict.fromkeys(boxes, 0)  # how many edges come from what has something above it
    for a in order:
        for b in after[a]:
            rank[b] = max(rank[b], rank[a] + 1)
            above[b] += a in fed
    for a in reversed(order):
        if len(after[a]) > above[a]:
            rank[a] = min([rank[b] for b in after[a]]) - 1
    return rank


def without_circles(boxes: list[str], after: dict[str, list[str]]) -> list[str]:
    """An order in which every edge goes forward; edges that close a circle are turned round."""
    order: list[str] = []
    state: dict[str, int] = {}  # 1 on the way, 2 done
    for root in boxes:
        stack = [] if root in state else [(root, iter(list(after[root])))]
        state.setdefault(root, 1)
        while stack:
            box, rest = stack[-1]
            to = next(rest, None)
            if to is None:
                state[box] = 2
                order.append(box)
                stack.pop()
            elif to not in state:
                state[to] = 1
                stack.append((to, iter(list(after[to]))))
            elif state[to] == 1:
                after[box].remove(to)
                after[to].append(box)
    return order[::-1]


def ordered(rows: list[list[str]], paths: list[list[str]]) -> list[list[str]]:
    """The rows in the order, of several sweeps down and up, with the fewest crossings."""
    row = {box: at for at, boxes in enumerate(rows) for box in boxes}
    links: dict[int, dict[str, list[str]]] = {1: defaultdict(list), -1: defaultdict(list)}
    for path in paths:
        for a, b in zip(path, path[1:]):
            above, under = (a, b) if row[a] < row[b] else (b, a)
            links[1][above].append(under)
            links[-1][under].append(above)
    best, fewest = rows, crossings(rows, links[1])
    for sweep in range(SWEEPS):
        rows = swept(rows, links, down=sweep % 2 == 0)
        count = crossings(rows, links[1])
        if count < fewest:
            best, fewest = rows, count
    return best


def swept(rows: list[list[str]], links: Any, down: bool) -> list[list[str]]:
    """Every row sorted by the mean place of its neighbours in the row before it."""
    found = list(rows)
    for at in range(1, len(rows)) if down else range(len(rows) - 2, -1, -1):
        beside = {box: k for k, box in enumerate(found[at - 1 if down else at + 1])}
        near = links[-1 if down else 1]
        key = {}
        for k, box in enumerate(found[at]):
            places = [beside[b] for b in near[box]]
            key[box] = sum(places) / len(places) if places else k
        found[at] = sorted(found[at], key=key.__getitem__)
    return found


def crossings(rows: list[list[str]], under: dict[str, list[str]]) -> int:
    """How often edges between neighbouring rows cross, counted with a Fenwick tree."""
    total = 0
    for upper, lower in zip(rows, rows[1:]):
        place = {box: k for k, box in enumerate(lower)}
        tree, seen = [0] * (len(lower) + 1), 0
        for box in upper:
            ends = sorted([place[b] for b in under.get(box, ())])
            for end in ends:
                before, k = 0, end + 1
                while k > 0:
                    before += tree[k]
                    k -= k & -k
                total += seen - before
            for end in ends:
                k = end + 1
                while k < len(tree):
                    tree[k] += 1
                    k += k & -k
            seen += len(ends)
    return total
