"""What ops and rules cost: hand counts, PyTorch's counts, and a count for every op there is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import tinygrad_ai as ta
from tinygrad_ai import backend, nn
from tinygrad_ai.autograd.op import REGISTRY, op
from tinygrad_ai.backend import Backend
from tinygrad_ai.backend.device import CPU
from tinygrad_ai.nn import functional as F
from tinygrad_ai.ops.samples import SAMPLES
from tinygrad_ai.study import counts, profile
from tinygrad_ai.study.counts_formula import operations
from tinygrad_ai.study.counts_layers import SLOPE, VALUE
from tinygrad_ai.study.profile_rows import Work
from tinygrad_ai.tensor import Node

OURS = [op for op in REGISTRY.values() if op.forward.__module__.startswith("tinygrad_ai.")]
UNSAMPLED = {  # they have no derivative, so no samples to check it with
    "isclose": ((2.0, 2.0), {"rtol": 1e-5, "atol": 1e-8, "equal_nan": False}, 5 * 6),
    "isin": ((2.0, 2.0), {"invert": False}, 0),
    "count_nonzero": ((2.0,), {"dim": (0, 1)}, 6),
    "all": ((2.0,), {"dim": (0, 1), "keepdim": False}, 0),
    "any": ((2.0,), {"dim": (0, 1), "keepdim": False}, 0),
    "argmax": ((2.0,), {"dim": 1}, 0),
    "argmin": ((2.0,), {"dim": 1}, 0),
    "heaviside": ((2.0, 2.0), {}, 0),
    "row_weights": ((2.0,), {"target": np.array([0, 2])}, 2 * 2),
}


def costs(function: Any) -> dict[tuple[str, str], Work]:
    """What each op and each rule cost inside of a function's call."""
    with profile() as report:
        function()
    found: dict[tuple[str, str], Work] = {}
    for event in report.events:
        found.setdefault((event.name, event.kind), Work()).add(event)
    return found


def grown(x: Any) -> Any:
    """A gradient of x's shape, in memory of its own."""
    return ta.ones_like(x)


# ---- every op


def test_every_op_has_a_count() -> None:
    assert len(OURS) > 170
    assert [op.name for op in OURS if not counts.is_counted(op)] == []
    known = counts.RULES.keys() | counts.MOVING_RULES | counts.ELEMENTWISE
    assert [op.name for op in OURS if op.differentiable and op.name not in known] == []


def test_nothing_is_counted_that_is_no_op() -> None:
    tables = (counts.FORWARD, counts.RULES, counts.MOVES, counts.MOVING_RULES, counts.ELEMENTWISE)
    assert {name for table in tables for name in table} <= REGISTRY.keys()
    assert not counts.FORWARD.keys() & (counts.MOVES | counts.ELEMENTWISE)


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_an_op_and_its_rule_are_counted_on_its_samples(name: str) -> None:
    for call in SAMPLES[name]:
        inputs, attrs = call.made()

        def run(inputs: Any = inputs, attrs: Any = attrs) -> None:
            y = REGISTRY[name](*inputs, **attrs)
            parts = [p for p in (y if type(y) is tuple else (y,)) if p.node is not None]
            seeds = [grown(p) for p in parts]
            leaves = [x for x in inputs if isinstance(x, ta.Tensor)]
            ta.autograd.grad(parts, leaves, seeds, allow_unused=True)

        found = costs(run)
        forward, rule = found[name, "forward"], found[name, "backward"]
        assert forward.calls == rule.calls == 1
        assert min(forward.flops, forward.bytes, rule.flops, rule.bytes) >= 0
        moved = name in counts.MOVES
        assert (forward.flops == 0) == moved
        assert (forward.bytes == 0) <= moved  # only a view costs nothing


@pytest.mark.parametrize("name", sorted(UNSAMPLED))
def test_an_op_without_samples_is_counted(name: str) -> None:
    values, attrs, flops = UNSAMPLED[name]
    inputs = [ta.full((2, 3), value) for value in values]
    assert costs(lambda: REGISTRY[name](*inputs, **attrs))[name, "forward"].flops == flops


def test_an_op_of_the_users_may_call_its_options_as_it_likes() -> None:
    @op
    def twice(be: Any, x: Any, *, result: int = 1, incoming: int = 2, needs: int = 3) -> Any:
        return x * 2

    @twice.vjp
    def _(g: Any) -> Any:
        return g * 2

    x = ta.ones(3).requires_grad_()
    try:
        found = costs(lambda: twice(x, result=2, needs=1).backward(ta.ones(3)))
    finally:
        del REGISTRY["twice"]
    for kind in ("forward", "backward"):
        assert (found["twice", kind].flops, found["twice", kind].bytes) == (0, 2 * 4 * 3)


# ---- by hand


def test_a_linear_layer_by_hand() -> None:
    layer, x = nn.Linear(3, 5), ta.randn(4, 3)
    found = costs(lambda: layer(x).backward(ta.ones(4, 5)))
    forward, rule = found["linear", "forward"], found["linear", "backward"]
    assert forward.flops == 2 * 4 * 3 * 5 + 4 * 5  # a multiply and an add for each product; b
    assert forward.bytes == 4 * (4 * 3 + 5 * 3 + 5 + 4 * 5)  # x, w, b; y
    assert rule.flops == 2 * 5 * 4 * 3 + 4 * 5  # gw = gᵀ x, gb = Σ g: x needs no gradient
    assert rule.bytes == 4 * (4 * 5 + 4 * 3 + 5 * 3 + 5)  # g, x; gw, gb


def test_a_linear_layer_whose_input_needs_a_gradient() -> None:
    layer, x = nn.Linear(3, 5, dtype=ta.float64), ta.randn(4, 3, dtype=ta.float64)
    x.requires_grad_()
    found = costs(lambda: layer(x).backward(ta.ones(4, 5, dtype=ta.float64)))
    rule = found["linear", "backward"]
    assert rule.flops == 2 * 5 * 4 * 3 + 2 * 4 * 5 * 3 + 4 * 5  # gw; gx = g w; gb
    assert rule.bytes == 8 * (4 * 5 + 4 * 3 + 5 * 3 + (5 * 3 + 5 + 4 * 3))  # g, x, w; gw, gb, gx


def test_a_fused_activation_by_hand() -> None:
    x, w, b = ta.randn(4, 3), ta.randn(5, 3), ta.randn(5)
    w.requires_grad_()
    found = costs(lambda: F.linear(x, w, b, act="tanh").backward(ta.ones(4, 5)))
    assert found["linear", "forward"].flops == 120 + 20 + 20  # product, b, tanh
    assert found["linear", "backward"].flops == 120 + 3 * 20  # gw; gz = g (1 - y y)
    assert found["linear", "backward"].bytes == 4 * (20 + 20 + 12 + 15)  # g, y, x; gw


@pytest.mark.parametrize("causal", [False, True])
def test_attention_by_hand(causal: bool) -> None:
    q, k, v = [ta.randn(2, 3, 4, 8).requires_grad_() for _ in range(3)]  # 6 heads, 4 places
    run = lambda: F.scaled_dot_product_attention(q, k, v, is_causal=causal)  # noqa: E731
    found = costs(lambda: run().backward(ta.ones(2, 3, 4, 8)))
    pairs = 4 + 3 + 2 + 1 if causal else 4 * 4
    # q kᵀ and its scale; max, minus, exp, sum, divide; p v. Each row's logarithm, and + max.
    assert found["attention", "forward"].flops == 6 * (pairs * (16 + 1 + 5 + 16) + 4 * 2)
    # q kᵀ, scale, - lse, exp again; gp = g vᵀ and gv = pᵀ g; gs = p (gp - d), d = Σ g y of 4 rows;
    # gq = gs k and gk = gsᵀ q, each of 4 x 8 numbers scaled
    rule = pairs * (16 + 1 + 2 + 16 + 16 + 2 + 16 + 16) + 2 * 4 * 8 + 2 * 4 * 8
    assert found["attention", "backward"].flops == 6 * rule
    each, rows = 4 * 6 * 4 * 8, 4 * 6 * 4
    assert found["attention", "forward"].bytes == 4 * each + rows  # q, k, v; y, and lse
    assert found["attention", "backward"].bytes == 8 * each + rows  # g, q, k, v, y, lse; 3


def test_a_layer_norm_by_hand() -> None:
    layer, x = nn.LayerNorm(8), ta.randn(4, 8).requires_grad_()
    found = costs(lambda: layer(x).backward(ta.ones(4, 8)))
    # Σ x, x - m, (x - m)², their Σ, times r, times w, + b; for each row / n, / n, + ε, √, 1 / √
    assert found["layer_norm", "forward"].flops == 7 * 32 + 5 * 4
    # x̂: - and times. u = g w. gw: times and Σ. gb: Σ. gx: Σ u, u x̂, Σ u x̂, u - mean, x̂ mean, -,
    # times r; for each row the two means' / n
    assert found["layer_norm", "backward"].flops == (2 + 1 + 2 + 1 + 7) * 32 + 2 * 4
    assert found["layer_norm", "forward"].bytes == 4 * (32 + 8 + 8 + 32 + 4 + 4)
    # g, x, w, m, r; gx, gw, gb
    assert found["layer_norm", "backward"].bytes == 4 * (32 + 32 + 8 + 4 + 4 + 32 + 8 + 8)


def test_a_convolution_by_hand() -> None:
    layer, x = nn.Conv2d(3, 5, 3), ta.randn(2, 3, 8, 8)
    found = costs(lambda: layer(x).backward(ta.ones(2, 5, 6, 6)))
    outputs, window = 2 * 5 * 6 * 6, 3 * 3 * 3
    assert found["convolve", "forward"].flops == 2 * outputs * window
    assert found["add", "forward"].flops == outputs  # the bias is an op of its own
    assert found["convolve", "backward"].flops == 2 * outputs * window  # gw; x needs no gradient
    assert found["sum_to", "backward"].flops == outputs  # gb
    assert found["convolve", "forward"].bytes == 4 * (2 * 3 * 64 + 5 * 27 + outputs)
    x.requires_grad_()
    found = costs(lambda: layer(x).backward(ta.ones(2, 5, 6, 6)))
    assert found["convolve", "backward"].flops == 2 * 2 * outputs * window
    assert found["convolve", "backward"].bytes == 4 * (outputs + 2 * (2 * 3 * 64 + 5 * 27))


def test_losses_and_sums_by_hand() -> None:
    x, labels = ta.randn(4, 10).requires_grad_(), ta.randint(10, (4,))
    found = costs(lambda: F.cross_entropy(x, labels).backward())
    # max, minus, exp, Σ of 40; ln, - z[label], times w, Σ of 4 rows
    assert found["cross_entropy", "forward"].flops == 4 * 40 + 4 * 4
    # softmax, times w; - 1 at the label, g w
    assert found["cross_entropy", "backward"].flops == 6 * 40 + 2 * 4
    found = costs(lambda: x.var(1).sum().backward())
    # Σ, minus, ², Σ; / n and / (n - 1) of 4 rows
    assert found["var", "forward"].flops == 4 * 40 + 2 * 4
    assert found["sum", "forward"].flops == 4
    assert found["sum", "backward"].bytes == 0  # one number, seen as many
    # x - mean (Σ and - ; / n), times g; 2 g / (n - 1)
    assert found["var", "backward"].flops == 3 * 40 + 2 * 4


def test_an_einsum_by_hand() -> None:
    a, b = ta.randn(2, 3, 4).requires_grad_(), ta.randn(2, 4, 5).requires_grad_()
    found = costs(lambda: ta.einsum("bij,bjk->bik", a, b).backward(ta.ones(2, 3, 5)))
    assert found["einsum", "forward"].flops == 2 * 2 * 3 * 4 * 5
    assert found["einsum", "backward"].flops == 2 * 2 * 2 * 3 * 4 * 5
    found = costs(lambda: ta.einsum("i,j->ij", a[0, 0], b[0, 0]))
    assert found["einsum", "forward"].flops == 4 * 5  # products, and nothing to add
    found = costs(lambda: ta.einsum("ij,jk,k->i", a[0], b[0], b[0, 0]))
    assert found["einsum", "forward"].flops == 2 * 4 * 5 + 2 * 3 * 4  # from the right: the cheaper


@pytest.mark.parametrize(
    ("name", "forward", "grads"),
    [
        ("add", 1, (0, 0)),
        ("mul", 1, (1, 1)),  # g b, g a
        ("true_divide", 1, (1, 3)),  # g / b, -g y / b
        ("exp", 1, (1,)),
        ("tanh", 1, (3,)),  # g (1 - y²)
        ("sigmoid", 4, (3,)),  # 1 / (1 + e⁻ˣ); g y (1 - y)
        ("maximum", 1, (1, 1)),  # half of g where both are equal; choosing is free
        ("dropout", 1, (1,)),
        ("sqrt", 1, (2,)),  # g / 2y
    ],
)
def test_a_formulas_operations(name: str, forward: int, grads: tuple[int, ...]) -> None:
    assert operations(name, ("y",)) == forward
    found = [operations(name, (f"g{x}",)) for x in REGISTRY[name].inputs]
    assert tuple(found) == grads


def test_what_two_gradients_share_is_computed_once() -> None:
    # r = a² + b² are 3 operations; ga = g b / r two more, gb = -g a / r three
    assert operations("atan2", ("ga",)) == 5 and operations("atan2", ("gb",)) == 6
    assert operations("atan2", ("ga", "gb")) == 8


# ---- what NumPy is seen to compute


class Counting(np.ndarray):
    """An array that counts what NumPy computes with it."""

    total = 0

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        plain = [a.view(np.ndarray) if isinstance(a, Counting) else a for a in inputs]
        if "out" in options:
            options["out"] = tuple([a.view(np.ndarray) for a in options["out"]])
        if method == "at":
            Counting.total += plain[-1].size
            return ufunc.at(*plain)
        y = np.asarray(getattr(ufunc, method)(*plain, **options))
        if y.dtype.kind == "f":  # comparing makes no number
            each = 2 * plain[0].shape[-1] if ufunc is np.matmul else 1
            Counting.total += each * (y.size if method == "__call__" else plain[0].size)
        return y.view(Counting)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Backend:
    """The kernels in plain NumPy, on arrays that count."""
    found = Backend("counting", np, CPU)
    found.as_array = lambda value: np.asarray(value).view(Counting)
    monkeypatch.setitem(backend.TABLE, Counting, found)
    return found


def counted(work: Any) -> tuple[Any, int]:
    Counting.total = 0
    made = work()
    return made, Counting.total


def own(value: Any) -> Any:
    array = value.detach().numpy() if isinstance(value, ta.Tensor) else value
    return array.copy().view(Counting) if getattr(array, "dtype", None) == np.float64 else array


KERNELS = (
    "softmax log_softmax softmax_grad log_softmax_grad layer_norm layer_norm_grad var std mean sum "
    "prod amax logsumexp norm2 norm_p cumsum cumprod clamp linear_grad_w unwindow additem gather"
)
PLAIN_RULES = (
    "softmax log_softmax softmax_grad log_softmax_grad var mean sum prod logsumexp cumsum "
    "cumprod matmul broadcast_to gather setitem tanh mul exp sqrt square sin cosh asin tan abs"
)


def arguments(name: str) -> tuple[Any, list[Any], dict[str, Any]]:
    op = REGISTRY[name]
    inputs, attrs = SAMPLES[name][0].made()
    return op, [own(x) for x in inputs], {**op.defaults, **{k: own(v) for k, v in attrs.items()}}


@pytest.mark.parametrize("name", KERNELS.split())
def test_a_forward_counts_what_its_kernel_computes(name: str, counting: Any) -> None:
    op, args, attrs = arguments(name)
    made, total = counted(lambda: op.forward(counting, *args, **attrs))
    assert counts.forward(op, args, attrs, made)[0] == total


@pytest.mark.parametrize("name", PLAIN_RULES.split())
def test_a_rule_counts_what_it_computes(name: str, counting: Any) -> None:
    op, args, attrs = arguments(name)
    y = op.forward(counting, *args, **attrs)
    g = np.ones_like(y).view(Counting)
    node = Node()
    node.op, node.attrs, node.parents = op, attrs, tuple([Node() for _ in args])
    saved = [op.value(source, args, y) for source in op.sources] if op.keep else []
    node.saved = (*saved, node.parents) if op.asks_needs else tuple(saved)
    grads, total = counted(lambda: op.rule(g, *node.saved, **attrs))
    assert counts.backward(node, g, None, grads)[0] == total


@pytest.mark.parametrize("act", ["leaky_relu", "tanh", "relu", "gelu", "gelu_tanh"])
def test_activations_count_what_their_kernels_compute(act: str, counting: Any) -> None:
    x, g = own(np.full(7, 0.5)), own(np.full(7, 2.0))
    assert counted(lambda: counting.activate(x, act))[1] == 7 * VALUE[act]
    assert counted(lambda: counting.act_grad(g, x, act))[1] == 7 * SLOPE[act]


# ---- bytes


def test_views_cost_nothing_and_copies_do() -> None:
    x = ta.randn(4, 6)
    assert costs(lambda: x.reshape(6, 4))["reshape", "forward"].bytes == 0
    assert costs(lambda: x.t().reshape(24))["reshape", "forward"].bytes == 2 * 4 * 24
    assert costs(lambda: x[1:3])["getitem", "forward"].bytes == 0


def test_each_array_is_read_once_and_of_a_broadcast_one_what_there_is() -> None:
    x, row = ta.randn(4, 6), ta.randn(6)
    assert costs(lambda: x * x)["mul", "forward"].bytes == 2 * 4 * 24
    assert costs(lambda: x * row)["mul", "forward"].bytes == 4 * (24 + 6 + 24)
    assert costs(lambda: x * row.expand(4, 6))["mul", "forward"].bytes == 4 * (24 + 6 + 24)
    assert costs(lambda: x.half() * 2)["mul", "forward"].bytes == 2 * (24 + 24)


def test_of_a_table_only_the_rows_are_read_that_are_chosen() -> None:
    table, index = nn.Embedding(1000, 8), ta.randint(1000, (5,))
    found = costs(lambda: table(index).backward(ta.ones(5, 8)))
    assert found["embedding", "forward"].bytes == 8 * 5 + 2 * 4 * 5 * 8
    assert found["embedding", "backward"].bytes == 8 * 5 + 4 * 5 * 8 + 4 * 1000 * 8
    assert found["embedding", "backward"].flops == 5 * 8  # added to the rows


def test_bfloat16_is_two_bytes() -> None:
    w = ta.randn(5, 3).bfloat16().requires_grad_()
    x = ta.randn(4, 3).bfloat16()
    found = costs(lambda: F.linear(x, w).backward(ta.ones(4, 5).bfloat16()))
    assert found["linear", "forward"].flops == 120
    assert found["linear", "forward"].bytes == 2 * (12 + 15 + 20)
    assert found["linear", "backward"].flops == 120


# ---- optimizers


def step_of(kind: Any, steps: int = 2, **options: Any) -> Work:
    """The last of some steps over 7 parameters in two tensors."""
    a, b = ta.randn(4).requires_grad_(), ta.randn(3).requires_grad_()
    optimizer = kind([a, b], **options)
    a.grad, b.grad = ta.ones(4), ta.ones(3)
    for _ in range(steps - 1):
        optimizer.step()
    found = costs(lambda: optimizer.step())
    return found[kind.__name__, "optimizer"]


def test_steps_by_hand() -> None:
    sgd = step_of(ta.optim.SGD, lr=0.1)
    assert (sgd.flops, sgd.bytes) == (7 * 2, 7 * 4 * 3)  # p - lr g: p, g; p
    adam = step_of(ta.optim.Adam, lr=0.1)
    # m + (1-β₁)(g - m); β₂ v + (1-β₂) g g; √v, / d, + ε, m /, times c, p -
    assert (adam.flops, adam.bytes) == (7 * (3 + 4 + 6), 7 * 4 * 7)  # p, g, m, v; p, m, v
    assert step_of(ta.optim.AdamW, lr=0.1).flops == 7 * (13 + 1)  # (1 - αλ) p
    first = step_of(ta.optim.SGD, 1, lr=0.1, momentum=0.9)
    later = step_of(ta.optim.SGD, 2, lr=0.1, momentum=0.9)
    assert (first.flops, later.flops) == (7 * 2, 7 * 5)  # μ v + (1 - τ) g
    rms = step_of(ta.optim.RMSprop, lr=0.1)
    assert (rms.flops, rms.bytes) == (7 * 9, 7 * 4 * 5)


def test_a_step_of_the_users_is_not_the_one_it_is_derived_from() -> None:
    class Own(ta.optim.Adam):
        def update_all(self, params: Any, grads: Any, states: Any, group: Any) -> None:
            for p, g in zip(params, grads, strict=True):
                p.sub_(0.1 * g)

    assert step_of(Own).flops == 7 * 2
    assert step_of(type("Named", (ta.optim.Adam,), {})).flops == 7 * 13


def test_a_step_that_is_made_of_ops_is_their_sum() -> None:
    found = step_of(ta.optim.Adamax, lr=0.1)
    # lerp 3; u β₂, |g|, + ε, max: 4; addcdiv 3
    assert found.flops == 7 * 10 and found.bytes > 7 * 4 * 5


# ---- PyTorch counts products as we do


def of_torch(function: Any) -> int:
    with FlopCounterMode(display=False) as counter:
        function()
    return int(counter.get_total_flops())


def both(ours: Any, theirs: Any, names: tuple[str, ...]) -> None:
    found = costs(ours)
    total = sum([work.flops for (name, _), work in found.items() if name in names])
    assert total == of_torch(theirs) > 0


@pytest.mark.parametrize("shapes", [((4, 3), (3, 5)), ((2, 4, 3), (2, 3, 5)), ((2, 4, 3), (3, 5))])
def test_matrix_products_as_pytorch_counts_them(shapes: Any) -> None:
    a, b = [ta.randn(*s).requires_grad_() for s in shapes]
    c, d = [torch.randn(*s).requires_grad_() for s in shapes]
    both(lambda: (a @ b).sum().backward(), lambda: (c @ d).sum().backward(), ("matmul",))


def test_a_linear_layer_as_pytorch_counts_it() -> None:
    ours, theirs = nn.Linear(6, 7, bias=False), torch.nn.Linear(6, 7, bias=False)
    x, y = ta.randn(5, 6), torch.randn(5, 6)
    both(lambda: ours(x).sum().backward(), lambda: theirs(y).sum().backward(), ("linear",))


def test_a_convolution_in_groups_as_pytorch_counts_it() -> None:
    """Forward only: its count of the weights' gradient knows of no groups."""
    ours = nn.Conv2d(4, 6, 3, bias=False, groups=2)
    theirs = torch.nn.Conv2d(4, 6, 3, bias=False, groups=2)
    x, y = ta.randn(2, 4, 9, 9), torch.randn(2, 4, 9, 9)
    both(lambda: ours(x), lambda: theirs(y), ("convolve",))


@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"dilation": 2}])
def test_a_convolution_as_pytorch_counts_it(options: Any) -> None:
    ours = nn.Conv2d(4, 6, 3, bias=False, **options)
    theirs = torch.nn.Conv2d(4, 6, 3, bias=False, **options)
    x, y = ta.randn(2, 4, 9, 9).requires_grad_(), torch.randn(2, 4, 9, 9).requires_grad_()
    both(lambda: ours(x).sum().backward(), lambda: theirs(y).sum().backward(), ("convolve",))


def test_attentions_products_as_pytorch_counts_them() -> None:
    """PyTorch counts the products alone; the rest of ours is what stands in the test by hand."""
    shape, pairs, heads = (2, 3, 4, 8), 16, 6
    q, k, v = [ta.randn(*shape).requires_grad_() for _ in range(3)]
    found = costs(lambda: F.scaled_dot_product_attention(q, k, v).backward(ta.ones(*shape)))
    forward = found["attention", "forward"].flops - heads * (pairs * 6 + 2 * 4)
    rule = found["attention", "backward"].flops - heads * (pairs * 5 + 4 * 4 * 8)
    p, r, s = [torch.randn(*shape).requires_grad_() for _ in range(3)]
    attention = torch.nn.functional.scaled_dot_product_attention
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        assert forward == of_torch(lambda: attention(p.detach(), r.detach(), s.detach()))
        y = attention(p, r, s)
        again = heads * 2 * pairs * 8  # q kᵀ, which PyTorch's plain way keeps instead
        assert rule - again == of_torch(lambda: y.backward(torch.ones(*shape)))


def test_the_roofline_is_the_least_time_by_the_time() -> None:
    machine = SimpleNamespace(flops=1e9, bandwidth=1e8)
    assert Work(1, 2.0, 10**9, 10).share(machine) == 0.5  # bound by FLOPs: one second of two
    assert Work(1, 2.0, 10, 10**8).share(machine) == 0.5  # bound by bytes
    assert Work(1, 2.0, 0, 0).share(machine) is None
    assert Work(1, 2.0, 0, 0).intensity is Work(1, 2.0, 0, 0).rate is None
    assert Work(1, 2.0, 100, 50).intensity == 2 and Work(1, 2.0, 100, 50).rate == 50
