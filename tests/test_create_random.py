"""New tensors and random ones: PyTorch's dtypes, shapes, sharing; reproducible draws."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tinygrad_ai.backend import random as streams
from tinygrad_ai.nn import functional as F

torch = pytest.importorskip("torch", reason="PyTorch is the reference of these tests")

MAKERS = [
    lambda lib: lib.tensor([1, 2]),
    lambda lib: lib.tensor([1.0, 2]),
    lambda lib: lib.tensor([True, False]),
    lambda lib: lib.tensor(3),
    lambda lib: lib.tensor([[1, 2], [3, 4]], dtype=lib.float64),
    lambda lib: lib.tensor([lib.tensor(1.0), lib.tensor(2.0)]),
    lambda lib: lib.zeros(2, 3),
    lambda lib: lib.ones((2, 3), dtype=lib.int32),
    lambda lib: lib.full((2,), 7),
    lambda lib: lib.full((2,), 7.5),
    lambda lib: lib.zeros_like(lib.ones(2, dtype=lib.int64)),
    lambda lib: lib.ones_like(lib.zeros(2), dtype=lib.float64),
    lambda lib: lib.full_like(lib.zeros(2), 3),
    lambda lib: lib.arange(5),
    lambda lib: lib.arange(1, 2, 0.3),
    lambda lib: lib.arange(5, 1, -2),
    lambda lib: lib.linspace(0, 1, 5),
    lambda lib: lib.linspace(3, -3, 4, dtype=lib.float64),
    lambda lib: lib.logspace(0, 2, 3),
    lambda lib: lib.eye(2, 3),
    lambda lib: lib.ones(3).new_zeros(2, 2),
    lambda lib: lib.ones(3, dtype=lib.float64).new_tensor([1, 2]),
    lambda lib: lib.tensor([1, 2]).float() + 1,
    lambda lib: lib.tensor([1, 2]) / 2,
    lambda lib: lib.tensor([1, 2]) * 2.5,
    lambda lib: lib.ones(2) * lib.tensor(2.0, dtype=lib.float64),
    lambda lib: lib.ones(2, dtype=lib.float16) + lib.ones(2),
    lambda lib: lib.tensor([True]) + 1,
    lambda lib: lib.ones(2).to(lib.int64).type_as(lib.ones(1)),
]


@pytest.mark.parametrize("make", MAKERS, ids=range(len(MAKERS)))
def test_like_pytorch(make: Any) -> None:
    mine, theirs = make(ta), make(torch)
    assert str(mine.dtype) == str(theirs.dtype).removeprefix("torch.")
    np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-6)


def test_sharing_with_numpy() -> None:
    array = np.zeros(3)
    shared, copied = ta.from_numpy(array), ta.tensor(array)
    array[0] = 5
    assert shared.tolist() == [5, 0, 0] and copied.tolist() == [0, 0, 0]
    shared[1] = 7.0
    assert array.tolist() == [5, 7, 0]
    assert ta.as_tensor(array).data_ptr() == shared.data_ptr()
    shared.numpy()[2] = 1
    assert np.asarray(shared).tolist() == [5, 7, 1] and array[2] == 1
    with pytest.raises(TypeError, match="from_numpy expects a NumPy array, got list"):
        ta.from_numpy([1])
    assert (np.ones(2) * ta.ones(2)).tolist() == [1, 1]
    assert isinstance(np.float64(2.0) * ta.ones(2), ta.Tensor)
    assert (ta.ones(2) * np.float64(2.0)).dtype == ta.float32


def test_dlpack_shares_with_pytorch() -> None:
    theirs = torch.arange(4.0)
    mine = ta.from_dlpack(theirs)
    assert mine.data_ptr() == theirs.data_ptr()
    mine[0] = 9.0
    assert theirs[0] == 9.0
    back = torch.from_dlpack(mine)
    assert back.data_ptr() == theirs.data_ptr()
    for like in (torch.eye(3)[:, ::2], torch.tensor(3), torch.zeros(0, 2), torch.eye(2).bool()):
        assert ta.from_dlpack(like).tolist() == like.tolist()
        assert ta.from_dlpack(like).numpy().flags.writeable
    fixed = np.arange(3.0)
    fixed.flags.writeable = False
    if np.lib.NumpyVersion(np.__version__) >= "2.1.0":  # before, NumPy refuses to hand it out
        with pytest.raises(ValueError, match="read-only"):
            ta.from_dlpack(fixed)[0] = 1.0
    with pytest.raises(RuntimeError, match="cannot export a tensor that requires a gradient"):
        torch.from_dlpack(ta.ones(2, requires_grad=True))


def test_copies_and_pickles() -> None:
    w = ta.ones(2, requires_grad=True)
    (w * 2).sum().backward()
    other = copy.deepcopy(w)
    assert (
        other.requires_grad and other.grad.tolist() == [2, 2] and other.data_ptr() != w.data_ptr()
    )
    assert pickle.loads(pickle.dumps(w)).requires_grad
    with pytest.raises(RuntimeError, match="only leaves can be deep-copied"):
        copy.deepcopy(w * 2)
    assert repr(ta.tensor([1.0, 2.5])) == "tensor([1.0000, 2.5000])"
    assert repr(w * 1).endswith("grad_fn=<mul>)") and "dtype=float64" in repr(ta.ones(1).double())
    assert (
        f"{ta.tensor(2.5):.2f}" == "2.50" and int(ta.tensor(3)) == 3 and [0, 1][ta.tensor(1)] == 1
    )


def draws() -> list[Any]:
    return [
        ta.rand(3), ta.randn(2, 2), ta.randint(0, 9, (4,)), ta.randperm(5),
        ta.bernoulli(ta.full((4,), 0.5)),
        ta.normal(0.0, 1.0, (3,)), ta.multinomial(ta.ones(4), 3), ta.zeros(3).uniform_(2, 3),
        ta.zeros(3).normal_(), F.dropout(ta.ones(8)), ta.rand_like(ta.ones(2)),
        ta.zeros(2).exponential_(),
    ]  # fmt: skip


def test_the_same_seed_gives_the_same_numbers() -> None:
    ta.manual_seed(3)
    first, state = draws(), ta.get_rng_state()
    after = ta.rand(2)
    ta.manual_seed(3)
    assert all(ta.equal(a, b) for a, b in zip(first, draws(), strict=True))
    ta.set_rng_state(state)
    assert ta.equal(ta.rand(2), after)
    ta.manual_seed(4)
    assert not ta.equal(ta.rand(3), first[0]) and ta.initial_seed() == 4
    with pytest.raises(RuntimeError, match="this is no state of a Generator"):
        ta.set_rng_state(ta.zeros(3, dtype=ta.uint8))


def test_generators_are_streams_of_their_own() -> None:
    g = ta.Generator().manual_seed(1)
    ta.manual_seed(0)
    a = ta.rand(2)
    ta.manual_seed(0)
    ta.rand(2, generator=g)
    assert ta.equal(ta.rand(2), a)
    code = "import tinygrad_ai as ta; ta.manual_seed(5); print(ta.randn(3).tolist())"
    runs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
        for _ in "ab"
    }
    assert len(runs) == 1


def test_distributions() -> None:
    ta.manual_seed(0)
    n = 200_000
    checks = [
        (ta.rand(n), 0.5, 1 / 12**0.5, (0, 1)),
        (ta.randn(n), 0, 1, (-9, 9)),
        (ta.randint(0, 10, (n,)).float(), 4.5, (99 / 12) ** 0.5, (0, 9)),
        (ta.bernoulli(ta.full((n,), 0.3)), 0.3, 0.21**0.5, (0, 1)),
        (ta.zeros(n).exponential_(2.0), 0.5, 0.5, (0, 99)),
        (ta.normal(ta.full((n,), 2.0), 3.0), 2, 3, (-30, 30)),
    ]
    for x, mean, std, (low, high) in checks:
        assert x.mean().item() == pytest.approx(mean, abs=0.02 * max(std, 0.1))
        assert x.std().item() == pytest.approx(std, rel=0.02)
        assert low <= x.min().item() <= x.max().item() <= high
    counts = ta.multinomial(ta.tensor([1.0, 3.0]), n, replacement=True).float().mean().item()
    assert counts == pytest.approx(0.75, abs=0.01)
    assert sorted(ta.randperm(100).tolist()) == list(range(100))


@pytest.mark.parametrize("name", ["dropout", "dropout1d", "dropout2d", "dropout3d"])
def test_dropout(name: str) -> None:
    ta.manual_seed(0)
    x = ta.ones(40, 50, *[4] * int(name[7:8] or 1), requires_grad=True)
    y = getattr(F, name)(x, 0.2)
    y.sum().backward()
    assert set(np.unique(y.detach().numpy())) == {0.0, 1.25}
    assert ta.equal(x.grad, y.detach())
    share = (y == 0).float().mean().item()
    assert share == pytest.approx(0.2, abs=0.03)
    if name != "dropout":  # whole channels
        flat = y.detach().reshape(40 * 50, -1)
        assert ta.equal(flat.amin(1), flat.amax(1))
    assert F.dropout(x, 0.2, training=False) is x
    assert F.dropout(x, 1.0).sum().item() == 0


def test_chosen_at_both_ends_and_for_odd_counts() -> None:
    assert streams.chosen((3, 5), 1.0).all() and not streams.chosen((3, 5), 0.0).any()
    assert streams.chosen((), 1.0).shape == () and streams.chosen((2, 0), 0.5).shape == (2, 0)
    assert streams.chosen((10_001,), 0.9).mean() == pytest.approx(0.9, abs=0.02)
    assert streams.chosen((10_001,), 1e-12).sum() == 0


def test_rrelu() -> None:
    x = ta.randn(1000, requires_grad=True)
    y = F.rrelu(x, 0.1, 0.3, training=True)
    y.sum().backward()
    slope = (y / x).detach()
    assert ta.allclose(x.grad, slope) and ta.equal(slope[x > 0], ta.ones(int((x > 0).sum())))
    down = slope[x < 0]
    assert 0.1 <= down.min() < 0.11 and 0.29 < down.max() <= 0.3
    with pytest.raises(ValueError, match="lower <= upper"):
        F.rrelu(x, 0.3, 0.1)


def test_gumbel_softmax_draws_the_distribution() -> None:
    ta.manual_seed(0)
    p = ta.tensor([0.1, 0.6, 0.3])
    logits = p.log().expand(20_000, 3).clone().requires_grad_()
    hard = F.gumbel_softmax(logits, tau=0.5, hard=True)
    assert set(np.unique(hard.detach().numpy().round(5))) == {0.0, 1.0}
    np.testing.assert_allclose(hard.detach().mean(0).numpy(), p.numpy(), atol=0.015)
    (hard * ta.tensor([1.0, 0.0, 0.0])).sum().backward()
    assert 0 < logits.grad.abs().max() < 1  # the slope of the soft sample
    assert ta.allclose(F.gumbel_softmax(logits).sum(-1), ta.ones(20_000))


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    ta.manual_seed(0)
    x = ta.randn(400, 500)
    for y in (
        F.alpha_dropout(x, 0.3, training=True),
        F.feature_alpha_dropout(x, 0.3, training=True),
    ):
        assert y.mean().item() == pytest.approx(0, abs=0.02) and y.std().item() == pytest.approx(
            1, abs=0.03
        )


PRINTED = [
    [1.0, 2.0], [1.5, -22.25], [1e-6, 1.0], [1e9, 2.0], [123456.0, 1.0], [0.00012, 0.5],
    [float("nan"), 1.5], [float("inf"), 2.0], [[1.0, 2.5], [3.25, -4.0]], 3.5, 7.0, [1, 20, 300],
    [True, False], [], [[1, 2], [3, 4]],
    [0.0, 0.0], [1000.5, 1.0], [99999.0, 0.5],
]  # fmt: skip


@pytest.mark.parametrize("values", PRINTED, ids=str)
def test_prints_as_pytorch(values: Any) -> None:
    assert repr(ta.tensor(values)) == repr(torch.tensor(values))


def test_prints_long_tensors_as_pytorch() -> None:
    for shape in ((2000,), (50, 60), (3, 400)):
        values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) / 8
        assert repr(ta.tensor(values)) == repr(torch.tensor(values))


def test_result_type_and_can_cast_like_pytorch() -> None:
    for make in (
        lambda lib: (lib.ones(2), 1.5),
        lambda lib: (lib.tensor([1]), 1.5),
        lambda lib: (lib.tensor([1]), lib.tensor(2.0, dtype=lib.float64)),
        lambda lib: (lib.ones(2, dtype=lib.float16), lib.tensor([1], dtype=lib.int64)),
        lambda lib: (lib.tensor([True]), 3),
    ):
        mine, theirs = ta.result_type(*make(ta)), torch.result_type(*make(torch))
        assert str(mine) == str(theirs).removeprefix("torch.")
    for a in ("bool", "int64", "uint8", "float32"):
        for b in ("bool", "int8", "float16"):
            pair = [getattr(lib, n) for lib in (ta, torch) for n in (a, b)]
            assert ta.can_cast(*pair[:2]) == torch.can_cast(*pair[2:])
