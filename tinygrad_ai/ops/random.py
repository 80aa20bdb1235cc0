"""Random tensors, drawn from a Generator when they are asked for."""

from __future__ import annotations

from typing import Any

from .. import backend
from ..backend import dtypes
from ..backend import random as streams
from ..backend.random import Generator as Generator
from ..errors import ArgumentError
from ..tensor import Tensor, method, methods, wrap
from .arguments import numbers, raw, sizes
from .create import made
from .inplace import overwrite
from .shape import broadcast_shapes

__all__ = [
    "Generator", "bernoulli", "default_generator", "get_rng_state", "initial_seed", "manual_seed",
    "multinomial", "normal", "poisson", "rand", "rand_like", "randint", "randint_like", "randn",
    "randn_like", "randperm", "seed", "set_rng_state",
]  # fmt: skip

default_generator = streams.default


def manual_seed(seed: int) -> Generator:
    """Starts the default streams of the CPU and of all GPUs; returns the CPU's."""
    return streams.manual_seed(seed)


def seed() -> int:
    """Starts a default stream nobody has seen; returns its seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed the default stream was started with."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The default stream's state, as bytes."""
    return wrap(default_generator.get_state())


def set_rng_state(new_state: Any) -> None:
    """Puts the default stream into a state of get_rng_state."""
    default_generator.set_state(raw(new_state))


def _floats(draw: str, generator: Any, shape: Any, dtype: Any, device: Any) -> Any:
    """Uniform ("random") or normal ("standard_normal") numbers as an array."""
    dtype = dtypes.named(dtype or dtypes.get_default_dtype())
    drawn = dtype if dtype in (dtypes.float32, dtypes.float64) else dtypes.float32
    array = getattr(streams.of(generator, device), draw)(shape, dtype=drawn)
    return backend.asarray(array, dtype)


def rand(
    *size: Any,
    generator: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform in [0, 1)."""
    return made(_floats("random", generator, sizes(size), dtype, device), requires_grad)


def randn(
    *size: Any,
    generator: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal with mean 0 and variance 1."""
    return made(_floats("standard_normal", generator, sizes(size), dtype, device), requires_grad)


def randint(
    low: int, high: Any = None, size: Any = None, *, generator: Any = None, dtype: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Integers in [low, high): `randint(high, size)` or `randint(low, high, size)`."""
    if size is None:
        low, high, size = 0, low, high
    if high <= low:
        raise ArgumentError(f"randint expects low < high, got {low} and {high}")
    array = streams.of(generator, device).integers(low, high, sizes((size,)))
    return made(backend.asarray(array, dtype or dtypes.int64), requires_grad)


def randperm(n: int, *, generator: Any = None, dtype: Any = None, device: Any = None) -> Tensor:
    """The integers 0 to n - 1 in random order."""
    order = streams.of(generator, device).permutation(n)
    return wrap(backend.asarray(order, dtype or dtypes.int64))


def _like(input: Tensor, options: dict[str, Any]) -> dict[str, Any]:
    return {"dtype": input.dtype, "device": input.device, **options}


def rand_like(input: Tensor, **options: Any) -> Tensor:
    """rand with the shape, dtype and device of input."""
    return rand(input.shape, **_like(input, options))


def randn_like(input: Tensor, **options: Any) -> Tensor:
    """randn with the shape, dtype and device of input."""
    return randn(input.shape, **_like(input, options))


def randint_like(input: Tensor, low: int, high: Any = None, **options: Any) -> Tensor:
    """randint with the shape, dtype and device of input."""
    low, high = (0, low) if high is None else (low, high)
    return randint(low, high, input.shape, **_like(input, options))


def normal(
    mean: Any, std: Any = 1.0, size: Any = None, *, generator: Any = None, dtype: Any = None,
    device: Any = None,
) -> Tensor:  # fmt: skip
    """Normal numbers; mean and std are numbers (with a size) or tensors."""
    if size is None and not isinstance(mean, Tensor) and not isinstance(std, Tensor):
        raise ArgumentError("normal needs a size when mean and std are numbers")
    given = [v for v in (mean, std) if isinstance(v, Tensor)]
    shape = size if size is not None else broadcast_shapes(*[v.shape for v in given])
    dtype, device = (given[0].dtype, given[0].device) if given else (dtype, device)
    noise = _floats("standard_normal", generator, sizes((shape,)), dtype, device)
    std, mean = [v.detach() if isinstance(v, Tensor) else v for v in (std, mean)]
    return (wrap(noise) * std + mean).to(noise.dtype)  # type: ignore[operator, no-any-return]


def bernoulli(input: Tensor, p: float | None = None, *, generator: Any = None) -> Tensor:
    """1 with the probability given for each element (or p for all), else 0."""
    chance = input.detach() if p is None else p  # type: ignore[attr-defined]
    limits = backend.to_numpy(numbers(chance))
    if ((limits < 0) | (limits > 1)).any():
        raise ArgumentError("bernoulli expects probabilities in [0, 1]")
    return _drawn(input, generator, chance).to(input.dtype)  # type: ignore[no-any-return]


def _drawn(like: Tensor, generator: Any, chance: Any) -> Any:
    """Bools in a tensor's shape and place, each true with its chance."""
    drawn = backend.asarray(streams.of(generator, like.device).random(like.shape))
    return wrap(drawn) < chance  # type: ignore[operator]


def poisson(input: Tensor, generator: Any = None) -> Tensor:
    """Poisson numbers with the rates given."""
    found = streams.of(generator, input.device).poisson(numbers(input))
    return wrap(backend.asarray(found, input.dtype))


def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Any = None
) -> Tensor:
    """Indices drawn in proportion to the weights in each row."""
    rows = backend.to_numpy(numbers(input)).reshape(-1, input.shape[-1])
    if (rows < 0).any() or (rows.sum(1) <= 0).any():
        raise ArgumentError("multinomial expects weights >= 0 with a positive sum in each row")
    if not replacement and ((rows > 0).sum(1) < num_samples).any():
        raise ArgumentError(
            f"cannot draw {num_samples} without replacement from fewer nonzero weights"
        )
    draw = streams.of(generator, input.device)
    picks = [
        draw.choice(
            rows.shape[1], num_samples, replacement, p=row.astype("f8") / row.sum(dtype="f8")
        )
        for row in rows
    ]
    index = backend.asarray(picks, "int64").reshape((*input.shape[:-1], num_samples))
    return wrap(backend.moved(index, input.device))


def _fill(self: Tensor, found: Any, what: str) -> Tensor:
    value = found if isinstance(found, Tensor) else wrap(backend.asarray(found))
    return overwrite(self, value.to(self.dtype), what)  # type: ignore[attr-defined]


@method
def uniform_(
    self: Tensor, from_: float = 0.0, to: float = 1.0, *, generator: Any = None, **k: Any
) -> Tensor:
    """Filled with U(from, to)."""
    from_ = k.pop("from", from_)  # PyTorch's name, a keyword of Python
    noise = _floats("random", generator, self.shape, self.dtype, self.device)
    return _fill(self, wrap(noise) * (to - from_) + from_, "uniform_")  # type: ignore[operator]


@method
def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
    """Filled with N(mean, std²)."""
    noise = _floats("standard_normal", generator, self.shape, self.dtype, self.device)
    return _fill(self, wrap(noise) * std + mean, "normal_")  # type: ignore[operator]


@method
def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    """Filled with ones with probability p."""
    return _fill(self, _drawn(self, generator, p), "bernoulli_")


@method
def exponential_(self: Tensor, lambd: float = 1.0, *, generator: Any = None) -> Tensor:
    """Filled with exponential numbers of rate lambd."""
    drawn = streams.of(generator, self.device).exponential(1 / lambd, self.shape)
    return _fill(self, drawn, "exponential_")


@method
def random_(
    self: Tensor, from_: int = 0, to: int | None = None, *, generator: Any = None
) -> Tensor:
    """Filled with integers in [from, to); with one number given, in [0, from)."""
    low, high = (0, from_ or 2**24) if to is None else (from_, to)
    drawn = streams.of(generator, self.device).integers(low, high, self.shape)
    return _fill(self, drawn, "random_")


methods(bernoulli, multinomial)
