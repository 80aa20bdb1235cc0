"""The linear layer's entries on a GPU. The slope of an activation and the sums of a bias's gradient
are one kernel of ours. A product has several ways to be computed: CuPy's, which is cuBLAS and
kernels for the bias and the activation; ours; ours for Hopper alone; and cuBLASLt's.

Which one is fastest depends on the GPU and on the product, so it is measured: the first time that a
product of some shape is asked for, each way computes it a few times, and the fastest is remembered.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from math import prod
from statistics import median
from typing import Any, NamedTuple

from ..errors import ArgumentError
from . import cublaslt, kernels, precision
from .cublaslt import capturing
from .fused_cuda import Fused, group
from .kernels import rows
from .native import flat

WAYS = ("cupy", "ours", "hopper", "cublaslt")
TURNS, LAUNCHES = 3, 4  # each way's turns when they are measured, and products in a turn


class Choice(threading.local):
    """What is chosen in this thread: the way of products, and whether CuPy may multiply."""

    way = "auto"
    cupy_may = True


choice = Choice()


@contextmanager
def products(way: str | bool) -> Iterator[None]:
    """Inside the block matrices are multiplied in one way, or by "auto" in the fastest one. What a
    way cannot do, CuPy does. True is "ours", False "cupy"."""
    chosen = {True: "ours", False: "cupy"}[way] if isinstance(way, bool) else way
    if chosen not in ("auto", *WAYS):
        raise ArgumentError(f"expected auto or one of {', '.join(WAYS)}, got {way!r}")
    before, choice.way = choice.way, chosen
    try:
        yield
    finally:
        choice.way = before


@contextmanager
def capturable() -> Iterator[None]:
    """Inside the block nothing is multiplied by CuPy, which refuses it while a graph is captured:
    what is not so itself then, has the same numbers."""
    before, choice.cupy_may = choice.cupy_may, False
    try:
        yield
    finally:
        choice.cupy_may = before


class Product(NamedTuple):
    """f(a b + bias), and z = a b + bias if it is to be kept. `kind` is all but the arrays."""

    a: Any
    b: Any
    bias: Any
    kind: tuple[Any, ...]  # layout, dtype, whether TF32 will do, m, n, k
    act: str | None
    keep: bool
    device: int

    @property
    def key(self) -> tuple[Any, ...]:
        """What is measured once: the number of rows up to a power of 2, as batches differ."""
        layout, dtype, tf32, m, n, k = self.kind
        sizes = (m, n, k.bit_length()) if layout.name == "tn" else (m.bit_length(), n, k)
        like = (layout, dtype, tf32, *sizes)
        return (self.device, like, self.act, self.keep, self.bias is None)

    @property
    def empty(self) -> bool:
        return 0 in self.kind[3:]


@group
class Linear(Fused):
    """y = f(x wᵀ + b) and what its rule needs."""

    entries = ("linear", "linear_z", "linear_grad_x", "linear_grad_w", "matmul")

    def __init__(self, be: Any, module: Any) -> None:
        super().__init__(be, module)
        self.acts = {name: getattr(module.Act, name or "none") for name in kernels.ACTS}
        self.lt = cublaslt.Products(be, module)
        self.ranks: dict[tuple[Any, ...], list[str]] = {}  # the fastest first
        self.hoppers: dict[int, bool] = {}

    def product(
        self, plain: Callable[[], Any], layout: str, a: Any, b: Any, bias: Any = None,
        act: str | None = None, keep: bool = False,
    ) -> Any:  # fmt: skip
        """f(a b + bias), and a b + bias if it is to be kept, in the way that was chosen."""
        way = "ours" if choice.way == "cupy" and not choice.cupy_may else choice.way
        dtype = self.dtype(a, b, bias)
        if dtype is None and (way == "ours" or not choice.cupy_may):
            dtype = self.dtype(a := flat(a), b := flat(b), bias)
        if way == "cupy" or dtype is None:
            return plain()
        m, k = a.shape if layout != "tn" else a.shape[::-1]
        n = b.shape[0] if layout == "nt" else b.shape[1]
        tf32 = a.itemsize == 4 and precision.get_float32_matmul_precision() != "highest"
        kind = (getattr(self.module.Layout, layout), dtype, tf32, m, n, k)
        p = Product(a, b, bias, kind, act, keep, a.device.id)
        if p.empty and choice.cupy_may and way == "auto":
            return plain()
        if way == "auto":
            return self.fastest(p, plain)
        found = getattr(self, way)(p)
        if found is None and not choice.cupy_may:
            return self.ours(p)
        return plain() if found is None else found

    def fastest(self, p: Product, plain: Callable[[], Any]) -> Any:
        """The product in the way that was fastest for its like; where CuPy may not multiply, in the
        first other one."""
        rank = self.ranks.get(p.key)
        if rank is None and not capturing(self.be) and not p.empty:
            calls = {way: partial(getattr(self, way), p) for way in WAYS[1:]}
            rank = self.ranks[p.key] = self.measured({**calls, "cupy": plain})
        for way in rank or ():
            if way == "cupy" and choice.cupy_may:
                return plain()
            found = None if way == "cupy" else getattr(self, way)(p)
            if found is not None:
                return found
        return self.ours(p)

    def measured(self, calls: dict[str, Callable[[], Any]]) -> list[str]:
        """The ways that give a result, the fastest first: by medians, taken in turn."""
        able = [way for way in calls if self.does(calls[way])]  # the warm-up, too
        if len(able) == 1:
            return able
        times: dict[str, list[float]] = {way: [] for way in able}
        for _ in range(TURNS):
            for way in able:
                times[way].append(self.timed(calls[way]))
        return sorted(able, key=lambda way: median(times[way]))

    def does(self, call: Callable[[], Any]) -> bool:
        """Whether a way gives a result: one that fails is not asked again."""
        try:
            return call() is not None
        except self.module.CudaError:
            return False

    def timed(self, call: Callable[[], Any]) -> float:
        """Milliseconds of some calls, by the GPU's clock."""
        cuda = self.be.xp.cuda
        start, end = cuda.Event(), cuda.Event()
        start.record()
        for _ in range(LAUNCHES):
            call()
        end.record()
        end.synchronize()
        return float(cuda.get_elapsed_time(start, end))

    def ours(self, p: Product, way: str = "") -> Any:
        """By the kernels of the ladder that every GPU has."""
        layout, dtype, tf32, m, n, k = p.kind
        if not way:
            way = "tensor_core" if tf32 or p.a.itemsize == 2 else "blocked"
        y = self.be.empty((m, n), p.a.dtype)
        z = self.be.empty((m, n), p.a.dtype) if p.keep else None
        self.module.product(
            getattr(self.module.Way, way), layout, dtype, self.address(p.a), self.address(p.b),
            self.address(p.bias), self.address(y), self.address(z), m, n, k, self.acts[p.act],
            self.stream(),
        )  # fmt: skip
        return (y, z) if p.keep else y

    def hopper(self, p: Product) -> Any:
        """By the kernel for Hopper: bfloat16, nt, lines of whole 16 bytes that begin on one."""
        layout, dtype, *_, k = p.kind
        fits = dtype == self.module.Dtype.bfloat16 and layout == self.module.Layout.nt
        if not fits or p.empty or k % 8 or not self.on_hopper(p.device):
            return None
        if (self.address(p.a) | self.address(p.b)) % 16:
            return None
        return self.ours(p, "hopper")

    def on_hopper(self, device: int) -> bool:
        """Whether a device can run what only a Hopper can, and the module has it."""
        if device not in self.hoppers:
            capability = str(self.be.xp.cuda.Device(device).compute_capability)
            self.hoppers[device] = capability == "90" and "90a" in self.module.archs
        return self.hoppers[device]

    def cublaslt(self, p: Product) -> Any:
        """By cuBLASLt. An activation that it lacks, or whose z it cannot keep, is a second step."""
        if p.empty:
            return None
        m, n = p.kind[3:5]
        lies = p.act == "gelu_tanh" and n % 8 == 0  # lines of z as it wants them
        inside = p.act in cublaslt.FUSED and (lies or not p.keep)
        if p.act == "relu":
            inside = self.lt.keeps_nan(p.device, p.kind, p.a.dtype, self.stream())
        c = self.be.empty((m, n), p.a.dtype)
        z = self.be.empty((m, n), p.a.dtype) if p.keep and inside else None
        at = tuple([self.address(array) for array in (p.a, p.b, p.bias, c, z)])
        kind = (*p.kind, self.acts[p.act if inside else None])
        if not self.lt(p.device, kind, at, self.stream()):
            return None
        if inside:
            return (c, z) if p.keep else c
        y = self.be.activate(c, p.act)
        return (y, c) if p.keep else y

    def through(self, g: Any, v: Any, act: str | None, sums: bool) -> Any:
        """g f'(v) of matrices, and the sums of its columns if asked; None if it is not for us."""
        dtype = self.dtype(g, v)
        if dtype is None or (v is not None and v.shape != g.shape):
            return None
        count, width = g.shape
        gz = self.be.empty(g.shape, g.dtype) if act is not None else None
        gb = self.be.empty((width,), g.dtype) if sums else None
        room = self.module.act_grad_space(dtype, count, width) if sums else 0
        space = self.be.empty((max(room, 1),), "uint8")
        self.module.act_grad(
            dtype, self.address(g), self.address(v), self.address(gz), self.address(gb),
            self.address(space), count, width, self.acts[act], self.stream(),
        )  # fmt: skip
        return (g if gz is None else gz), gb

    def linear(self, plain: Any, x: Any, w: Any, b: Any, act: str | None) -> Any:
        flat = rows(x)
        y = self.product(partial(plain, flat, w, b, act), "nt", flat, w, b, act)
        return y.reshape(*x.shape[:-1], w.shape[0])

    def linear_z(self, plain: Any, x: Any, w: Any, b: Any, act: str) -> Any:
        flat = rows(x)
        found = self.product(partial(plain, flat, w, b, act), "nt", flat, w, b, act, keep=True)
        return tuple([y.reshape(*x.shape[:-1], w.shape[0]) for y in found])

    def linear_grad_x(self, plain: Any, g: Any, v: Any, w: Any, act: str | None) -> Any:
        gz = rows(g if act is None else self.be.act_grad(g, v, act))
        gx = self.product(partial(plain, gz, None, w, None), "nn", gz, w)
        return gx.reshape(*g.shape[:-1], w.shape[1])

    def linear_grad_w(self, plain: Any, g: Any, v: Any, x: Any, act: str | None) -> Any:
        found = self.through(rows(g), v if v is None else rows(v), act, sums=True)
        if found is None:
            return plain(g, v, x, act)
        (gz, gb), flat = found, rows(x)
        return self.product(partial(self.be.matmul, gz.T, flat), "tn", gz, flat), gb

    def matmul(self, plain: Any, a: Any, b: Any) -> Any:
        """CuPy's, where CuPy may: it refuses while a graph is captured."""
        real = a.dtype == b.dtype and str(a.dtype) in self.dtypes and min(a.ndim, b.ndim) >= 2
        if not real or (choice.cupy_may and choice.way in ("auto", "cupy")):
            return plain(a, b)
        if a.ndim == b.ndim == 2:
            return self.matrices(plain, a, b)
        lead = self.be.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        stacks = [self.be.broadcast_to(x, (*lead, *x.shape[-2:])) for x in (a, b)]
        pairs = zip(*[x.reshape(prod(lead), *x.shape[-2:]) for x in stacks])
        y = [self.matrices(plain, one, other) for one, other in pairs]
        if not y:
            return plain(a, b)
        return self.be.stack(y).reshape(*lead, *y[0].shape)

    def matrices(self, plain: Any, a: Any, b: Any) -> Any:
        """The product of two matrices, either of which may lie by columns."""
        if b.flags.f_contiguous:
            return self.product(partial(plain, a, b), "nt", a, b.T)
        if a.flags.f_contiguous:
            return self.product(partial(plain, a, b), "tn", a.T, b)
        return self.product(partial(plain, a, b), "nn", a, b)
