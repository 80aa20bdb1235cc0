"""The graph of a loss: its items, statistics, layout and formats, with nothing changed."""

from __future__ import annotations

import copy
import json
import math
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import tinygrad_ai as ta
from tests.page_help import broken, encoder, mlp
from tinygrad_ai import nn, study
from tinygrad_ai.__main__ import main
from tinygrad_ai.autograd.checkpoint import checkpoint
from tinygrad_ai.autograd.function import Function
from tinygrad_ai.errors import ArgumentError, CheckpointError, GradError, GraphFreedError
from tinygrad_ai.models import MLP
from tinygrad_ai.study.page import colours, labels
from tinygrad_ai.study.page.coordinates import Box, picture
from tinygrad_ai.study.page.graph import Graph, Structure
from tinygrad_ai.study.page.stats import BINS, stats


def items(found: Graph) -> list[tuple[str, str, str]]:
    return [(i.kind, i.name, i.module) for i in found.structures[-1].items]


# ---- statistics


def test_statistics_are_numpys() -> None:
    x = np.random.default_rng(0).standard_normal((30, 40))
    x[0, :3] = 0
    s = stats([x])
    assert s is not None
    assert (s.size, s.nan, s.inf, s.minus_inf) == (1200, 0, 0, 0)
    assert s.norm == pytest.approx(np.linalg.norm(x), rel=1e-14)
    assert (s.min, s.max, s.mean, s.std) == pytest.approx((x.min(), x.max(), x.mean(), x.std()))
    assert s.zeros == 3 / 1200
    assert s.histogram == np.histogram(x, BINS)[0].tolist()


def test_statistics_of_what_is_not_finite() -> None:
    s = stats([np.array([np.nan, np.inf, -np.inf, 1, 3])])
    assert s is not None and (s.nan, s.inf, s.minus_inf) == (1, 1, 1)
    assert (s.min, s.max, s.mean, sum(s.histogram)) == (1, 3, 2, 2)
    assert math.isnan(s.norm) and s.to_dict()["norm"] is None
    mask = stats([np.array([-np.inf, 0])])
    assert mask is not None and mask.bad_grad and not mask.bad_value
    all_bad = stats([np.array([np.nan])])
    assert all_bad is not None and all_bad.mean is None and all_bad.histogram == []
    assert stats([np.zeros(0)]) is None and stats([None]) is None
    equal = stats([np.full(5, 1e308), np.full(5, -1e308)])
    assert equal is not None and sum(equal.histogram) == 10  # the range overflows


# ---- what is on the page


def test_the_items_of_an_mlp() -> None:
    model = MLP(hidden=16)
    with study.record() as calls:
        loss = nn.CrossEntropyLoss()(model(ta.rand(4, 28, 28)), ta.tensor([1, 2, 3, 4]))
    found = study.graph(loss, model, calls=calls)
    assert items(found) == [
        ("data", "reshape", "flatten"), ("leaf", "fc1.weight", "fc1"), ("leaf", "fc1.bias", "fc1"),
        ("op", "linear", "fc1"), ("leaf", "fc2.weight", "fc2"), ("leaf", "fc2.bias", "fc2"),
        ("op", "linear", "fc2"), ("op", "cross_entropy", ""),
    ]  # fmt: skip
    structure = found.structures[0]
    linear = structure.items[3]
    assert [(i.name, i.source) for i in linear.inputs] == [("x", 0), ("w", 1), ("b", 2)]
    assert linear.shape == (4, 16) and linear.dtype == "float32"
    assert linear.formula == (
        "z = x⟨4×784⟩ @ w⟨16×784⟩ᵀ + b⟨16⟩; y⟨4×16⟩ = relu(z); gz = g⟨4×16⟩ relu'(z); "
        "gw⟨16×784⟩ = gzᵀ @ x⟨4×784⟩; gb⟨16⟩ = gz"
    )
    steps = study.explain(loss, model, record=calls).steps
    formulas = [structure.items[i].formula for i in structure.walk]
    assert formulas == ["; ".join(step.formulas) for step in steps]
    assert linear.attrs == {"act": "'relu'"}
    assert structure.items[7].attrs["target"].startswith("int64 (4,)")
    assert re.search(r"test_page\.py:\d+$", linear.place) and "CrossEntropyLoss" in linear.code
    assert structure.walk == [7, 6, 3]
    assert structure.classes["fc1"] == "Linear" and structure.opened() == {1, 2}


def test_gradients_and_values_are_those_of_the_pass() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    x = ta.randn(5, 3)
    with study.record() as calls:
        h = model[1](model[0](x))
        loss = (model[2](h) ** 2).mean()
    found = study.graph(loss, model, calls=calls)
    h.retain_grad()
    loss.backward()
    frame = found.frames[0]
    by_name = {i.name: k for k, i in enumerate(found.structures[0].items)}
    for name, p in model.named_parameters():
        for mine, theirs in ((frame.grads, p.grad), (frame.values, p.detach())):
            s = mine[by_name[name]]
            assert s is not None
            assert s.norm == pytest.approx(np.linalg.norm(theirs.numpy()), rel=1e-6)
            assert s.mean == pytest.approx(float(theirs.mean()), rel=1e-4, abs=1e-7)
    tanh = by_name["tanh"]
    value, grad = frame.values[tanh], frame.grads[tanh]
    assert value is not None and grad is not None
    assert value.norm == pytest.approx(np.linalg.norm(h.detach().numpy()), rel=1e-6)
    assert grad.norm == pytest.approx(np.linalg.norm(h.grad.numpy()), rel=1e-6)
    assert frame.loss == loss.item()


def test_it_changes_nothing() -> None:
    ta.manual_seed(3)
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2))
    adam = ta.optim.Adam(model.parameters())
    x = ta.randn(5, 3)
    for _ in range(2):
        adam.zero_grad()
        loss = (model(x) ** 2).sum()
        loss.backward()
        adam.step()
    loss = (model(x) ** 2).sum()

    def state() -> Any:
        slots = [{k: getattr(v, "tolist", lambda v=v: v)() for k, v in s.items()}
                 for s in adam.state.values()]  # fmt: skip
        weights = [(p.tolist(), p.grad.tolist(), p._version) for p in model.parameters()]
        return copy.deepcopy([weights, slots, ta.get_rng_state().tolist()])

    before = state()
    study.graph(loss, model)._repr_html_()
    with study.graph_recorder(model) as rec:
        rec.step(loss)
    assert state() == before
    passed = study.taken_apart(loss).leaves
    wanted = [p.grad.numpy() + passed[p.node] for p in model.parameters()]
    loss.backward()  # the tape was not freed, and gradients add up as ever
    for p, g in zip(model.parameters(), wanted, strict=True):
        np.testing.assert_array_equal(p.grad.numpy(), g)


def test_modules_are_found_without_a_recording() -> None:
    plain, exact = encoder(), encoder(calls=True)
    theirs = {(i.kind, i.name, i.module) for i in exact.structures[0].items if i.kind != "data"}
    mine = {(i.kind, i.name, i.module) for i in plain.structures[0].items if i.kind != "data"}
    assert mine == theirs
    assert {"layers.1.self_attn", "layers.1.norm2", "layers.1"} < {module for *_, module in mine}
    assert any(v is None for v in plain.frames[0].values)  # the tape does not keep everything
    assert all(v is not None for v in exact.frames[0].values[-5:])


def test_a_module_used_twice_is_two_boxes() -> None:
    block = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    model = nn.ModuleList([block])
    with study.record() as calls:
        loss = block(block(ta.ones(1, 3)).sin()).sum()
    structure = study.graph(loss, model, calls=calls).structures[0]
    inside = [(x.label, [structure.items[i].name for i in x.members]) for x in structure.levels]
    assert inside[1:3] == [
        ("0", ["0.0.weight", "0.0.bias", "linear", "tanh"]),
        ("0 (2)", ["linear", "tanh"]),
    ]
    boxes, _ = picture(structure.levels, set())
    assert [b.name for b in sorted(boxes, key=lambda b: b.y)][-4:] == ["g1", "5", "g2", "8"]


def test_modules_that_call_each_other_in_a_circle() -> None:
    model = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    a, b = model
    loss = (b(a(ta.ones(1, 2))) + a(b(ta.zeros(1, 2)))).sum()
    found = study.graph(loss, model)
    structure = found.structures[0]
    boxes, edges = picture(structure.levels, set())
    assert len(boxes) == len(structure.levels[0].boxes) and len(edges) >= 3
    check_picture(structure, set())


def test_several_outputs_are_one_item() -> None:
    x = ta.tensor([[2.0, 1.0], [0.0, 3.0]], requires_grad=True)
    with study.record() as calls:
        q, r = ta.linalg.qr(x)
        loss = q.sum() + r.sum()
    found = study.graph(loss, calls=calls)
    names = [name for _, name, _ in items(found)]
    assert names == ["x", "linalg_qr", "sum", "sum", "add"] or names.count("sum") == 2
    qr = found.structures[0].items[1]
    assert qr.shape == ((2, 2), (2, 2))
    grad = found.frames[0].grads[1]
    assert grad is not None and grad.size == 8 and grad.norm == pytest.approx(math.sqrt(8))


def test_functions_of_the_user_and_checkpoints() -> None:
    class Cube(Function):
        """y = x³;   gx = 3 g x²"""

        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return 3 * g * x * x

    x = ta.tensor([1.0, 2.0], requires_grad=True)
    found = study.graph(checkpoint(lambda t: t.exp(), Cube.apply(x)).sum())
    assert items(found) == [
        ("leaf", "x", ""), ("op", "Cube", ""), ("op", "exp", ""), ("op", "sum", ""),
    ]  # fmt: skip
    assert [i.formula.split(";")[0] for i in found.structures[0].items[1:3]] == [
        "y = x³", "y = eˣ",
    ]  # fmt: skip


def test_tensors_on_a_gpu(cupy: Any) -> None:
    x = ta.tensor([3.0, 4.0], device="cuda", requires_grad=True)
    frame = study.graph((x * 2).sum()).frames[0]
    assert [s and s.norm for s in frame.values] == [5.0, None, 14.0]
    grad = frame.grads[0]
    assert grad is not None and grad.norm == pytest.approx(math.sqrt(8))


def test_where_a_nan_comes_from() -> None:
    frame = broken().frames[0]
    assert frame.origin == (1, "backward") and frame.bad == [(1, 0)]
    x = ta.tensor([-1.0, 1.0], requires_grad=True)
    found = study.graph((x.log() * 2).sum())
    assert found.frames[0].origin == (1, "forward")
    assert found.structures[0].items[1].name == "log"
    masked = study.graph((x + ta.tensor([0.0, -math.inf])).softmax(0).sum())
    assert masked.frames[0].origin is None  # minus infinity is a mask
    with study.record() as calls:
        hidden = x.masked_fill(ta.tensor([True, False]), -math.inf).softmax(0).sum()
    assert study.graph(hidden, calls=calls).frames[0].origin is None
    zero = ta.tensor([0.0, 1.0], requires_grad=True)
    with study.record() as calls:
        made = zero.log().softmax(0).sum()  # here it is none: log made it
    frame = study.graph(made, calls=calls).frames[0]
    assert frame.origin == (1, "forward") and frame.spoilt == [1]


@pytest.mark.parametrize("scale", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_can_be_saved(scale: float, tmp_path: Path) -> None:
    found = study.graph((ta.ones(2, requires_grad=True) * scale).sum())
    found.history = [{"loss": 1.0}, {"loss": scale}]
    word = {"nan": "NaN", "inf": "∞", "-inf": "-∞"}[str(scale)]
    told = json.loads(found.save(tmp_path / "graph.json").read_text())
    assert told["frames"][0]["loss"] == told["history"][1]["loss"] == word
    for suffix in ("html", "svg", "dot", "mmd"):
        found.save(tmp_path / f"graph.{suffix}")
    assert found._repr_html_()


def test_mistakes() -> None:
    x = ta.ones(2, requires_grad=True)
    with pytest.raises(ArgumentError, match="expected a tensor to start from, got float"):
        study.graph(1.0)
    with pytest.raises(ArgumentError, match=r"expected the calls of record\(\), got int"):
        study.graph(x.sum(), calls=3)
    with pytest.raises(ArgumentError, match="expected an nn.Module as the model, got int"):
        study.graph(x.sum(), 3)
    with pytest.raises(GradError, match="nothing to draw: this tensor is a leaf"):
        study.graph(x)
    with pytest.raises(GradError, match="nothing to draw: this tensor has no history"):
        study.graph(ta.ones(2))
    with pytest.raises(GradError):
        study.graph(x * 2)  # more than one number needs a gradient to start from
    assert study.graph(x * 2, gradient=ta.ones(2)).frames[0].loss is None
    loss = (x * x).sum()
    loss.backward()
    with pytest.raises(GraphFreedError):
        study.graph(loss)
    with pytest.raises(ArgumentError, match=r"cannot save a graph as 'a.png'\n.*\.html"):
        study.graph(x.sum()).save("a.png")


# ---- layout


def check_picture(structure: Structure, open: set[int]) -> None:
    """No box touches another, all lie in their frames, lines end at boxes and go down."""
    boxes, edges = picture(structure.levels, open)
    by_name = {b.name: b for b in boxes}
    plain = [b for b in boxes if not b.open]
    for k, a in enumerate(plain):
        for b in plain[:k]:
            apart = (a.x >= b.x + b.w, b.x >= a.x + a.w, a.y >= b.y + b.h, b.y >= a.y + a.h)
            assert any(apart), (a, b)
    for number in open:
        frame = by_name.get(f"g{number}")
        for box in structure.levels[number].boxes if frame else ():
            inside = by_name[box]
            assert frame is not None and within(inside, frame), (inside, frame)
    for edge in edges:
        ys = [y for _, y in edge.points]
        assert ys == sorted(ys) or ys == sorted(ys, reverse=True)
        if edge.arrow:
            (x, y), up = edge.points[-1], edge.points[0][1] > edge.points[-1][1]
            ends = [b for b in plain if abs(b.x + b.w / 2 - x) < 1e-6
                    and abs(b.y + (b.h if up else 0) - y) < 1e-6]  # fmt: skip
            assert len(ends) == 1


def within(a: Box, b: Box) -> bool:
    return (
        a.x >= b.x and a.y >= b.y + 10 and a.x + a.w <= b.x + b.w and a.y + a.h <= b.y + b.h + 1e-9
    )


@pytest.mark.parametrize("made", [encoder, mlp, broken], ids=lambda f: f.__name__)
def test_the_picture_is_tidy(made: Any) -> None:
    structure = made().structures[0]
    every = set(range(1, len(structure.levels)))
    for open in (set(), {1}, every, structure.opened()):
        check_picture(structure, open)


def test_every_edge_is_drawn_once_from_maker_to_user() -> None:
    structure = encoder().structures[0]
    _, edges = picture(structure.levels, set(range(1, len(structure.levels))))
    arrows = sorted((e.source, u) for e in edges if e.arrow for u in e.users)
    wanted = {
        (s, k) for k, i in enumerate(structure.items) for _, s, _ in i.inputs if s is not None
    }
    assert arrows == sorted(wanted)


def test_a_chain_is_straight_and_a_skip_goes_around() -> None:
    x = ta.ones(2, requires_grad=True)
    boxes, _ = picture(study.graph(x.exp().sin().sum()).structures[0].levels, set())
    assert len({b.x for b in boxes}) == 1 and len({b.y for b in boxes}) == 4
    structure = study.graph((x + x.exp().sin()).sum()).structures[0]
    _, edges = picture(structure.levels, set())
    (skip,) = [e for e in edges if e.source == 0 and e.users == [3]]
    assert len({round(px) for px, _ in skip.points}) > 1


def test_weights_do_not_bend_a_chain() -> None:
    h = ta.ones(2, 2)
    for _ in range(30):
        h = (h @ ta.ones(2, 2, requires_grad=True)).tanh()
    structure = study.graph(h.sum()).structures[0]
    boxes, _ = picture(structure.levels, set())
    places = {b.x for b in boxes if structure.items[int(b.name)].kind == "op"}
    assert max(places) - min(places) < 1
    check_picture(structure, set())


def test_a_weight_of_many_uses_is_one_line_with_branches() -> None:
    w, h = ta.ones(2, 2, requires_grad=True), ta.ones(2, 2)
    for _ in range(40):
        h = (h @ w).tanh()
    structure = study.graph(h.sum()).structures[0]
    level = structure.levels[0]
    assert sum([len(row) for row in level.rows]) < 4 * len(structure.items)
    check_picture(structure, set())
    _, edges = picture(structure.levels, set())
    (leaf,) = [i for i, item in enumerate(structure.items) if item.kind == "leaf"]
    lines = [e for e in edges if e.source == leaf]
    assert sorted([u for e in lines if e.arrow for u in e.users]) == [
        k for k, item in enumerate(structure.items) if leaf in [i.source for i in item.inputs]
    ]
    ends = {e.points[-1] for e in lines if not e.arrow}  # where the branches begin
    assert len(ends) >= 38
    starts = {e.points[0] for e in lines}
    assert all([any([x == u and y >= v for u, v in starts]) for x, y in ends])


def test_what_is_made_of_data_alone_stands_near_its_use() -> None:
    cell, h = nn.RNNCell(3, 4), ta.zeros(2, 4)
    for _ in range(20):
        h = cell(ta.ones(2, 3), h)
    structure = study.graph(h.sum(), cell).structures[0]
    (level,) = structure.levels
    assert sum([len(row) for row in level.rows]) < 4 * len(structure.items)
    row = {box: at for at, boxes in enumerate(level.rows) for box in boxes}
    data = [i for i, item in enumerate(structure.items) if item.kind == "data"]
    for i in data:
        users = [
            k for k, item in enumerate(structure.items) if i in [x.source for x in item.inputs]
        ]
        assert row[str(i)] == min([row[str(k)] for k in users]) - 1
    assert len({row[str(i)] for i in data}) > 15


@pytest.mark.parametrize("form", ["svg", "dot", "mermaid"])
def test_the_scale_is_found_once(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked = encoder(1), []
    scale = found.scale()
    monkeypatch.setattr(Graph, "scale", lambda own: asked.append(own) or scale)
    getattr(found, form)()
    assert len(asked) == 1


def test_sweeps_take_crossings_out() -> None:
    from tinygrad_ai.study.page.layers import crossings, ordered

    rows = [["a", "b", "c"], ["d", "e", "f"]]
    paths = [["a", "f"], ["b", "e"], ["c", "d"]]
    under = {a: [b] for a, b in paths}
    assert crossings(rows, under) == 3
    assert crossings(ordered(rows, paths), under) == 0


# ---- colours and labels


def test_colours() -> None:
    low, middle, high = (stats([np.array([v])]) for v in (1e-4, 1e-2, 1.0))
    scale = (-4, 0)
    assert colours.colour(low, scale) == colours.RAMP[0]
    assert colours.colour(high, scale) == colours.RAMP[-1]
    assert colours.colour(middle, scale) == colours.mixed(0.5)
    assert colours.colour(stats([np.array([np.nan])]), scale) == colours.BAD
    assert colours.colour(stats([np.zeros(2)]), scale) == colours.ZERO
    assert colours.colour(None, scale) is None
    for fill in (*colours.RAMP, colours.BAD, colours.ZERO):
        assert contrast(fill, colours.ink(fill)) >= 4.5  # WCAG 2, level AA


def test_what_rounding_left_does_not_stretch_the_colours() -> None:
    w = [ta.ones(1, requires_grad=True) for _ in range(30)]
    loss = sum(((p * 1.0) for p in w[1:]), start=w[0] * 1e-15).sum()
    found = study.graph(loss)
    assert found.scale() == (0, 1) and found.logarithms()[0] == pytest.approx(-15)
    near = sum(((p * 1.0) for p in w[1:]), start=w[0] * 2e-2).sum()
    assert study.graph(near).scale() == (-2, 0)
    few = study.graph((w[0] * 1e-3 + w[1]).sum())
    assert few.scale()[0] == -3  # of a few none is left out


def contrast(a: str, b: str) -> float:
    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        bent = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), bent, strict=True))

    dark, bright = sorted((light(a), light(b)))
    return (bright + 0.05) / (dark + 0.05)


def test_a_folded_module_has_the_norm_of_its_parameters() -> None:
    found = mlp(1)
    frame, structure = found.frames[0], found.structures[0]
    grad = labels.gradient(structure, frame, 1)
    norms = [g.norm for i in (1, 2) if (g := frame.grads[i]) is not None]
    assert grad is not None and grad.norm == pytest.approx(math.hypot(*norms))


def test_a_parameters_label_says_which_it_is() -> None:
    model = nn.Module()
    model.a, model.b = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    loss = (model.a.weight + model.b.weight).sum() + model.a(ta.ones(1, 2)).sum()
    structure = study.graph(loss, model).structures[0]
    leaves = [i for i, item in enumerate(structure.items) if item.kind == "leaf"]
    drawn = [labels.title(structure, i) for i in leaves]
    assert sorted(drawn) == ["b.weight", "weight"]  # b has no frame, a has one


# ---- formats


def test_svg() -> None:
    found = encoder()
    for dark in (False, True):
        root = ElementTree.fromstring(found.svg(dark))
        texts = ["".join(t.itertext()) for t in root.iter() if t.tag.endswith("text")]
        assert {"x", "pow", "mean", "layers ModuleList"} <= set(texts)
        assert root[0].text == "Graph of TransformerEncoder: 77 ops, 36 leaves"
    assert 'stroke="#d62839"' in broken().svg().replace("'", '"')
    assert 'stroke="#d62839"' not in found.svg().replace("'", '"')


def test_dot_and_mermaid() -> None:
    found = mlp(1)
    dot, mermaid = found.dot(), found.mermaid()
    assert dot.count(" -> ") == mermaid.count(" --> ") == 7
    assert dot.count("subgraph") == mermaid.count("subgraph") == 2
    assert dot.count("{") == dot.count("}")
    assert 'n1 [label="weight\\n(32, 784)\\n‖y‖ ' in dot and "shape=ellipse" in dot
    assert 'n1(["weight<br/>(32, 784)<br/>‖y‖ ' in mermaid
    assert "style n1 fill:#" in mermaid and mermaid.startswith("flowchart TD\n")
    model = nn.Module()
    model._parameters['a"\\<b'] = nn.Parameter(ta.ones(2))
    odd = study.graph(model._parameters['a"\\<b'].sum(), model)
    assert r"a\"\\<b" in odd.dot() and "a#quot;\\#lt;b" in odd.mermaid()


def test_files(tmp_path: Path) -> None:
    found = mlp(2)
    for suffix in (".html", ".svg", ".dot", ".gv", ".mmd", ".json"):
        path = found.save(tmp_path / f"graph{suffix}")
        assert path.read_text() == {
            ".html": found.html, ".svg": found.svg, ".dot": found.dot, ".gv": found.dot,
            ".mmd": found.mermaid, ".json": found.json,
        }[suffix]()  # fmt: skip
    told = json.loads((tmp_path / "graph.json").read_text())
    assert [f["step"] for f in told["frames"]] == [0, 2]
    assert told["frames"][0]["grads"][1]["size"] == 32 * 784
    assert told == json.loads(json.dumps(found.to_dict()))


def test_the_page_is_one_small_file() -> None:
    page = mlp(20, hidden=1024).html()
    assert len(page.encode()) < 2_000_000
    links = re.findall(r"(?:src|href)=|url\(|@import|https?://[^\"')\s]+", page)
    assert set(links) <= {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert "default-src 'none'" in page
    assert page.count("<script") == 2 == page.count("</script>")


def test_notebooks_show_it() -> None:
    shown = mlp(1)._repr_html_()
    assert shown.startswith('<iframe title="graph of MLP"') and shown.endswith("</iframe>")
    assert shown.count('"') == 6  # all of the document's are escaped


# ---- steps


def test_the_recorder_takes_each_nth_step() -> None:
    found = mlp(3)
    assert [f.step for f in found.frames] == [0, 2, 4]
    assert len(found.structures) == 1
    losses = [f.loss for f in found.frames]
    assert losses == sorted(losses, reverse=True)
    assert repr(found) == "<Graph of MLP: 3 ops, 4 leaves, 3 steps; .save('graph.html')>"
    low, high = found.scale()
    norms = [g.norm for f in found.frames for g in f.grads if g]
    assert 10.0**low <= min(norms) and max(norms) <= 10.0**high


def test_the_recorder_sees_what_one_look_sees() -> None:
    model, x = nn.Linear(3, 2), ta.ones(4, 3)
    with study.graph_recorder(model) as rec:
        loss = (model(x) ** 2).sum()
        rec.step(loss)
    with study.record() as calls:
        again = (model(x) ** 2).sum()
    once = study.graph(again, model, calls=calls)
    assert rec.graph().frames[0] == once.frames[0]


def test_another_structure_is_kept_apart() -> None:
    w = ta.ones(3, requires_grad=True)
    with study.graph_recorder() as rec:
        for step in range(4):
            rec.step(((w * 2).exp() if step % 2 else w * 2).sum())
    found = rec.graph()
    assert [f.structure for f in found.frames] == [0, 1, 0, 1] and len(found.structures) == 2


def test_the_recorder_keeps_no_arrays_and_leaves_the_door() -> None:
    from tinygrad_ai.autograd.mode import state

    before = state.observers
    with study.graph_recorder(every=3) as rec:
        w = ta.ones(3, requires_grad=True)
        loss = (w * 2).sum()
        assert rec.calls is not None and len(rec.calls.calls) == 2
        rec.step(loss)
        (w * 2).sum()
        assert rec.calls is None  # two steps follow that nobody looks at
    assert state.observers == before
    with pytest.raises(GradError, match="outside of the recorder's with block"):
        rec.step(loss)


def test_the_recorders_mistakes() -> None:
    for every in (0, -1, 2.5, True):
        with pytest.raises(ArgumentError, match="expected every >= 1"):
            study.graph_recorder(every=every)
    with pytest.raises(ArgumentError, match="no step was recorded"):
        study.graph_recorder().graph()


# ---- the command


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    argv = ["train", "--epochs", "2", "--hidden", "8", "--batch-size", "500", "--out", str(folder)]
    assert main(argv) == 0
    return folder


def test_the_graph_of_a_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", str(run)]) == 0
    assert capsys.readouterr().out == f"{run / 'graph.html'}\n"
    page = (run / "graph.html").read_text()
    data = json.loads(re.search(r'<script id="data"[^>]*>(.*?)</script>', page, re.S)[1])
    assert len(data["frames"]) == 1 and len(data["history"]) == 2
    assert data["history"] == json.loads((run / "history.json").read_text())
    weights = ta.load(run / "model.safetensors")
    row = data["frames"][0]["values"][1]
    assert row[1] == pytest.approx(np.linalg.norm(weights["fc1.weight"].numpy()), rel=1e-3)


def test_a_replay_takes_the_runs_own_steps(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "g.json"
    assert main(["graph", str(run), "--replay", "20", "--every", "2", "--out", str(out)]) == 0
    frames = json.loads(out.read_text())["frames"]
    assert [f["step"] for f in frames] == list(range(0, 20, 2))
    history = json.loads((run / "history.json").read_text())
    first = [f["loss"] for f in frames if f["step"] < 8]  # an epoch has 8 or 10 batches
    assert min(first) < history[0]["loss"] < max(first)


def test_the_commands_mistakes(run: Path, tmp_path: Path, capsys: Any) -> None:
    assert main(["graph", str(tmp_path)]) == 2
    assert "is no run folder" in capsys.readouterr().err
    assert main(["graph", str(run), "--replay", "0"]) == 2
    assert "expected --replay >= 1" in capsys.readouterr().err
    assert main(["graph", str(run), "--out", "x.png"]) == 2
    assert "cannot save a graph as 'x.png'" in capsys.readouterr().err
    (tmp_path / "config.json").write_text((run / "config.json").read_text())
    assert main(["graph", str(tmp_path)]) == 2
    assert "has no checkpoint.safetensors yet" in capsys.readouterr().err
    assert issubclass(CheckpointError, RuntimeError)
