"""The compiled kernels: on every instruction set of this processor the same as the plain ones."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
import tinygrad_ai.nn as nn
import tinygrad_ai.nn.functional as F
from tests.native_help import FLOATS, NATIVE, SETS, all_close, both, close, layouts, normal
from tinygrad_ai.backend import accelerators, kernels, native
from tinygrad_ai.backend import numpy as be
from tinygrad_ai.errors import DeviceError

pytestmark = NATIVE

# Rows, inner size, columns: 0 and 1, multiples of no tile, long and short on every side.
SIZES = [
    (1, 1, 1), (2, 3, 5), (0, 3, 2), (3, 0, 2), (3, 2, 0), (1, 784, 40), (37, 100, 33),
    (5, 7, 130), (129, 65, 70), (33, 500, 17), (40, 900, 35), (15, 40, 1), (100, 33, 257),
]  # fmt: skip


def test_kernels_are_there_if_required() -> None:
    assert native.module is not None, native.reason
    assert native.module.isa() == SETS[0]  # the best one


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_linear_and_its_gradients(isa: str, threads: int, size: Any, dtype: Any) -> None:
    m, k, n = size
    x, w, b = normal(m, k, dtype=dtype), normal(n, k, dtype=dtype, seed=1), normal(n, dtype=dtype)
    w /= max(1, k) ** 0.5
    g, v = normal(m, n, dtype=dtype, seed=2), normal(m, n, dtype=dtype, seed=3)
    for act in kernels.ACTS:
        entry = "linear_z" if act in ("gelu", "gelu_tanh", "silu") else "linear"
        mine, plain = both(entry, x, w, b, act)
        for a, c in zip(*[y if type(y) is tuple else (y,) for y in (mine, plain)], strict=True):
            close(a, c)
        close(*both("linear_grad_x", g, v, w, act))
        for a, c in zip(*both("linear_grad_w", g, v, x, act), strict=True):
            close(a, c)
    close(*both("linear", x, w, None, "relu"))


@pytest.mark.parametrize("dtype", FLOATS)
def test_both_sides_in_several_blocks(isa: str, threads: int, dtype: Any) -> None:
    for m, k, n in [(1900, 810, 170), (170, 1700, 1900), (2900, 450, 40)]:
        a, b = normal(m, k, dtype=dtype) / 30, normal(n, k, dtype=dtype, seed=1)
        close(*both("linear", a, b, normal(n, dtype=dtype), "relu"))
        g, x = normal(k, m, dtype=dtype) / 30, normal(k, n, dtype=dtype, seed=1)
        all_close(*both("linear_grad_w", g, None, x, None))


@pytest.mark.parametrize("dtype", FLOATS)
def test_every_layout(isa: str, dtype: Any) -> None:
    x, w, g = normal(35, 50, dtype=dtype), normal(40, 50, dtype=dtype), normal(35, 40, dtype=dtype)
    for a, c in itertools.product(layouts(x), layouts(w)):
        close(*both("linear", a, c, None, None))
        close(*both("matmul", a, c.T))
    for a, c in itertools.product(layouts(g), layouts(x)):
        for mine, plain in zip(*both("linear_grad_w", a, None, c, None), strict=True):
            close(mine, plain)
    spread = np.broadcast_to(dtype(0.5), g.shape)  # the gradient of a sum
    for mine, plain in zip(*both("linear_grad_w", spread, None, x, None), strict=True):
        close(mine, plain)
    close(*both("linear_grad_x", spread, g, w, "relu"))


def test_batches_of_any_rank_and_what_is_left_to_numpy() -> None:
    close(*both("matmul", normal(2, 3, 4, 5), normal(5, 6)))
    close(*both("linear", normal(2, 3, 5), normal(4, 5), normal(4), "tanh"))
    half = normal(3, 4).astype(np.float16)
    assert both("matmul", half, half.T)[0].dtype == np.float16
    whole = np.arange(12).reshape(3, 4)
    assert (both("matmul", whole, whole.T)[0] == whole @ whole.T).all()
    mixed = both("matmul", normal(3, 4), normal(4, 3, dtype=np.float64))
    close(*mixed)


SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-30, -1e-30, 88.0, -88.0, 700.0, -700.0, 2e4]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("act", kernels.ACTS[1:])
def test_activations_everywhere(isa: str, act: str, dtype: Any) -> None:
    values = np.concatenate([np.linspace(-20, 20, 1003), SPECIAL]).astype(dtype)
    mine, plain = both("activate", values, act)
    ends = np.isnan(values) | (np.abs(values) > 1e3)
    tol = 3e-6 if dtype == np.float32 else 1e-14
    np.testing.assert_allclose(mine[~ends], plain[~ends], rtol=tol, atol=tol)
    assert np.isnan(mine[np.isnan(values)]).all()
    if act == "relu":
        np.testing.assert_array_equal(mine, plain)
    finite = values[~ends]
    slopes, plain_slopes = both("act_grad", np.ones_like(finite), finite, act)
    np.testing.assert_allclose(slopes, plain_slopes, rtol=tol, atol=tol * 10)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(1, 1), (3, 10), (7, 33), (200, 17), (2, 3, 5)], ids=str)
def test_softmax_and_cross_entropy(isa: str, threads: int, shape: Any, dtype: Any) -> None:
    x = normal(*shape, dtype=dtype) * 30
    close(*both("softmax", x, x.ndim - 1))
    close(*both("softmax", x, 0))
    close(*both("log_softmax", x, x.ndim - 1))
    rows = x.reshape(-1, shape[-1])
    target = np.random.default_rng(0).integers(0, shape[-1], len(rows))
    g = normal(len(rows), dtype=dtype)
    target[::3] = -7
    for weight in (None, np.abs(normal(shape[-1], dtype=dtype, seed=1))):
        for how in itertools.product([target], [weight], [-7], ["none", "sum", "mean"]):
            if how[-1] == "mean" and (target == -7).all():
                continue  # 0 / 0, see below
            close(*both("cross_entropy", rows, *how))
            for given in (g, np.broadcast_to(g[0], g.shape), g[:1].reshape(()), g[0]):
                close(*both("cross_entropy_grad", given, rows, *how))
    for wrong in (-1, shape[-1]):
        labels = np.full(len(rows), wrong)
        assert native.module.cross_entropy(rows, labels, None, -7, "sum") is None
        assert native.module.cross_entropy_grad(g, rows, labels, None, -7, "sum") is None


def test_a_mean_over_no_labels_is_nan(isa: str) -> None:
    x, ignored = normal(3, 4), np.full(3, -7)
    mine, plain = both("cross_entropy", x, ignored, None, -7, "mean")
    assert np.isnan(mine) and np.isnan(plain)
    assert not both("cross_entropy", x, ignored, None, -7, "sum")[0]
    for gradient in both("cross_entropy_grad", np.float32(1), x, ignored, None, -7, "mean"):
        assert not gradient.any()  # and not NaN: as in PyTorch


def test_softmax_of_what_is_not_finite(isa: str) -> None:
    x = np.array([[np.nan, 1, 2], [np.inf, 1, 2], [-np.inf, 1, 2], [-np.inf] * 3], np.float32)
    for entry in ("softmax", "log_softmax"):
        mine, plain = both(entry, np.tile(x, (1, 9)), 1)
        np.testing.assert_allclose(mine, plain, rtol=1e-5)


ADAM = {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8}
STEPS: list[tuple[str, int, dict[str, Any]]] = [
    ("adam_step", 2, {"t": 3, "weight_decay": 0.0, "decoupled": False, **ADAM}),
    ("adam_step", 3, {"t": 1, "weight_decay": 0.1, "decoupled": False, **ADAM}),
    ("adam_step", 3, {"t": 9, "weight_decay": 0.1, "decoupled": True, **ADAM}),
    *[
        ("sgd_step", count, {
            "lr": 0.1, "momentum": 0.9, "dampening": 0.2 * (1 - nesterov), "weight_decay": 0.1,
            "nesterov": nesterov, "first": first,
        })
        for count, nesterov, first in [(0, False, False), (1, False, True), (1, True, False)]
    ],
    *[
        ("rmsprop_step", count, {
            "lr": 0.1, "alpha": 0.9, "eps": 1e-8, "weight_decay": 0.1, "momentum": 0.9,
        })
        for count in (1, 2, 3)
    ],
]  # fmt: skip


def apply(name: str, arrays: list[Any], options: dict[str, Any]) -> None:
    """Steps take lists, one entry for each parameter."""
    each = {k: [v] if k in ("t", "first") else v for k, v in options.items()}
    getattr(be, name)(*[[a] for a in arrays], **each)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("step", STEPS, ids=lambda s: s[0])
def test_optimizer_steps(isa: str, threads: int, step: Any, dtype: Any) -> None:
    name, count, options = step
    wants = {"adam_step": 3, "sgd_step": 1, "rmsprop_step": 3}[name]
    for size in (0, 1, 7, 64, 1001, 20_000):
        arrays = [np.abs(normal(size, dtype=dtype, seed=s)) for s in range(2 + count)]
        if name == "rmsprop_step" and count > 1:
            arrays[3] *= dtype(0.1)  # the mean's square stays below the mean square
            arrays[2] += 1
        fast, plain = ([a.copy() for a in arrays] for _ in range(2))
        pad = [None] * (wants - count)
        apply(name, [*fast, *pad], options)
        with native.switched_off(be):
            apply(name, [*plain, *pad], options)
        for mine, theirs in zip(fast, plain, strict=True):
            close(mine, theirs)


def test_adam_of_several_parameters_at_once() -> None:
    steps = {"t": [1, 4], "weight_decay": 0.0, "decoupled": False, **ADAM}
    for dtypes in ((np.float32, np.float32), (np.float32, np.float64)):
        lists = [[np.abs(normal(9, dtype=d, seed=s)) for d in dtypes] for s in range(4)]
        plain = [[a.copy() for a in arrays] for arrays in lists]
        be.adam_step(*lists, [None, None], **steps)
        with native.switched_off(be):
            be.adam_step(*plain, [None, None], **steps)
        for mine, theirs in zip(sum(lists, []), sum(plain, []), strict=True):
            close(mine, theirs)
    with pytest.raises(ValueError, match="lists of one length"):
        native.module.adam(*lists, [None], **steps)


def train(steps: int = 5) -> list[Any]:
    ta.manual_seed(0)
    model = nn.Sequential(nn.Linear(30, 70), nn.ReLU(), nn.Linear(70, 10))
    optimizer = ta.optim.Adam(model.parameters(), lr=0.01)
    x, y = ta.randn(33, 30), ta.randint(0, 10, (33,))
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    return [p.detach().numpy() for p in model.parameters()]


def test_training_with_and_without() -> None:
    fast = train()
    with native.switched_off(be):
        plain = train()
    for mine, theirs in zip(fast, plain, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-5)
    for once, again in zip(fast, train(), strict=True):
        np.testing.assert_array_equal(once, again)  # the same threads, the same sums


def test_several_python_threads_at_once() -> None:
    x, w = normal(64, 100), normal(80, 100)
    wanted = x @ w.T
    wrong: list[Any] = []

    def work() -> None:
        for _ in range(200):
            y = be.linear(x, w, None, None)
            if not np.allclose(y, wanted, atol=1e-3):
                wrong.append(y)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for t in workers:
        t.start()
    for t in workers:
        t.join()
    assert not wrong


def test_a_forked_child_works_alone() -> None:
    code = (
        "import os, numpy as np, tinygrad_ai as ta\n"
        "ta.set_num_threads(2)\n"
        "x = ta.randn(300, 300)\n"
        "y = x @ x\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    os._exit(0 if ta.get_num_threads() == 1 and ta.allclose(x @ x, y, atol=1e-3) else 3)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)


def test_threads_can_be_set_and_asked() -> None:
    with pytest.raises(ValueError, match="at least one thread, got 0"):
        ta.set_num_threads(0)
    with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
        ta.set_num_threads(2.0)
    before = ta.get_num_threads()
    ta.set_num_threads(10**9)
    x = ta.ones(300, 300)
    assert ta.get_num_threads() == 1024 and (x @ x).sum().item() == 300.0**3
    ta.set_num_threads(before)
    with pytest.raises(ValueError, match="no instruction set mmx"):
        native.module.use("mmx")
    code = "import tinygrad_ai as ta; print(ta.get_num_threads())"
    for n in ("1", "2"):
        env = {**os.environ, "OMP_NUM_THREADS": n}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
        assert done.stdout.strip() == n


def test_switched_off_says_so() -> None:
    code = "import tinygrad_ai as ta; print(ta.backend.native.module, ta.backend.native.reason)"
    env = {**os.environ, "TINYGRAD_AI_NATIVE": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.stdout.strip() == "None switched off by TINYGRAD_AI_NATIVE=0"


def test_required_but_switched_off_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD_AI_NATIVE", "require")
    monkeypatch.setattr(native, "module", None)
    monkeypatch.setattr(native, "reason", "it was not built")
    with pytest.raises(DeviceError, match="fix: install a C.. compiler and run pip install -e"):
        accelerators.check_required()


def test_plain_kernels_for_a_while() -> None:
    fast = be.linear
    with native.switched_off(be):
        plain = be.linear
        with native.switched_off(be):
            assert be.linear is plain is not fast
        assert be.linear is plain
    assert be.linear is fast


def test_a_stale_binary_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert native._load()[0] is native.module
    monkeypatch.setattr(native, "sources", lambda: "other")
    assert native._load() == (None, native.STALE)


def test_sources_are_digested_as_setup_does() -> None:
    root = Path(__file__).parent.parent
    text = (root / "setup.py").read_text()
    space: dict[str, Any] = {"__file__": str(root / "setup.py"), "__name__": "setup"}
    exec(text[: text.index("class Build")], space)
    assert space["digest"]("cpu") == native.module.sources
    assert native.sources("cuda") in ("", space["digest"]("cuda"))
    assert native.sources() in ("", native.module.sources)  # none beside an installed package


@pytest.mark.parametrize("act", ["gelu", "gelu_tanh", "silu"])
def test_what_is_not_recorded_keeps_no_z(act: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same numbers, from the entry that makes one array."""
    x, w, b = ta.randn(5, 7), ta.randn(3, 7, requires_grad=True), ta.randn(3)
    recorded = F.linear(x, w, b, act=act)
    with ta.no_grad():
        monkeypatch.setattr(be, "linear_z", None)
        assert F.linear(x, w, b, act=act).tolist() == recorded.tolist()
    assert F.linear(x, w.detach(), b, act=act).tolist() == recorded.tolist()
