"""Our models beside PyTorch's: twins that are built, differences that are found and named."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
from functools import partial
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tests.hf_help import library
from tests.test_modules import CASES, IDS, Case
from tinygrad_ai import models, nn
from tinygrad_ai.autograd.op import REGISTRY
from tinygrad_ai.errors import ArgumentError, CheckpointError, RangeError, ShapeError
from tinygrad_ai.models import MLP
from tinygrad_ai.nn import functional as F
from tinygrad_ai.study import parity, parity_torch
from tinygrad_ai.study.parity_report import compared, ulps

torch = pytest.importorskip("torch", reason="PyTorch is the reference of these tests")
T = torch.nn
random = np.random.default_rng(0)
X, SQUARE = random.standard_normal((8, 6)), random.standard_normal((8, 4))
LABELS = random.integers(0, 3, 8)


class Net(nn.Module):
    """A class of the user's: own parameters, methods, numbers, functions of a module."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.scale = nn.Linear(6, 4), 2.0
        self.w = nn.Parameter(ta.randn(4, 3))
        self.register_buffer("shift", ta.ones(4))

    def forward(self, x: ta.Tensor) -> ta.Tensor:
        return self.bent(self.fc(x)) @ self.w

    def bent(self, h: Any) -> Any:
        return ta.tanh(F.gelu(h, approximate="tanh")) * self.scale + self.shift


def mlp() -> nn.Sequential:
    ta.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 6), nn.GELU(), nn.LayerNorm(6), nn.Linear(6, 3))


# ---- twins


@pytest.mark.parametrize("c", CASES, ids=IDS)
def test_the_twin_of_every_module(c: Case) -> None:
    if c.name in ("RReLU", "TripletMarginWithDistanceLoss"):
        return  # random numbers that cannot be switched off; distances in another order
    ours = getattr(nn, c.name)(*c.args, **c.kwargs)
    arrays = [random.standard_normal(i) if isinstance(i, tuple) else i for i in c.inputs]
    if not any([a.dtype.kind == "f" for a in arrays]) and not list(ours.parameters()):
        return
    loss = None
    if c.name.endswith("Loss") and len(arrays) == 2 and ours.reduction != "none":
        ours, loss = nn.Identity(), ours
    rtol = 1e-6 if c.name in ("Hardsigmoid", "CELU") else 1e-10  # float32 constants in PyTorch
    found = parity(ours, tuple(arrays), loss=loss, rtol=rtol)
    assert found.ok, found
    assert [r.name for r in found.rows if r.stage == "activation"]
    stages = {r.stage for r in found.rows}
    assert "gradient" in stages and "loss" in stages


@pytest.mark.parametrize("fused", [None, "relu", "gelu", "gelu_tanh", "tanh"])
def test_twins_of_whole_networks(fused: str | None) -> None:
    m = nn.Sequential(nn.Linear(6, 6, activation=fused), nn.BatchNorm1d(6), nn.Linear(6, 3))
    options = {"loss": nn.CrossEntropyLoss(), "optimizer": ta.optim.Adam, "updates": 3}
    assert parity(m, (X, LABELS), **options).ok
    assert parity(m.eval(), (X, LABELS), **options).ok
    assert parity(MLP(6, 5, 3), (X, LABELS), **options).ok
    found = parity(Net(), (X, LABELS), loss=F.cross_entropy)
    assert found.ok and ("gradient", "w") in [r.key for r in found.rows]


def test_twins_of_classes() -> None:
    def outer(x: Any, by: float = 2.0) -> Any:
        return F.relu(x) * by

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(6, 6), nn.Linear(6, 6)])
            self.act = {"f": ta.tanh, "g": partial(F.softmax, dim=-1)}
            self.missing, self.by = None, nn.ParameterDict({"a": ta.ones(6)})

        @property
        def factor(self) -> float:
            return 3.0

        @staticmethod
        def shifted(x: Any) -> Any:
            return ta.cat([x, ta.zeros(len(x), 1, dtype=x.dtype)], dim=1)[:, 1:]

        def forward(self, x: Any) -> Any:
            for layer in self.layers:
                x = outer(self.act["f"](layer(x)), by=1.5)
            return self.act["g"](self.shifted(x) * self.factor * self.by["a"])

    found = parity(Mixed(), X, optimizer=ta.optim.Adam)
    assert found.ok, found
    assert [r.name for r in found.rows][:3] == ["layers.0", "layers.1", "output"]

    class Ours(nn.Module):
        def forward(self, x: Any) -> Any:
            return ta.tensor(x.array.copy())

    with pytest.raises(ArgumentError, match="does not run: Attr.*\n.*reference"):
        parity(Ours(), X)


def test_a_fused_activation_is_compared_behind_it() -> None:
    ours = nn.Sequential(nn.Linear(6, 5, activation="gelu"), nn.Linear(5, 3))
    theirs = T.Sequential(T.Linear(6, 5), T.GELU(), T.Linear(5, 3))
    found = parity(ours, (X, LABELS), theirs, loss=nn.CrossEntropyLoss(), optimizer=ta.optim.Adam)
    assert found.ok and ("gradient", "0.weight") in [r.key for r in found.rows], found
    assert [r.name for r in found.rows if r.stage == "activation"] == ["1", "output"]
    assert "the activation is inside the linear layer here: compared behind it: 0" in found.notes
    theirs[1] = T.GELU("tanh")
    found = parity(ours, X, theirs)
    assert found.bad.key == ("activation", "1") and found.cause.name == "gelu tanh/erf", found


SMALL: dict[str, Any] = {
    "BertForSequenceClassification": {
        "vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 16, "max_position_embeddings": 16,
    },
    "GPT2LMHeadModel": {
        "vocab_size": 20, "n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 16,
        "bos_token_id": 1, "eos_token_id": 1, "use_cache": False,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", SMALL)
def test_language_models_beside_transformers(name: str) -> None:
    transformers = library()
    kind = f"{name[:4]}Config"
    model = getattr(models, name)(getattr(models, kind)(**SMALL[name]))
    ids = random.integers(1, 20, (2, 5))
    config = getattr(transformers, kind)(**SMALL[name], attn_implementation="eager")
    theirs = getattr(transformers, name)(config)
    found = parity(model, ids, theirs, optimizer=ta.optim.AdamW)
    assert found.ok, found
    names = [r.name for r in found.rows if r.stage == "activation"]
    assert {"bert.encoder.layer.0.intermediate", "transformer.h.0.mlp.c_proj"} & set(names)
    with pytest.raises(ArgumentError, match=rf"no twin.*\n.*reference=transformers\.{name}"):
        parity(model, ids)


def test_a_mistake_of_the_models_is_not_the_twins() -> None:
    with pytest.raises(ShapeError, match=r"in 0 \(Linear 6 -> 6\)"):
        parity(mlp(), X[:, :5])
    with pytest.raises(RangeError, match="expected labels from 0 to 2"):
        parity(mlp(), (X, LABELS + 3), loss=nn.CrossEntropyLoss())


def test_shared_parameters_and_frozen_ones() -> None:
    m = mlp()
    m[3] = nn.Linear(6, 6)
    m[3].weight = m[0].weight
    m[0].bias.requires_grad_(False)
    found = parity(m, X, optimizer=lambda ps: ta.optim.SGD(ps, lr=0.1), updates=2)
    assert found.ok and [r.key for r in found.rows].count(("update 2", "0.weight")) == 1


ALL = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}, "ASGD": {}, "Adam": {"amsgrad": True},
    "AdamW": {}, "Adamax": {}, "NAdam": {}, "RAdam": {}, "Adagrad": {}, "Adadelta": {},
    "RMSprop": {"centered": True}, "Rprop": {}, "Adafactor": {}, "LBFGS": {"max_iter": 3},
}  # fmt: skip


@pytest.mark.parametrize("name", ALL)
def test_twins_of_optimizers(name: str) -> None:
    made = getattr(ta.optim, name)
    m = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3))
    found = parity(
        m, (X, LABELS), loss=nn.CrossEntropyLoss(), optimizer=lambda ps: made(ps, **ALL[name]),
        updates=4, rtol=1e-6,
    )  # fmt: skip
    assert found.ok, found
    assert found.rows[-1].stage == "update 4"


def test_an_optimizer_at_work_goes_on() -> None:
    m = mlp()
    optimizer = ta.optim.Adam(m.parameters(), lr=0.01)
    for _ in range(2):
        optimizer.zero_grad()
        nn.CrossEntropyLoss()(m(ta.tensor(X).float()), ta.tensor(LABELS)).backward()
        optimizer.step()
    before = snapshot(m, optimizer)
    found = parity(m, (X, LABELS), loss=nn.CrossEntropyLoss(), optimizer=optimizer, updates=2)
    assert found.ok and snapshot(m, optimizer) == before


def snapshot(m: Any, optimizer: Any) -> Any:
    state = [[v.tolist() for v in s.values()] for s in optimizer.state.values()]
    grads = [None if p.grad is None else p.grad.tolist() for p in m.parameters()]
    values = {k: v.tolist() for k, v in m.state_dict().items()}
    return values, grads, state, ta.get_rng_state().tolist(), [p._version for p in m.parameters()]


def test_nothing_changes() -> None:
    m, reference = mlp(), T.Sequential(T.Linear(6, 6), T.Tanh(), T.LayerNorm(6), T.Linear(6, 3))
    optimizer = ta.optim.SGD(m.parameters(), lr=0.1)
    m(ta.tensor(X).float()).sum().backward()
    torch.manual_seed(3)
    state = torch.get_rng_state().tolist()
    theirs = {k: v.tolist() for k, v in reference.state_dict().items()}
    before = snapshot(m, optimizer)
    found = parity(m, (X, LABELS), reference, loss=nn.CrossEntropyLoss(), optimizer=optimizer)
    assert not found.ok and snapshot(m, optimizer) == before
    assert torch.get_rng_state().tolist() == state and m[0]._hooks is None
    assert {k: v.tolist() for k, v in reference.state_dict().items()} == theirs
    assert not reference[0]._forward_hooks


# ---- planted causes: (ours, the reference, the row that differs first, the cause's name)


class Theirs(T.Module):
    """A reference that does one layer in a way of its own: `way(module, x)`."""

    def __init__(self, like: Any, way: Any) -> None:
        super().__init__()
        for name, p in [*like.named_parameters(), *like.named_buffers()]:
            value = torch.tensor(p.detach().numpy())
            if p.requires_grad:
                setattr(self, name, T.Parameter(value))
            else:
                self.register_buffer(name, value)
        self.way = way

    def forward(self, x: Any) -> Any:
        return self.way(self, x)


def normed(correction: int, outside: bool = False, eps: float = 1e-5) -> Any:
    def way(m: Any, x: Any) -> Any:
        centred, v = x - x.mean(-1, keepdim=True), x.var(-1, correction=correction, keepdim=True)
        return centred / (v.sqrt() + eps if outside else (v + eps).sqrt()) * m.weight + m.bias

    return way


def batch_normed(m: Any, x: Any, biased: bool) -> Any:
    y = torch.nn.functional.batch_norm(
        x, m.running_mean, m.running_var, m.weight, m.bias, True, 0.1, 1e-5
    )
    if biased:
        m.running_var = 0.9 + 0.1 * x.detach().var(0, correction=0)
    return y


def twisted_kernel(m: Any, x: Any) -> Any:
    return torch.nn.functional.conv2d(x, m.weight.flip(2, 3), m.bias)


IMAGES = random.standard_normal((2, 3, 5, 5))
TOKENS = random.standard_normal((2, 5, 4))
ENCODER = {"dropout": 0.0, "batch_first": True}
LAYERS = {
    "gelu": (nn.GELU(), T.GELU("tanh"), X, "gelu tanh/erf"),
    "gelu the other way": (nn.GELU("tanh"), T.GELU(), X, "gelu tanh/erf"),
    "gelu inside": (
        nn.Linear(6, 4, activation="gelu"),
        lambda m: Theirs(m, lambda t, x: T.GELU("tanh")(x @ t.weight.T + t.bias)), X,
        "gelu tanh/erf",
    ),
    "gelu in an encoder": (
        nn.TransformerEncoderLayer(4, 2, 8, activation="gelu", **ENCODER),
        T.TransformerEncoderLayer(
            4, 2, 8, activation=lambda x: T.functional.gelu(x, approximate="tanh"), **ENCODER
        ), TOKENS, "gelu tanh/erf",
    ),
    "eps of layer norm": (nn.LayerNorm(6), T.LayerNorm(6, 1e-6), X, "eps"),
    "eps of batch norm": (nn.BatchNorm1d(6), T.BatchNorm1d(6, 1e-3), X, "eps"),
    "eps of group norm": (nn.GroupNorm(2, 6), T.GroupNorm(2, 6, 1e-12), X, "eps"),
    "eps of rms norm": (nn.RMSNorm(6, 1e-6), T.RMSNorm(6, 1e-5), X, "eps"),
    "eps outside": (nn.LayerNorm(6), lambda m: Theirs(m, normed(0, True)), X, "eps"),
    "unbiased variance": (nn.LayerNorm(6), lambda m: Theirs(m, normed(1)), X, "biased variance"),
    "biased running variance": (
        nn.BatchNorm1d(6), lambda m: Theirs(m, lambda t, x: batch_normed(t, x, True)), X,
        "biased variance",
    ),
    "momentum": (nn.BatchNorm1d(6), T.BatchNorm1d(6, momentum=0.9), X, "momentum convention"),
    "training mode": (nn.BatchNorm1d(6), T.BatchNorm1d(6).eval(), X, "training mode"),
    "transposed": (
        nn.Linear(4, 4), lambda m: Theirs(m, lambda t, x: x @ t.weight + t.bias), SQUARE,
        "transposed weight",
    ),
    "flipped": (nn.Conv2d(3, 2, 3), lambda m: Theirs(m, twisted_kernel), IMAGES, "flipped kernel"),
    "no bias": (
        nn.Linear(6, 4), lambda m: Theirs(m, lambda t, x: x @ t.weight.T + 0 * t.bias), X, "bias",
    ),
    "slope": (nn.LeakyReLU(), T.LeakyReLU(0.2), X, "slope"),
    "alpha": (nn.ELU(), T.ELU(0.5), X, "alpha"),
    "activation": (nn.ReLU(), T.SiLU(), X, "activation"),
    "softmax": (nn.Softmax(-1), T.Softmax(0), X, "dimension"),
    "norm first": (
        nn.TransformerEncoderLayer(4, 2, 8, **ENCODER),
        T.TransformerEncoderLayer(4, 2, 8, norm_first=True, **ENCODER), TOKENS,
        "order of the norm",
    ),
    "batch first": (
        nn.LSTM(4, 4, batch_first=True), T.LSTM(4, 4), random.standard_normal((5, 5, 4)),
        "batch first",
    ),
    "padding": (
        nn.Conv2d(3, 2, 3, padding=1), T.Conv2d(3, 2, 3, padding=1, padding_mode="reflect"), IMAGES,
        "padding mode",
    ),
    "padding counted": (
        nn.AvgPool2d(3, 2, 1), T.AvgPool2d(3, 2, 1, count_include_pad=False), IMAGES,
        "padding counted",
    ),
}  # fmt: skip


@pytest.mark.parametrize("planted", LAYERS)
def test_causes_in_a_layer(planted: str) -> None:
    ours, theirs, x, name = LAYERS[planted]
    reference = theirs if isinstance(theirs, T.Module) else theirs(ours)
    middle = nn.Sequential(nn.Identity(), ours)
    found = parity(middle, x, T.Sequential(T.Identity(), reference))
    assert not found.ok and found.bad.name.split("[")[0].split(".")[0] == "1", found
    assert found.rows[-1] is found.bad and found.cause, found
    assert found.cause.name == name and found.cause.proved, found


def test_what_comes_after_the_difference_is_not_run_again() -> None:
    ran: list[str] = []

    class Counted(nn.Module):
        def forward(self, x: Any) -> Any:
            ran.append("forward")
            x.register_hook(lambda g: ran.append("backward"))
            return x * 1

    ours = nn.Sequential(nn.LayerNorm(6), Counted(), nn.Linear(6, 3))
    reference = T.Sequential(T.LayerNorm(6, 1e-10), T.Identity(), T.Linear(6, 3))
    found = parity(ours, X, reference, optimizer=ta.optim.Adam, updates=2)
    assert found.cause.name == "eps" and found.tried > 5
    assert ran == ["forward", "backward"] * 3 + ["forward"]  # and once to see which ops there are
    ran.clear()
    loss = (nn.CrossEntropyLoss(), T.CrossEntropyLoss(reduction="sum"))
    reference[0].eps = 1e-5
    assert parity(ours, (X, LABELS), reference, loss=loss).cause.name == "mean/sum reduction"
    assert ran.count("backward") == 1 < ran.count("forward")


def test_causes_in_functions_of_a_class() -> None:
    class Attention(nn.Module):
        def forward(self, x: Any) -> Any:
            return F.scaled_dot_product_attention(x, x, x)

    class Their(T.Module):
        def __init__(self, **options: Any) -> None:
            super().__init__()
            self.options = options

        def forward(self, x: Any) -> Any:
            return T.functional.scaled_dot_product_attention(x, x, x, **self.options)

    assert parity(Attention(), TOKENS, Their()).ok
    scaled = parity(Attention(), TOKENS, Their(scale=1.0))
    assert scaled.cause.name == "attention scale" and "no scale" in scaled.cause.text
    assert parity(Attention(), TOKENS, Their(is_causal=True)).cause.name == "causal mask"

    class Pooled(nn.Module):
        def forward(self, x: Any) -> Any:
            return x.mean(1)

    class Summed(T.Module):
        def forward(self, x: Any) -> Any:
            return x.sum(1)

    assert parity(Pooled(), X, Summed()).cause.name == "mean/sum reduction"

    class Noisy(nn.Module):
        def forward(self, x: Any) -> Any:
            return x + ta.rand_like(x)

    class Calm(T.Module):
        def forward(self, x: Any) -> Any:
            return x

    assert parity(Noisy(), X, Calm()).cause.name == "random numbers"


LOSSES = {
    "cross entropy": (nn.CrossEntropyLoss(), T.CrossEntropyLoss(reduction="sum"), LABELS),
    "mse": (nn.MSELoss(reduction="sum"), T.MSELoss(), random.standard_normal((8, 3))),
    "smoothing": (nn.CrossEntropyLoss(), T.CrossEntropyLoss(label_smoothing=0.1), LABELS),
    "function": (
        lambda y, t: ((y - t) ** 2).mean(), lambda y, t: ((y - t) ** 2).sum(),
        random.standard_normal((8, 3)),
    ),
    "batch mean": (
        lambda y, t: ((y - t) ** 2).sum(), lambda y, t: ((y - t) ** 2).sum() / 8,
        random.standard_normal((8, 3)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("planted", LOSSES)
def test_causes_in_the_loss(planted: str) -> None:
    ours, theirs, target = LOSSES[planted]
    found = parity(mlp(), (X, target), loss=(ours, theirs))
    assert found.bad.stage == "loss"
    name = "label smoothing" if planted == "smoothing" else "mean/sum reduction"
    assert name in [c.name for c in found.causes if c.proved], found


def test_a_factor_of_two_losses_is_named_only_if_it_is_a_simple_one() -> None:
    target = random.standard_normal((8, 3))
    half = (nn.MSELoss(), lambda y, t: 0.5 * ((y - t) ** 2).mean())
    found = parity(mlp(), (X, target), loss=half)
    assert "factor of 2.0" in found.cause.text and not found.cause.proved
    assert "first difference: loss, " in str(found)
    weight = torch.tensor([1.0, 2.0, 3.0]).double()
    other = (nn.CrossEntropyLoss(), T.CrossEntropyLoss(weight, label_smoothing=0.3))
    found = parity(mlp(), (X, LABELS), loss=other)
    assert found.bad.stage == "loss" and not found.causes, found
    assert "known causes explains it" in str(found)


def test_causes_in_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = T.Sequential(T.Linear(6, 6), T.Tanh(), T.Linear(6, 3))
    ours = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 3))
    reference[0].weight.requires_grad_(False)
    found = parity(ours, X, reference)
    assert found.bad.key == ("gradient", "0.weight") and found.cause.name == "detached"
    reference[0].weight.requires_grad_(True)
    rule = REGISTRY["tanh"].rule
    for factor, name in ((2.0, "factor"), (-1.0, "sign")):
        monkeypatch.setattr(
            REGISTRY["tanh"], "rule", lambda g, y, f=factor: rule(g, y) * f
        )  # fmt: skip
        found = parity(ours, X, reference)
        assert found.bad.key == ("gradient", "0"), found
        assert found.cause.name == name and not found.cause.proved


def shrinking(ps: Any, decay: float) -> Any:
    """RMSprop with AdamW's decay."""

    class Shrinking(torch.optim.RMSprop):
        def step(self, closure: Any = None) -> Any:
            before = [p.detach().clone() for p in self.param_groups[0]["params"]]
            loss = super().step(closure)
            with torch.no_grad():
                for p, b in zip(self.param_groups[0]["params"], before, strict=True):
                    p.sub_(self.param_groups[0]["lr"] * decay * b)
            return loss

    return Shrinking(ps)


def adam_without_correction(ps: Any) -> Any:
    class Plain(torch.optim.Optimizer):
        def __init__(self) -> None:
            super().__init__(ps, {})
            self.moments = {p: (torch.zeros_like(p), torch.zeros_like(p)) for p in ps}

        @torch.no_grad()
        def step(self, closure: Any) -> None:
            with torch.enable_grad():
                closure()
            for p, (m, v) in self.moments.items():
                m.mul_(0.9).add_(p.grad, alpha=0.1)
                v.mul_(0.999).addcmul_(p.grad, p.grad, value=0.001)
                p.sub_(1e-3 * m / (v.sqrt() + 1e-8))

    return Plain()


def averaged_momentum(ps: Any) -> Any:
    class Average(torch.optim.Optimizer):
        def __init__(self) -> None:
            super().__init__(ps, {})
            self.v = {p: torch.zeros_like(p) for p in ps}

        @torch.no_grad()
        def step(self, closure: Any) -> None:
            with torch.enable_grad():
                closure()
            for p, v in self.v.items():
                v.mul_(0.9).add_(p.grad, alpha=0.1)
                p.sub_(0.1 * v)

    return Average()


def adding_up(ps: Any) -> Any:
    made = torch.optim.SGD(ps, lr=0.1)
    made.zero_grad = lambda: None  # type: ignore[method-assign]
    return made


def sgd(**options: Any) -> Any:
    return lambda ps: ta.optim.SGD(ps, **{"lr": 0.1, **options})


def tsgd(**options: Any) -> Any:
    return lambda ps: torch.optim.SGD(ps, **{"lr": 0.1, **options})


def adam(**options: Any) -> Any:
    return lambda ps: ta.optim.Adam(ps, **options)


def tadam(**options: Any) -> Any:
    return lambda ps: torch.optim.Adam(ps, **options)


STEPS = {
    "decoupled": (adam(weight_decay=0.1), lambda ps: torch.optim.AdamW(ps, weight_decay=0.1),
                  "coupled/decoupled weight decay", 1),
    "none and AdamW's": (adam(), lambda ps: torch.optim.AdamW(ps), "weight decay", 1),
    "none and a decoupled one": (
        lambda ps: ta.optim.RMSprop(ps), lambda ps: shrinking(ps, 0.05), "weight decay", 1,
    ),
    "coupled": (lambda ps: ta.optim.AdamW(ps, weight_decay=0.1), tadam(weight_decay=0.1),
                "coupled/decoupled weight decay", 1),
    "weight decay": (adam(), tadam(weight_decay=0.01), "weight decay", 1),
    "dampening": (sgd(momentum=0.9), tsgd(momentum=0.9, dampening=0.9), "momentum/dampening", 2),
    "average": (sgd(momentum=0.9), averaged_momentum, "momentum/dampening", 1),
    "nesterov": (sgd(momentum=0.9), tsgd(momentum=0.9, nesterov=True), "nesterov", 1),
    "momentum": (sgd(), tsgd(momentum=0.9), "momentum", 2),
    "bias correction": (adam(), adam_without_correction, "bias correction", 1),
    "betas": (adam(), tadam(betas=(0.9, 0.95)), "betas", 2),
    "eps": (adam(), tadam(eps=1e-3), "eps", 1),
    "amsgrad": (adam(lr=0.1), tadam(lr=0.1, amsgrad=True), "amsgrad", 3),
    "alpha": (lambda ps: ta.optim.RMSprop(ps), lambda ps: torch.optim.RMSprop(ps, alpha=0.9),
              "alpha", 1),
    "learning rate": (sgd(lr=0.1), tsgd(lr=0.3), "learning rate", 1),
    "sign": (sgd(), tsgd(maximize=True), "sign", 1),
    "adding up": (sgd(), adding_up, "gradients add up", 2),
}  # fmt: skip


@pytest.mark.parametrize("planted", STEPS)
def test_causes_in_the_optimizer(planted: str) -> None:
    ours, theirs, name, step = STEPS[planted]
    m = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3))
    ta.manual_seed(0)
    for p in m.parameters():
        nn.init.normal_(p)
    found = parity(m, (X, LABELS), loss=nn.CrossEntropyLoss(), optimizer=(ours, theirs), updates=8)
    assert found.bad.stage.startswith("update") and found.cause, found
    assert found.cause.name == name and found.cause.proved, found
    assert int(found.bad.stage.split()[1]) >= step, found


# ---- weights


def test_weights_of_their_own() -> None:
    ours, reference = nn.Linear(4, 4), T.Linear(4, 4)
    ours.load_state_dict({k: ta.tensor(v.numpy()) for k, v in reference.state_dict().items()})
    assert parity(ours, SQUARE, reference, weights="own").rows[0].key == ("weights", "weight")
    with torch.no_grad():
        reference.weight.copy_(reference.weight.T.clone())
    found = parity(ours, SQUARE, reference, weights="own")
    assert found.bad.key == ("weights", "weight") and found.cause.name == "transposed weight"
    assert parity(ours, SQUARE, reference).ok  # ours are copied


def test_initial_bounds() -> None:
    ours, reference = nn.Sequential(nn.Linear(60, 40)), T.Sequential(T.Linear(60, 40))
    x = random.standard_normal((3, 60))
    found = parity(ours, x, reference, weights="initial")
    assert found.ok and found.rows[0].key == ("initial", "0.weight"), found
    T.init.xavier_uniform_(reference[0].weight)
    found = parity(ours, x, reference, weights="initial")
    assert found.bad.key == ("initial", "0.weight") and found.cause.name == "initial bound"
    assert "1/√fan_in" in found.cause.text.split(";")[0]
    assert "Xavier" in found.cause.text.split(";")[1]
    T.init.kaiming_normal_(reference[0].weight)
    found = parity(ours, x, reference, weights="initial")
    assert "not uniform" in found.cause.text and "Kaiming" in found.cause.text
    T.init.zeros_(reference[0].weight)
    assert "constant, 0" in parity(ours, x, reference, weights="initial").cause.text


def test_other_names_and_the_other_way_round() -> None:
    class Conv1D(T.Module):
        """As GPT-2's: the weight is (in, out)."""

        def __init__(self) -> None:
            super().__init__()
            self.w, self.b = T.Parameter(torch.ones(6, 3)), T.Parameter(torch.ones(3))

        def forward(self, x: Any) -> Any:
            return x @ self.w + self.b

    class Their(T.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = T.Linear(6, 6), Conv1D()

        def forward(self, x: Any) -> Any:
            return self.second(self.first(x).tanh())

    ours = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 3))
    options = {"optimizer": ta.optim.Adam, "updates": 2}
    found = parity(ours, X, Their(), **options)
    assert found.ok and any(["by their order" in n for n in found.notes])
    assert "2.weight is kept transposed in the reference" in found.notes
    assert {("activation", "2"), ("update 2", "2.weight")} <= {r.key for r in found.rows}
    assert "not compared, as the reference has no namesake: 1" in found.notes  # tanh
    names = {"0": "first", "2.weight": "second.w", "2.bias": "second.b"}
    assert parity(ours, X, Their(), names=names, **options).ok
    with pytest.raises(ArgumentError, match="do not belong together.*\n.*names="):
        parity(nn.Linear(6, 3, bias=False), X, Their())


# ---- stored references


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_a_stored_reference_needs_no_torch(suffix: str, tmp_path: Any, monkeypatch: Any) -> None:
    path, m = tmp_path / f"reference{suffix}", mlp()
    options = {"loss": nn.CrossEntropyLoss(), "optimizer": ta.optim.AdamW}
    parity.store(path, m, (X, LABELS), updates=2, **options)

    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(parity_torch.importlib, "import_module", missing)
    other = nn.Sequential(nn.Linear(6, 6), nn.GELU(), nn.LayerNorm(6), nn.Linear(6, 3))
    found = parity(
        other, reference=path, updates=2, **options
    )  # with weights and batch of the file
    assert found.ok and found.rows[-1].stage == "update 2"
    assert any([n.startswith("reference stored with PyTorch") for n in found.notes])
    assert parity(other, (X, LABELS), str(path), **options).ok
    other[2].eps = 1e-3
    assert parity(other, reference=path, **options).cause.name == "eps"
    with pytest.raises(ArgumentError, match="not the batch"):
        parity(m, (X + 1, LABELS), path, **options)
    with pytest.raises(ArgumentError, match="was stored with loss CrossEntropyLoss"):
        parity(m, reference=path)
    with pytest.raises(ArgumentError, match="of another model: 0.bias, 0.weight"):
        parity(nn.Sequential(nn.Linear(6, 3)), reference=path, **options)
    with pytest.raises(ArgumentError, match="PyTorch is not installed.*\n.*parity.store"):
        parity(m, X)
    with pytest.raises(ArgumentError, match="has 2 updates, not 3"):
        parity(m, reference=path, updates=3, **options)
    wrong = tmp_path / "wrong.npz"
    ta.save({"x": ta.ones(1)}, wrong)
    with pytest.raises(CheckpointError, match="no stored reference"):
        parity(m, reference=wrong)


def test_torch_is_loaded_by_a_comparison_only() -> None:
    program = (
        "import sys; from tinygrad_ai.study import parity, gradcheck; "
        "assert callable(parity) and 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


# ---- what is shown


def test_what_is_printed() -> None:
    found = parity(nn.Sequential(nn.Linear(6, 6), nn.LayerNorm(6)), X,
                   T.Sequential(T.Linear(6, 6), T.LayerNorm(6, 1e-6)))  # fmt: skip
    text = str(found)
    assert "first difference: activation of 1" in text
    assert "cause: eps: eps of LayerNorm 1 is 1e-05 here, 1e-06 in the reference" in text
    assert text.splitlines()[1].startswith("activation   1") and "differs" in text
    told = json.loads(json.dumps(found.to_dict()))
    assert not told["ok"] and told["rows"][-1]["name"] == "1" and told["causes"][0]["name"] == "eps"
    from rich.console import Console

    console = Console(width=120, record=True, file=io.StringIO())
    console.print(found)
    assert "first difference: activation of 1" in console.export_text()
    assert str(parity(nn.Tanh(), X)).splitlines()[-1] == "the same in all 4 comparisons"


def test_distances() -> None:
    a = np.array([1.0, -1.0, 0.0], np.float32)
    assert ulps(a, a) == 0
    assert ulps(a, np.nextafter(a, np.float32(9))) == 1
    assert ulps(np.float64([0.1]) + np.float64([0.2]), np.float64([0.3])) == 1
    tiny = np.float64([5e-324])
    assert ulps(tiny, -tiny) == 2 and ulps(tiny, np.float64([math.nan])) == math.inf
    row = compared(("loss", "loss"), np.array([1.0, 2.0]), np.array([1.0, 4.0]), 1e-7, 0.0)
    assert (row.absolute, row.relative, row.ok) == (2.0, 0.5, False)
    nan = np.array([math.nan, math.inf])
    assert compared(("loss", "loss"), nan, nan, 1e-7, 0.0).ok
    assert not compared(("loss", "loss"), nan, np.ones(2), 1e-7, 0.0).ok
    assert compared(("gradient", "w"), None, np.zeros(2), 1e-7, 0.0).ok
    assert not compared(("gradient", "w"), None, np.ones(2), 1e-7, 0.0).ok


def test_float32_hides_a_small_eps_and_float64_does_not() -> None:
    ours, theirs = nn.LayerNorm(6), T.LayerNorm(6, 1.1e-5)
    assert parity(ours, X, theirs, dtype=None).ok
    assert not parity(ours, X, theirs).ok
    assert parity(mlp(), (X, LABELS), loss=nn.CrossEntropyLoss(), dtype=None).ok


def test_models_and_batches_in_bfloat16() -> None:
    m = mlp().bfloat16()
    for x in (ta.tensor(X).bfloat16(), torch.tensor(X).bfloat16(), X):
        found = parity(m, (x, LABELS), loss=nn.CrossEntropyLoss(), optimizer=ta.optim.Adam)
        assert found.ok and m[0].weight.dtype is ta.bfloat16


def test_mistakes() -> None:
    m = mlp()
    for arguments, options, text in (
        ((T.Linear(6, 3), X), {}, "expected a module of tinygrad_ai, got Linear"),
        ((m, X, 3), {}, "expected a torch module or a stored file, got int"),
        ((m, X), {"loss": nn.MSELoss()}, "a loss needs a batch of inputs and a target"),
        ((m, X), {"updates": -1}, "expected updates >= 0, a number of steps, got -1"),
        ((m, X), {"updates": 1.5}, "expected updates >= 0, a number of steps, got 1.5"),
        ((m,), {}, "no batch to run the model on"),
        ((m, (X, LABELS)), {"loss": "mse"}, "expected a module or function as the loss, got 'mse'"),
        ((m, X), {"optimizer": torch.optim.SGD}, "must give an optimizer of tinygrad_ai.optim"),
        ((m.bfloat16(), X), {"dtype": None}, "of NumPy's for both sides, got bfloat16"),
        ((m, X), {"dtype": "banana"}, "expected a floating-point dtype"),
        ((m, X), {"weights": "mine"}, "expected weights of copy, own, initial, got 'mine'"),
        ((m, X), {"dtype": "int64"}, "expected a floating-point dtype"),
        ((m, (X, LABELS)), {"loss": nn.CrossEntropyLoss(reduction="none")}, "must be one number"),
        ((m, X), {"optimizer": lambda ps: 3}, "must give an optimizer of tinygrad_ai.optim"),
        ((m, X), {"optimizer": ta.optim.SGD([ta.ones(1, requires_grad=True)])}, "does not have"),
    ):
        with pytest.raises(ArgumentError, match=text):
            parity(*arguments, **options)
