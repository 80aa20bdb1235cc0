"""Inputs on which the derivatives of every op can be checked: away from kinks and poles.

For each op by name a few calls. Recipes make random numbers: floats become tensors to
differentiate by, in the configuration they become raw arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .. import backend
from ..backend.random import Generator
from ..tensor import wrap


class Recipe(NamedTuple):
    make: Callable[[Any], Any]


class Call(NamedTuple):
    """One call of an op: positional inputs and keyword configuration."""

    inputs: tuple[Any, ...]
    attrs: dict[str, Any]

    def made(self) -> tuple[list[Any], dict[str, Any]]:
        """Every recipe carried out, the same numbers each time."""
        random = Generator().manual_seed(1).numpy
        inputs = [_made(x, random) for x in self.inputs]
        tensors = [wrap(x).requires_grad_() if backend.is_array(x) else x for x in inputs]
        return tensors, {k: _made(v, random) for k, v in self.attrs.items()}


def _made(value: Any, random: Any) -> Any:
    if isinstance(value, Recipe):
        return backend.numpy.asarray(value.make(random))
    return tuple([_made(v, random) for v in value]) if type(value) is tuple else value


def call(*inputs: Any, **attrs: Any) -> Call:
    return Call(inputs, attrs)


def t(*shape: int) -> Recipe:
    """Normally distributed."""
    return Recipe(lambda random: random.standard_normal(shape))


def between(low: float, high: float, *shape: int) -> Recipe:
    return Recipe(lambda random: random.uniform(low, high, shape))


def far(*shape: int) -> Recipe:
    """Of both signs, and neither near 0 nor near an integer."""
    return Recipe(
        lambda random: (
            random.choice([-1, 1], shape)
            * (random.integers(0, 3, shape) + random.uniform(0.2, 0.4, shape))
        )
    )


def distinct(*shape: int) -> Recipe:
    """No two numbers near each other, none near 0, in random order."""

    def make(random: Any) -> Any:
        size = backend.numpy.xp.zeros(shape).size
        return (0.2 * random.permutation(size) - 0.1 * size + 0.05).reshape(shape)

    return Recipe(make)


def ints(high: int, *shape: int) -> Recipe:
    return Recipe(lambda random: random.integers(0, high, shape))


def orders(count: int, *shape: int) -> Recipe:
    """Along the first dimension the first `count` places of a random order: none twice."""
    return Recipe(lambda random: random.uniform(size=shape).argsort(0)[:count])


def bools(*shape: int) -> Recipe:
    return Recipe(lambda random: random.uniform(size=shape) < 0.5)


def each(names: str, *calls: Call) -> dict[str, list[Call]]:
    """The same calls for several ops."""
    return {name: list(calls) for name in names.split()}


ALL, FIRST = (0, 1), (0,)  # dims
PLANE = {"stride": (2, 1), "dilation": (1, 2)}  # of windows over pictures

ARITHMETIC = {
    **each("add sub mul", call(t(2, 3), t(3)), call(t(2, 1), t(2, 3)), call(t(3), 2.0)),
    **each("true_divide", call(t(2, 3), far(3)), call(1.5, far(3))),
    **each("pow", call(between(0.5, 2, 2, 3), t(3)), call(t(3), 3), call(2.0, t(3))),
    **each("neg exp exp2 expm1 tanh sigmoid square clone", call(t(2, 3)), call(t())),
    **each("sin cos sinh cosh atan asinh erf erfc deg2rad rad2deg", call(t(2, 3))),
    **each("log log2 log10 log1p sqrt rsqrt lgamma digamma", call(between(0.5, 2, 2, 3))),
    **each("abs reciprocal sinc floor ceil trunc frac sign", call(far(2, 3))),
    **each("asin acos atanh erfinv tan", call(between(-0.9, 0.9, 2, 3))),
    **each("acosh", call(between(1.2, 3, 4))),
    **each("logit", call(between(0.1, 0.9, 4), eps=None), call(between(0.1, 0.9, 4), eps=0.3)),
    **each("polygamma", call(between(0.5, 2, 4), n=1)),
    **each("xlogy", call(t(2, 3), between(0.5, 2, 3))),
    **each("atan2 hypot copysign", call(far(2, 3), far(3))),
    **each("logaddexp logaddexp2", call(t(2, 3), t(3))),
    **each("maximum minimum fmax fmin", call(t(2, 3), t(3))),
    **each("fmod remainder floor_div trunc_div", call(far(2, 3), between(3.1, 3.9, 3))),
    **each("clamp", call(far(2, 3), -1.0, 1.0), call(far(4), between(-2, -1, 4), None)),
    **each("lerp", call(t(2, 3), t(3), between(0, 1, 3))),
    **each("addcmul", call(t(2, 3), t(3), t(2, 1), value=0.5)),
    **each("addcdiv", call(t(2, 3), t(3), far(2, 1), value=0.5)),
    **each("nan_to_num", call(t(3), nan=0.0, posinf=None, neginf=None)),
    **each("round", call(far(2, 3), decimals=0)),
    **each("select", call(t(2, 3), t(3), condition=bools(2, 3))),
    **each("cast", call(t(3), dtype="float64")),
    **each("transfer", call(t(3), device="cpu", source="cpu")),
}

ACTIVATIONS = {
    "activate": [
        call(far(2, 3), act=name)
        for name in ("relu", "leaky_relu", "sigmoid", "tanh", "gelu", "gelu_tanh", "silu")
    ],
    "act_grad": [
        call(t(2, 3), far(2, 3), act=name)
        for name in ("relu", "leaky_relu", "sigmoid", "tanh", "gelu", "gelu_tanh", "silu")
    ],
    **each("elu", call(far(2, 3), alpha=1.5, scale=1.1, rate=0.7)),
    **each("softplus", call(far(2, 3), beta=2.0, threshold=20.0)),
    **each("softmax log_softmax", call(t(2, 3), dim=1), call(t(2, 3), dim=0)),
    **each("logcumsumexp cumsum cumprod", call(t(2, 3), dim=1)),
    **each(
        "cross_entropy",
        call(t(4, 3), target=ints(3, 4)),
        call(t(4, 3), target=ints(3, 4), weight=between(0.5, 2, 3), reduction="none"),
    ),
    **each(
        "cross_entropy_grad",
        call(t(4), t(4, 3), target=ints(3, 4), weight=between(1, 2, 3), reduction="none"),
        call(t(), t(4, 3), target=ints(3, 4), weight=between(1, 2, 3), ignore=1),
    ),
    **each("softmax_grad log_softmax_grad", call(t(2, 3), t(2, 3), dim=1)),
    **each("layer_norm", call(t(2, 4), t(4), t(4), eps=1e-5), call(t(2, 4), eps=1e-5)),
    **each(
        "layer_norm_grad",
        call(t(2, 4), t(2, 4), t(4), t(2, 1), between(0.5, 2, 2, 1)),
        call(t(2, 4), t(2, 4), None, t(2, 1), between(0.5, 2, 2, 1)),
    ),
    **each("dropout", call(t(2, 3), keep=bools(2, 3), scale=1.5)),
}

REDUCTIONS = {
    **each("sum mean logsumexp norm2", call(t(2, 3), dim=ALL, keepdim=False)),
    **each("prod", call(t(2, 3), dim=FIRST, keepdim=True), call(far(2, 3), dim=ALL, keepdim=False)),
    **each("amax amin", call(distinct(2, 3), dim=FIRST, keepdim=True)),
    **each("norm_p", call(far(2, 3), p=3.0, dim=FIRST, keepdim=False)),
    **each("var std", call(t(2, 3), dim=FIRST, correction=1, keepdim=True)),
    **each("running", call(distinct(2, 4), dim=1, largest=True)),
    **each("sum_to", call(t(2, 3), shape=(2, 1)), call(t(2, 3), shape=())),
}

SHAPES = {
    **each("broadcast_to", call(t(3, 1), shape=(2, 3, 4))),
    **each("reshape", call(t(2, 3), shape=(3, 2))),
    **each("permute", call(t(2, 3, 4), dims=(2, 0, 1))),
    **each("flip", call(t(2, 3), dims=(1,))),
    **each("roll", call(t(2, 3), shifts=(1, 2), dims=(0, 1))),
    **each("pad", call(t(2, 3), widths=((1, 0), (0, 2)), value=0.5)),
    **each("diagonal", call(t(2, 3, 3), offset=1, dim1=1, dim2=2)),
    **each("undiagonal", call(t(2, 2), offset=1, dim1=1, dim2=2, shape=(2, 3, 3))),
    **each("tril triu", call(t(2, 3, 3), diagonal=1)),
    **each("rows", call(t(2, 3), t(2, 3))),
    **each("cat", call(t(2, 3), t(1, 3), dim=0)),
    **each("split", call(t(5, 2), sizes=(2, 3), dim=0)),
}

INDEXING = {
    **each(
        "getitem",
        call(t(3, 4), index=(slice(None, None, 2), None)),
        call(t(3, 4), index=(ints(3, 5), 1)),
    ),
    **each("putitem", call(t(5), index=(ints(3, 5), 1), shape=(3, 4))),
    **each("setitem", call(t(3, 4), t(4), index=(slice(1, 3),))),
    **each("additem", call(t(3, 4), t(5, 4), index=(ints(3, 5),))),
    **each("gather", call(t(3, 4), index=ints(3, 2, 4), dim=0)),
    **each("take_along", call(t(3, 4), index=orders(2, 3, 4), dim=0)),
    **each("scatter_sum", call(t(2, 4), index=ints(3, 2, 4), dim=0, shape=(3, 4))),
    **each("scatter_add", call(t(3, 4), t(2, 4), index=ints(3, 2, 4), dim=0)),
    **each("scatter", call(t(3, 4), t(1, 4), index=ints(3, 1, 4), dim=0)),
    "combine": [
        call(distinct(3, 4), between(2, 3, 2, 4), index=ints(3, 2, 4), dim=0, reduce=name)
        for name in ("prod", "amax", "amin")
    ],
    **each("select_along", call(t(3, 4), index=ints(3, 1, 4), dim=0, keepdim=False)),
    **each("place_along", call(t(1, 4), index=ints(3, 1, 4), dim=0, shape=(3, 4))),
    **each("embedding", call(t(4, 2), index=ints(4, 5), padding=None, by_frequency=False)),
    **each(
        "embedding_grad",
        call(t(5, 2), index=ints(4, 5), padding=1, by_frequency=True, rows=4),
    ),
    **each("embedding_back", call(t(4, 2), index=ints(4, 5), padding=1, by_frequency=True)),
}

BACKWARD = (t(3, 2), t(3, 4), t(5, 4), t(5, 2))  # g, q, k, v of attention

PRODUCTS = {
    **each("matmul", call(t(2, 2, 3), t(3, 2)), call(t(2, 3), t(4, 3, 1))),
    **each("einsum", call(t(2, 3), t(3, 2), t(2), equation="ij,jk,k->ik")),
    **each("linear", call(t(4, 3), t(2, 3), t(2), act="tanh"), call(t(4, 3), t(2, 3))),
    **each("linear_z", call(t(4, 3), t(2, 3), t(2), act="gelu")),
    **each(
        "linear_grad_x",
        call(t(4, 2), t(4, 2), t(2, 3), act="silu"),
        call(t(4, 2), None, t(2, 3), act=None),
    ),
    **each(
        "linear_grad_w",
        call(t(4, 2), t(4, 2), t(4, 3), act="tanh"),
        call(t(4, 2), None, t(4, 3), act=None),
    ),
    **each(
        "attention",
        call(t(2, 3, 4), t(2, 5, 4), t(2, 5, 2), t(3, 5), scale=0.5),
        call(t(3, 4), t(3, 4), t(3, 2), scale=0.5, causal=True, keep=bools(3, 3), grow=1.5),
    ),
    **each(
        "attention_grad",
        *[
            call(
                *BACKWARD,
                bias,
                t(3, 2),
                between(2, 3, 3),
                scale=0.5,
                causal=causal,
                keep=keep,
                grow=1.5,
                scores=not causal,
            )
            for bias, causal, keep in [(t(3, 5), False, None), (None, True, bools(3, 5))]
        ],
    ),
    **each("convolve", call(t(2, 4, 5, 6), t(6, 2, 3, 2), groups=2, **PLANE)),
    **each("convolve_input", call(t(1, 6, 2, 4), t(6, 2, 3, 2), size=(5, 6), groups=2, **PLANE)),
    **each("convolve_weight", call(t(1, 6, 2, 4), t(1, 4, 5, 6), size=(3, 2), groups=2, **PLANE)),
    **each("windows", call(t(1, 2, 5, 6), size=(3, 2), **PLANE)),
    **each("unwindow", call(t(1, 2, 2, 4, 3, 2), size=(5, 6), **PLANE)),
}


def regular(n: int) -> Recipe:
    """A matrix with a positive definite symmetric part and eigenvalues far apart."""

    def make(random: Any) -> Any:
        x = random.standard_normal((n, n))
        scale = backend.numpy.arange(1.0, n + 1) * 3
        return 0.3 * x + backend.numpy.diag(scale)

    return Recipe(make)


MATRICES = {
    **each("inv det slogdet cholesky eigh svd qr", call(regular(3))),
    **each("solve", call(regular(3), t(3, 2))),
}

SAMPLES = {
    **ARITHMETIC, **ACTIVATIONS, **REDUCTIONS, **SHAPES, **INDEXING, **PRODUCTS, **MATRICES,
}  # fmt: skip
