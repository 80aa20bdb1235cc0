"""bfloat16 as a dtype: where it comes from, how it mixes, prints, is saved and trained with."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tinygrad_ai import nn
from tinygrad_ai.autograd.op import REGISTRY
from tinygrad_ai.errors import CheckpointError, DTypeError
from tinygrad_ai.nn import functional as F
from tinygrad_ai.utils.checkpoint import checkpoint

torch = pytest.importorskip("torch", reason="PyTorch is the reference of these tests")
pytest.importorskip("ml_dtypes", reason="bfloat16 is ml_dtypes'")

B = ta.bfloat16
DTYPES = [
    "bool", "uint8", "int8", "int32", "int64", "float16", "bfloat16", "float32", "float64",
    "complex64",
]  # fmt: skip


def run(program: str) -> str:
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout


def test_it_is_loaded_when_first_asked_for() -> None:
    program = "import sys, tinygrad_ai as ta; print('ml_dtypes' in sys.modules);"
    assert run(program + "ta.zeros(1, dtype='bfloat16'); print('ml_dtypes' in sys.modules)") == (
        "False\nTrue\n"
    )
    assert run("from tinygrad_ai import bfloat16; print(bfloat16)") == "bfloat16\n"


@pytest.mark.parametrize("asked", [
    "ta.bfloat16", "ta.zeros(1, dtype='bfloat16')", "ta.tensor([1.0], dtype='bfloat16')",
    "ta.ones(1).bfloat16()", "ta.ones(1).to(dtype='bfloat16')", "ta.autocast('cpu')",
    "ta.nn.Linear(1, 1).bfloat16()", "ta.set_default_dtype('bfloat16')", "ta.load(sys.argv[1])",
])  # fmt: skip
def test_without_ml_dtypes_the_error_says_what_to_install(asked: str, tmp_path: Path) -> None:
    ta.save(ta.ones(1, dtype=B), tmp_path / "x.safetensors")
    program = (
        "import sys; sys.modules['ml_dtypes'] = None; import tinygrad_ai as ta\n"
        f"sys.argv = ['', {str(tmp_path / 'x.safetensors')!r}]\n"
        f"try: {asked}\nexcept ta.errors.DTypeError as error: print(error)"
    )
    said = run(program)
    assert said.startswith("bfloat16 needs the package ml_dtypes")
    assert "fix: pip install 'tinygrad-ai[bfloat16]'" in said


def test_how_it_mixes() -> None:
    for name in DTYPES:
        theirs = str(torch.promote_types(torch.bfloat16, getattr(torch, name)))
        ours = ta.promote_types(B, getattr(ta, name))
        assert theirs == f"torch.{ours}" and ta.promote_types(getattr(ta, name), "bfloat16") == ours
        for number in (1, 0.5, True):
            assert (ta.ones(2, dtype=B) * number).dtype == B
    made: list[Any] = []
    for lib in (ta, torch):
        x, one = lib.ones(2, dtype=lib.bfloat16), lib.tensor(1.0)
        made.append([
            x + one, x + lib.ones(2, dtype=lib.float16), lib.arange(2) + x, x / lib.arange(1, 3),
            one + lib.tensor(1.0, dtype=lib.bfloat16), x.sum(), x.mean(0), x > 1, x.argmax(),
            lib.arange(2).bfloat16(), x.to(lib.float16), x.long(), x.type(lib.float64),
        ])  # fmt: skip
    for a, b in zip(*made, strict=True):
        assert f"torch.{a.dtype}" == str(b.dtype) and a.tolist() == b.tolist()
    assert ta.can_cast(ta.int64, B) and not ta.can_cast(B, ta.int64)
    assert ta.result_type(ta.ones(2, dtype=B), 0.5) == B
    assert B.itemsize == 2 and ta.ones(3, dtype=B).is_floating_point()


def test_limits() -> None:
    ours, theirs = ta.finfo(B), torch.finfo(torch.bfloat16)
    for name in ("eps", "max", "min", "tiny", "smallest_normal", "bits"):
        assert float(getattr(ours, name)) == float(getattr(theirs, name)), name
    assert ta.finfo().eps == ta.finfo(ta.float32).eps == np.finfo("f4").eps


@pytest.mark.parametrize("values", [
    [1.5, 2.0], [0.1, -0.3], [[1.0, float("nan")], [float("-inf"), 2.0]], 3.14159, [1e-8, 1e8], [],
])  # fmt: skip
def test_text(values: Any) -> None:
    ours, theirs = ta.tensor(values, dtype=B), torch.tensor(values, dtype=torch.bfloat16)
    assert repr(ours) == repr(theirs).replace("torch.", "")
    assert np.array_equal(ours.tolist(), theirs.tolist(), equal_nan=True)


def test_numbers_of_python_are_compared_as_rounded_ones() -> None:
    found: list[Any] = []
    for lib in (ta, torch):
        x = lib.tensor([0.1, 0.2, 256.0], dtype=lib.bfloat16)
        found.append([(x == 0.1), (x > 0.1), (x >= 257), (x < 0.2), (x != 0.2), (x <= 0.1)])
    assert [m.tolist() for m in found[0]] == [m.tolist() for m in found[1]]


def test_nan_sorts_last() -> None:
    nan = float("nan")
    values = [3.0, nan, -1.0, float("inf"), 2.0, nan, float("-inf")]
    found: list[Any] = []
    for lib in (ta, torch):
        x = lib.tensor(values, dtype=lib.bfloat16)
        some = x[x == x]
        found.append([
            lib.sort(x, stable=True)[1], lib.nanmedian(x), some.topk(2)[0], lib.unique(some),
            lib.isnan(x).nonzero(), some.argmin(), lib.searchsorted(some.sort()[0], some),
            lib.bucketize(some, lib.tensor([0.0, 2.0], dtype=lib.bfloat16)), some.cummax(0)[0],
        ])  # fmt: skip
    for a, b in zip(*found, strict=True):
        assert a.tolist() == b.tolist() and f"torch.{a.dtype}" == str(b.dtype)


def test_sums_have_float32s_digits() -> None:
    x = ta.ones(4096, dtype=B)
    assert x.sum().item() == 4096 and x.mean().item() == 1 and (x @ x).item() == 4096
    assert x[None].expand(1000, 4096).sum(0)[0].item() == 1000


def test_random_numbers() -> None:
    ta.manual_seed(0)
    x = ta.randn(20000, dtype=B)
    assert x.dtype == B and abs(x.float().mean().item()) < 0.03
    assert abs(x.float().std().item() - 1) < 0.03
    y = ta.rand(100, dtype="bfloat16")
    made = [y, ta.rand_like(x), ta.bernoulli(y), ta.poisson(y * 9), ta.normal(x, 1.0),
            x.clone().uniform_(-1, 1), x.clone().normal_(), x.clone().exponential_()]  # fmt: skip
    assert {m.dtype for m in made} == {B}
    assert ta.multinomial(y, 3).shape == (3,)


def test_memory_is_shared_and_kept_small() -> None:
    """Views share memory; the tape keeps bfloat16; copies that compute are gone."""
    x = ta.ones(4, 6, dtype=B)
    x[1:3].mul_(2)
    x.T[0] = 5.0
    assert x[:, :2].tolist() == [[5, 1], [5, 2], [5, 2], [5, 1]]
    w = ta.ones(6, 6, dtype=B, requires_grad=True)
    y = ((x @ w).tanh() * x).exp()
    node: Any = y.node
    while node is not None and node.op is not None:
        assert all([a.dtype == B for a in node.saved if hasattr(a, "dtype")]), node
        node = node.parents[0]
    assert y.node is not None and y.node.name() == "exp" and REGISTRY["exp"].plain
    y.sum().backward()
    assert w.grad is not None and w.grad.dtype == B


def test_changes_of_saved_buffers_are_found() -> None:
    x = ta.ones(3, dtype=B, requires_grad=True)
    y = x * 2
    z = y * y
    y += 1
    with pytest.raises(ta.errors.InplaceError, match="bfloat16"):
        z.sum().backward()


def test_own_functions_and_checkpoints() -> None:
    class Double(ta.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            assert g.dtype == B
            return g * 2

    x = ta.ones(3, dtype=B, requires_grad=True)
    y = checkpoint(lambda v: Double.apply(v).exp(), x)
    y.sum().backward()
    assert x.grad is not None and x.grad.dtype == B
    np.testing.assert_allclose(x.grad.tolist(), 2 * np.exp(2), rtol=2**-8)


# ---- to and from others


def test_pytorchs_tensors() -> None:
    theirs = torch.randn(2, 3).bfloat16()
    for made in (ta.tensor(theirs), ta.as_tensor(theirs), ta.asarray(theirs)):
        assert made.dtype == B and made.tolist() == theirs.tolist()
    assert ta.tensor(theirs.requires_grad_(), dtype=ta.float32).dtype == ta.float32
    theirs = theirs.detach()
    shared = ta.from_dlpack(theirs)
    shared[0, 0] = 7.0
    assert theirs[0, 0].item() == 7 and shared.dtype == B
    back = torch.from_numpy(shared.view(ta.int16).numpy()).view(torch.bfloat16)
    assert back.equal(theirs)
    with pytest.raises(DTypeError, match=r"no bfloat16 through DLPack\n  fix: x.view"):
        torch.from_dlpack(shared)
    assert shared.numpy().dtype == B and ta.from_numpy(shared.numpy()).dtype == B
    with pytest.raises(DTypeError, match="expected numbers"):
        ta.tensor(np.zeros(2, "V2"))


def test_copies_and_pickles() -> None:
    x = ta.randn(3, dtype=B, requires_grad=True)
    for made in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert made.dtype == B and made.requires_grad and made.equal(x)


def test_files(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = tmp_path / "x.safetensors"
    model = nn.Linear(3, 2).bfloat16()
    state = {
        **model.state_dict(),
        "step": ta.tensor([3]),
        "wide": ta.ones(2),
        "0d": ta.ones(()).bfloat16(),
    }
    ta.save(state, path)
    theirs, ours = load_file(path), ta.load(path)
    assert set(ours) == set(theirs) == set(state)
    for name, t in ours.items():
        assert f"torch.{t.dtype}" == str(theirs[name].dtype) and t.shape == state[name].shape
        assert t.tolist() == theirs[name].tolist() == state[name].tolist()
    save_file({"w": torch.randn(4, 3).bfloat16(), "e": torch.zeros(0, 2).bfloat16()}, path)
    ours = ta.load(path)
    assert ours["w"].tolist() == load_file(path)["w"].tolist() and ours["e"].shape == (0, 2)
    model.load_state_dict({"weight": ours["w"][:2], "bias": ta.zeros(2)})
    assert model.weight.dtype == B and model.weight.equal(ours["w"][:2])
    with pytest.raises(CheckpointError, match=r"cannot hold bfloat16\n  fix: .*safetensors"):
        ta.save(state, tmp_path / "x.npz")
    np.savez(tmp_path / "y.npz", x=ours["w"].numpy())
    with pytest.raises(CheckpointError, match="x holds no numbers of a known dtype"):
        ta.load(tmp_path / "y.npz")
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(CheckpointError, match="damaged"):
        ta.load(path)


# ---- training


OPTIMIZERS = [
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}), ("Adam", {"lr": 0.05}),
    ("AdamW", {"lr": 0.05, "amsgrad": True}), ("RMSprop", {"lr": 0.02, "momentum": 0.5}),
    ("Adagrad", {"lr": 0.1}), ("Adadelta", {"lr": 1.0}), ("Adamax", {"lr": 0.05}),
    ("NAdam", {"lr": 0.05}), ("RAdam", {"lr": 0.05}), ("Rprop", {"lr": 0.05}),
    ("ASGD", {"lr": 0.05}),
]  # fmt: skip


@pytest.mark.parametrize("name, options", OPTIMIZERS)
def test_optimizers(name: str, options: Any) -> None:
    """Ten steps, beside PyTorch's and beside float64's: states are bfloat16, the end is no farther
    from float64's than twice PyTorch's, or two units of the parameters."""
    start = np.linspace(-1, 1, 12)
    ends = []
    for lib, dtype in ((ta, B), (torch, torch.bfloat16), (torch, torch.float64)):
        p = lib.tensor(start, dtype=dtype).requires_grad_()
        optimizer = getattr(lib.optim, name)([p], **options)
        for i in range(10):
            optimizer.zero_grad()
            ((p - 0.3 * (i % 3)) ** 2).sum().backward()
            optimizer.step()
        for key, state in optimizer.state[p].items():
            if key not in ("step", "eta", "mu", "mu_product") and state is not None:
                assert state.dtype == dtype, key
        assert p.dtype == dtype and p.grad.dtype == dtype
        ends.append(np.array(p.detach().tolist()))
    wrong = [float(np.abs(end - ends[2]).max()) for end in ends[:2]]
    assert wrong[0] <= max(2 * wrong[1], 2**-7), wrong


def test_states_go_both_ways() -> None:
    p, q = ta.ones(3, dtype=B, requires_grad=True), torch.ones(3, dtype=torch.bfloat16)
    q.requires_grad_()
    mine, theirs = ta.optim.Adam([p]), torch.optim.Adam([q])
    (q * q).sum().backward()
    theirs.step()
    mine.load_state_dict(theirs.state_dict())
    assert mine.state[p]["exp_avg"].dtype == B
    assert mine.state[p]["exp_avg"].tolist() == theirs.state[q]["exp_avg"].tolist()


def test_a_network_beside_pytorchs() -> None:
    """Attention, norms, a convolution: the loss and all gradients, one backward pass."""

    def build(lib: Any) -> Any:
        return lib.nn.Sequential(
            lib.nn.Conv1d(4, 8, 3, padding=1), lib.nn.GroupNorm(2, 8), lib.nn.GELU(),
            lib.nn.TransformerEncoderLayer(10, 2, 16, 0.0, batch_first=True), lib.nn.LayerNorm(10),
            lib.nn.Flatten(), lib.nn.Linear(80, 3),
        )  # fmt: skip

    torch.manual_seed(0)
    theirs, exact, ours = build(torch), build(torch).double(), build(ta)
    state = theirs.bfloat16().state_dict()
    exact.load_state_dict(state)
    ours.bfloat16().load_state_dict({k: ta.tensor(v) for k, v in state.items()})
    assert {p.dtype for p in ours.parameters()} == {B}
    x, labels = torch.randn(6, 4, 10).bfloat16(), torch.arange(6) % 3
    losses = []
    for model, value, target, loss in (
        (ours, ta.tensor(x), ta.tensor(labels.numpy()), F.cross_entropy),
        (theirs, x, labels, torch.nn.functional.cross_entropy),
        (exact, x.double(), labels, torch.nn.functional.cross_entropy),
    ):
        losses.append(loss(model(value), target))
        losses[-1].backward()
    off = [abs(loss.item() - losses[2].item()) for loss in losses[:2]]
    assert off[0] <= max(off[1], 2**-7)
    for mine, twin, real in zip(*[m.parameters() for m in (ours, theirs, exact)], strict=True):
        assert mine.grad.dtype == B
        a, b, c = [np.array(p.grad.tolist()) for p in (mine, twin, real)]
        errors = [np.abs(v - c).max() for v in (a, b)]
        assert errors[0] <= max(1.5 * errors[1], 0.02 * np.abs(c).max())


def test_the_default_dtype() -> None:
    try:
        ta.set_default_dtype("bfloat16")
        assert ta.zeros(2).dtype == ta.tensor([0.5]).dtype == (ta.arange(2) / 2).dtype == B
        assert repr(ta.ones(1)) == "tensor([1.])" and nn.Linear(2, 2)(ta.ones(1, 2)).dtype == B
    finally:
        ta.set_default_dtype(ta.float32)
    with pytest.raises(DTypeError, match="float"):
        ta.set_default_dtype(ta.int64)
    with pytest.raises(DTypeError, match="one dtype, got bfloat16 and float32"):
        ta.ones(2, 2, dtype=B) @ ta.ones(2, 2)
    with pytest.raises(AttributeError, match="no attribute 'float8'"):
        ta.float8  # type: ignore[attr-defined]  # noqa: B018


def test_norms_with_weights_of_float32() -> None:
    """PyTorch computes these with both dtypes; the result has the input's."""
    torch.manual_seed(0)
    x, state = torch.randn(4, 6, 5).bfloat16(), torch.linspace(0.5, 2, 6)
    for theirs, ours in (
        (torch.nn.BatchNorm1d(6), nn.BatchNorm1d(6)),
        (torch.nn.GroupNorm(2, 6), nn.GroupNorm(2, 6)),
    ):  # fmt: skip
        with torch.no_grad():
            theirs.weight.copy_(state[: len(theirs.weight)])
        ours.load_state_dict({k: ta.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
        for _ in range(2):  # with the batch's statistics, then with those kept
            mine, twin = ours(ta.tensor(x)), theirs(x)
            assert mine.dtype == B and twin.dtype == torch.bfloat16
            np.testing.assert_allclose(mine.tolist(), twin.tolist(), rtol=2**-7, atol=2**-7)
            ours.eval(), theirs.eval()
        for name, buffer in ours.named_buffers():
            kept = dict(theirs.named_buffers())[name]
            assert f"torch.{buffer.dtype}" == str(kept.dtype)
            np.testing.assert_allclose(buffer.tolist(), kept.tolist(), rtol=1e-2, atol=1e-3)
    with pytest.raises(DTypeError, match="layer_norm expected tensors of one dtype, got bfloat16"):
        nn.LayerNorm(5)(ta.tensor(x))
