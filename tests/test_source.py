"""A loss as a NumPy script: run alone, in a process of its own, it gives what the engine gives."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tinygrad_ai import nn
from tinygrad_ai.autograd.op import REGISTRY, op
from tinygrad_ai.errors import ArgumentError, GradError, GraphFreedError
from tinygrad_ai.nn import functional as F
from tinygrad_ai.ops.samples import SAMPLES
from tinygrad_ai.study import explain, record, to_source, why

RUN = """import runpy, sys, pathlib
import numpy as np
np.seterr(all="ignore")
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.py")):
    space = runpy.run_path(str(path))
    assert not [m for m in sys.modules if m.startswith("tinygrad_ai")]
    np.savez(path.with_suffix(".out.npz"), loss=space["loss"], **space["gradients"])
"""


def run(folder: Path) -> None:
    """Runs every script of a folder in a new process, which writes what each gives."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(folder)], capture_output=True, text=True, cwd="/"
    )
    assert done.returncode == 0, done.stderr


def check(path: Path, loss: Any, grads: dict[str, Any], rtol: float) -> None:
    found = np.load(path.with_suffix(".out.npz"))
    np.testing.assert_allclose(found["loss"], loss, rtol=rtol, atol=rtol)
    assert set(found.files) - {"loss"} == set(grads)
    for name, g in grads.items():
        assert found[name].shape == g.shape
        np.testing.assert_allclose(found[name], g, rtol=rtol, atol=rtol, err_msg=name)


OPS = sorted(
    op.name for op in REGISTRY.values()
    if op.differentiable and op.forward.__module__.startswith("tinygrad_ai.")
)  # fmt: skip


def test_every_op(tmp_path: Path) -> None:
    """The samples of every op, each output times random numbers."""
    wanted = {}
    for name in OPS:
        for number, call in enumerate(SAMPLES[name]):
            tensors, attrs = call.made()

            def loss_of(*tensors: Any, name: str = name, attrs: Any = attrs) -> ta.Tensor:
                result = REGISTRY[name](*tensors, **attrs)
                random = np.random.default_rng(0)
                parts = [
                    (y * ta.tensor(random.standard_normal(y.shape))).sum()
                    for y in (result if isinstance(result, tuple) else (result,))
                    if y.node is not None
                ]
                return sum(parts[1:], parts[0])

            path = to_source(loss_of, *tensors).save(tmp_path / f"{name}_{number}.py")
            loss = loss_of(*tensors)
            loss.backward()
            grads = {f"tensors{i}": getattr(t, "grad", None) for i, t in enumerate(tensors)}
            wanted[path] = loss.item(), {n: g.numpy() for n, g in grads.items() if g is not None}
            assert set(re.findall(r"import (\w+)", path.read_text())) <= {"numpy", "math"}
    run(tmp_path)
    for path, (loss, grads) in wanted.items():
        try:
            check(path, loss, grads, 1e-9)
        except AssertionError as error:
            raise AssertionError(f"{path.name}\n{path.read_text()}") from error
    assert len(wanted) > len(OPS)


class Block(nn.Module):
    """Layer norm, attention, a residual connection, gelu."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(8), nn.MultiheadAttention(8, 2, batch_first=True)
        self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x: Any) -> Any:
        h = self.norm(x)
        x = x + self.attention(h, h, h, need_weights=False)[0]
        return x + self.down(F.gelu(self.up(x)))


def mlp() -> tuple[Any, Callable[[], Any]]:
    model = nn.Sequential(nn.Linear(20, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))
    x, labels = ta.randn(6, 20), ta.tensor([0, 2, 1, 1, 0, 2])
    return model, lambda: F.cross_entropy(model(x), labels)


def convnet() -> tuple[Any, Callable[[], Any]]:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 2, 3, stride=2), nn.Tanh(), nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip
    x, labels = ta.randn(2, 1, 10, 10), ta.tensor([0, 2])
    return model, lambda: F.cross_entropy(model(x), labels, label_smoothing=0.1)


def transformer() -> tuple[Any, Callable[[], Any]]:
    model, x, y = Block(), ta.randn(2, 5, 8), ta.randn(2, 5, 8)
    return model, lambda: F.mse_loss(model(x), y)


def losses() -> tuple[Any, Callable[[], Any]]:
    model, x, y = nn.Linear(4, 3), ta.randn(5, 4), ta.rand(5, 3)
    return model, lambda: (
        F.l1_loss(model(x), y) + F.huber_loss(model(x), y) + F.smooth_l1_loss(model(x), y)
        + F.binary_cross_entropy_with_logits(model(x), y)
        + F.kl_div(F.log_softmax(model(x), 1), y, reduction="batchmean")
    )  # fmt: skip


def test_whole_networks(tmp_path: Path) -> None:
    wanted = {}
    for make in (mlp, convnet, transformer, losses):
        ta.manual_seed(0)
        model, loss_of = make()
        state = ta.get_rng_state().tolist()
        buffers = {k: v.clone() for k, v in model.named_buffers()}
        with record() as r:
            loss = loss_of()
        after = ta.get_rng_state().tolist()
        source = to_source(loss, record=r)
        assert ta.get_rng_state().tolist() == after and (make is mlp) == (after != state)
        assert all([p.grad is None for p in model.parameters()])
        path = source.save(tmp_path / f"{make.__name__}.py")
        assert path.with_suffix(".npz").exists() == bool(source.arrays)
        loss.backward()
        assert buffers.keys() == dict(model.named_buffers()).keys()
        grads = {n: p.grad.numpy() for n, p in model.named_parameters() if p.grad is not None}
        wanted[path] = loss.item(), grads
    run(tmp_path)
    for path, (loss, grads) in wanted.items():
        check(path, loss, grads, 2e-5)
    assert "x @ p0_weight.T + p0_bias  # linear, 0, test_source.py:" in (
        (tmp_path / "mlp.py").read_text()
    )


def changed_in_place(w: Any) -> Any:
    h = w * 2.0
    h += 1
    h.mul_(3.0)
    h[0] = w[1]
    h[:, 1:3] = 5.0
    return h.square().sum()


def indexed(w: Any, i: Any) -> Any:
    parts = [(w[i] ** 3).sum(), w[w > 0].sum(), w[1:3, ::2].mean(), w[..., -1].max()]
    return sum(parts, w.sort(0)[0].cumsum(0).mean())


def reduced(w: Any) -> Any:
    parts = [w.var(0).sum(), w.logsumexp(1).sum(), w.prod(), w.norm(), w.median(), w.amax(0).sum()]
    return sum(parts, w.std())


def many_losses(w: Any, t: Any, p: Any) -> Any:
    parts = [
        F.cross_entropy(w, t, weight=ta.tensor([1.0, 2.0, 3.0])), F.cross_entropy(w, p),
        F.nll_loss(F.log_softmax(w, 1), t), F.binary_cross_entropy(w.sigmoid(), p),
        F.gaussian_nll_loss(w, p, p + 1), F.triplet_margin_loss(w, p, p + 1),
    ]  # fmt: skip
    return sum(parts, F.cosine_similarity(w, p).sum())


def matrices(w: Any) -> Any:
    square = w[:3, :3] + 5 * ta.eye(3)
    parts = [ta.linalg.svd(square)[1].sum(), ta.linalg.inv(square).sum(), ta.linalg.det(square)]
    return sum(parts, ta.einsum("ij,ik,k->j", w, w, w[0]).sum())


def mixed(w: Any, i: Any) -> Any:
    d = ta.ones(3, dtype=ta.float64)
    return (w * d + ta.where(w > 0, w, 0.0) + ta.maximum(w, 0 * w)).sum() + (w * i[:3]).sum()


def penalised(w: Any, p: Any) -> Any:
    """A gradient in the loss: the rules' own ops are on the tape."""
    x = w * 1.5
    (g,) = ta.autograd.grad((x @ p.T).tanh().softmax(1)[:, 0].sum(), x, create_graph=True)
    return g.square().sum()


def test_whole_programs(tmp_path: Path) -> None:
    ta.manual_seed(0)
    w, i, p = ta.randn(6, 3, requires_grad=True), ta.tensor([0, 2, 2]), ta.rand(6, 3)
    labels = ta.tensor([0, 1, 2, 1, 0, -100])
    lstm = nn.LSTM(3, 4, num_layers=2, batch_first=True)
    table = nn.Embedding(7, 3, padding_idx=0)
    programs: list[tuple[Any, tuple[Any, ...], Any]] = [
        (changed_in_place, (w,), None), (indexed, (w, i), None), (reduced, (w,), None),
        (many_losses, (w, labels, p), None), (matrices, (w,), None), (mixed, (w, i), None),
        (penalised, (w, p), None),
        (lambda p: lstm(p)[0].square().mean(), (p,), lstm),
        (lambda i: table(i).exp().mean(), (i,), table),
    ]  # fmt: skip
    wanted = {}
    for number, (loss_of, inputs, model) in enumerate(programs):
        path = to_source(loss_of, *inputs).save(tmp_path / f"p{number}.py")
        w.grad = None
        loss = loss_of(*inputs)
        loss.backward()
        leaves = dict(model.named_parameters()) if model else {"w": w}
        grads = {n: t.grad.numpy() for n, t in leaves.items()}
        wanted[path] = loss.item(), grads
    run(tmp_path)
    for path, (number, grads) in wanted.items():
        check(path, number, grads, 1e-4)


def test_the_ways_to_ask(tmp_path: Path) -> None:
    ta.manual_seed(0)
    w, x = ta.randn(3, 4, requires_grad=True), ta.randn(5, 4)

    def loss_of(w: ta.Tensor, x: ta.Tensor) -> ta.Tensor:
        return (x @ w.T).tanh().square().mean()

    given = to_source(loss_of, w, x)
    with record() as r:
        loss = loss_of(w, x)
        inside = to_source(loss)
    after = to_source(loss, record=r)
    tape = to_source(loss)  # matmul, tanh, square and mean kept all it takes
    assert str(given) == str(inside) == str(after)
    assert tape.text.split("# forward")[1] == given.text.split("# forward")[1]
    assert "y2 = y1 @" not in str(given) and "gw = " in str(given)
    assert w.grad is None and loss.node.saved is not None


def test_a_function_is_called_with_the_random_numbers_it_gets_next() -> None:
    w = ta.ones(40, requires_grad=True)

    def loss_of(w: Any) -> Any:
        return F.dropout(w).sum()

    before = ta.get_rng_state().tolist()
    source = to_source(loss_of, w)
    assert ta.get_rng_state().tolist() == before
    assert source.script.space["loss"] == loss_of(w).item() != loss_of(w).item()


def test_the_model_that_a_function_calls_stays_as_it_is() -> None:
    net, x = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(), nn.Linear(3, 1)), ta.randn(4, 3)
    before = {k: v.tolist() for k, v in net.state_dict().items()}
    buffers, state = dict(net.named_buffers()), ta.get_rng_state().tolist()
    to_source(lambda x: net(x).sum(), x)

    def broken(x: Any) -> Any:
        raise KeyError(float(net(x).sum()))

    with pytest.raises(KeyError):
        to_source(broken, x)
    assert {k: v.tolist() for k, v in net.state_dict().items()} == before
    assert all([b is buffers[k] for k, b in net.named_buffers()])
    assert ta.get_rng_state().tolist() == state
    assert [p.grad for p in net.parameters()] == [None] * 4


def test_on_a_gpu(gpu: Any) -> None:
    """Arrays of CuPy's come to the script as NumPy's, and the other tools read them."""
    w = ta.tensor([[1.0, 2.0], [3.0, 4.0]], device="cuda", requires_grad=True)
    x = ta.tensor([[1.0, -1.0]], device="cuda")

    def loss_of(w: Any, x: Any) -> Any:
        return (x @ w).tanh().sum()

    source = to_source(loss_of, w, x)
    loss = loss_of(w, x)
    trace, verdict = explain(loss), why(w, loss=loss)
    loss.backward()
    got = source.script.space["gw"]
    assert type(got) is np.ndarray
    np.testing.assert_allclose(got, w.grad.cpu().numpy(), rtol=1e-6)
    assert trace.leaves[0].size.norm == pytest.approx(float(np.linalg.norm(got)), rel=1e-6)
    assert (verdict.symptom, verdict.causes) == ("healthy", [])


def test_what_the_tape_did_not_keep() -> None:
    w = ta.ones(3, requires_grad=True)
    loss = (w + ta.ones(3)).sum()
    with pytest.raises(GradError, match="did not keep the input b of add at .*test_source"):
        to_source(loss)
    loss = (w * 3.0).sum()
    assert "w * 3 " in to_source(loss).text
    loss.backward()
    with pytest.raises(GraphFreedError, match="freed by a backward pass"):
        to_source(loss)


def test_errors(tmp_path: Path) -> None:
    w = ta.ones(3, requires_grad=True)
    with pytest.raises(GradError, match="expected one number, got shape"):
        to_source(w * 2)
    with pytest.raises(GradError, match="no history"):
        to_source(ta.ones(3).sum())
    with pytest.raises(ArgumentError, match="got list"):
        to_source([1])
    with pytest.raises(ArgumentError, match="belong to a function"):
        to_source(w.sum(), w)
    with pytest.raises(ArgumentError, match=r"ends with \.py"):
        to_source(lambda: (w * w).sum()).save(tmp_path / "step.txt")

    @op
    def prose(be: Any, x: Any) -> Any:
        """Adds nothing."""
        return x * 1

    @prose.vjp
    def _(g: Any) -> Any:
        return g

    try:
        with pytest.raises(ArgumentError, match="prose has no formula"):
            to_source(lambda: prose(w).sum())
    finally:
        del REGISTRY["prose"]
    with record() as r:
        loss = (w * w).sum()
    with ta.no_grad():
        w += 1
    with pytest.raises(GradError, match="changed since"):
        to_source(loss, record=r)
    y = w * 2
    y.register_hook(lambda g: g * 2)
    with pytest.raises(GradError, match="hook"):
        to_source(y.sum())


def test_numbers_that_numpy_does_not_have() -> None:
    layer, x = nn.Linear(3, 2), ta.randn(4, 3)
    with pytest.raises(ArgumentError, match=r"numbers of bfloat16.*\n.*model\.float\(\)"):
        to_source(lambda: (layer.weight.bfloat16() * 2).float().sum())
    with ta.autocast("cpu"), pytest.raises(ArgumentError, match="numbers of bfloat16"):
        to_source(lambda: layer(x).float().sum())
    layer.bfloat16()
    with pytest.raises(ArgumentError, match="numbers of bfloat16"):
        to_source(lambda: layer(x.bfloat16()).sum())


def test_numbers_beside_the_script(tmp_path: Path) -> None:
    w = ta.arange(100.0).requires_grad_()
    source = to_source(lambda: w.square().sum())
    assert list(source.arrays) == ["w"] and 'w = stored["w"]' in source.text
    source.save(tmp_path / "step.py")
    assert (tmp_path / "step.npz").exists()
    run(tmp_path)
    check(tmp_path / "step.py", 328350.0, {"w": 2 * np.arange(100.0)}, 1e-6)


def test_names_of_several_models() -> None:
    """Two models of the caller's are told apart by their variables, one needs no name."""
    encoder, decoder = nn.Linear(3, 4), nn.Linear(4, 2)
    source = to_source(lambda: decoder(encoder(ta.ones(2, 3))).sum())
    assert 'gradients = {"encoder.weight": gencoder_weight, "encoder.bias": ' in source.text
    x2 = ta.ones(1, requires_grad=True)
    text = to_source(
        x2.sum() * ta.ones(1, requires_grad=True) * ta.ones(1, requires_grad=True)
    ).text
    assert "gradients = {" in text and len(set(re.findall(r'"(x\d_*)": g', text))) == 3
    both = nn.Sequential(encoder, decoder)
    assert '"0.weight": gp0_weight' in to_source(lambda: both(ta.ones(2, 3)).sum()).text
