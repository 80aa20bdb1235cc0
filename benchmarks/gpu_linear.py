"""The linear layer on a GPU: ours beside PyTorch's, cuBLASLt's, and the best plain product."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import erf

from .gpu_clock import Clock, Contender, Times, agree, contest, fastest, ratio
from .gpu_place import Place
from .targets import Target

ROWS = 32  # of the result are compared with float64
TOLERANCES = {"bfloat16": 1e-2, "float16": 2e-3, "float32": 2e-3}  # float32 as TF32


@dataclass(frozen=True)
class Case:
    """y = f(x wᵀ + b), x (m, k) and w (n, k)."""

    m: int
    n: int
    k: int
    dtype: str = "bfloat16"
    act: str | None = "gelu"

    @property
    def label(self) -> str:
        return f"linear+{self.act} {self.dtype} {self.m}x{self.n}x{self.k}"

    @property
    def bytes(self) -> int:
        return (self.m * self.k + self.n * self.k + self.m * self.n) * (
            4 if self.dtype == "float32" else 2
        )

    @property
    def operations(self) -> int:
        return 2 * self.m * self.n * self.k


def rounded(x: np.ndarray, dtype: str) -> np.ndarray:
    """float32 numbers that bfloat16 has too, for everyone to start from the same."""
    if dtype != "bfloat16":
        return x
    bits = x.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


BLOCK = (1 << 21) + 3  # numbers drawn; large matrices repeat them, and no line is as another


def start(case: Case) -> tuple[np.ndarray, ...]:
    """x, w and b."""
    drawn = np.random.default_rng(case.m).random(BLOCK, np.float32) - np.float32(0.5)
    shapes = (((case.m, case.k), 4.0), ((case.n, case.k), 4 / case.k**0.5), ((case.n,), 1.0))
    made = [np.resize(rounded(drawn * np.float32(scale), case.dtype), s) for s, scale in shapes]
    return made[0], made[1], made[2]


def activated(z: np.ndarray, act: str | None) -> np.ndarray:
    if act == "relu":
        return np.maximum(z, 0)
    if act == "gelu":
        return z / 2 * (1 + erf(z / 2**0.5))
    if act == "gelu_tanh":
        return z / 2 * (1 + np.tanh((2 / np.pi) ** 0.5 * (z + 0.044715 * z**3)))
    return z


def reference(case: Case, arrays: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
    x, w, b = (a.astype(np.float64) for a in (arrays[0][:ROWS], *arrays[1:]))
    return {"y": activated(x @ w.T + b, case.act)}


def of_ours(
    case: Case, arrays: tuple[np.ndarray, ...], place: Place, way: str = "auto"
) -> Contender:
    """Our layer under no_grad, its product computed in one way."""
    import tinygrad_ai as ta
    import tinygrad_ai.nn.functional as F
    from tinygrad_ai.backend import fused_cuda_linear

    dtype = getattr(ta, case.dtype)
    first = [ta.tensor(a, device=place.ours).to(dtype) for a in arrays]
    inputs = [first, *([t.clone() for t in first] for _ in range(place.sets(case.bytes) - 1))]

    def run(i: int) -> Any:
        x, w, b = inputs[i % len(inputs)]
        with fused_cuda_linear.products(way), ta.no_grad():
            return F.linear(x, w, b, act=case.act)

    def proof() -> dict[str, np.ndarray]:
        return {"y": run(0)[:ROWS].float().cpu().numpy()}

    return Contender(f"ours ({way})", run, proof)


def of_pytorch(case: Case, arrays: tuple[np.ndarray, ...], place: Place) -> Contender:
    """PyTorch's eager layer, and the activation after it."""
    import torch
    import torch.nn.functional as F

    dtype = getattr(torch, case.dtype)
    first = [torch.tensor(a, device=place.pytorch).to(dtype) for a in arrays]
    inputs = [first, *([t.clone() for t in first] for _ in range(place.sets(case.bytes) - 1))]
    acts: Mapping[str | None, Any] = {
        "relu": F.relu, "gelu": F.gelu, "gelu_tanh": lambda z: F.gelu(z, approximate="tanh"),
    }  # fmt: skip

    def run(i: int) -> Any:
        x, w, b = inputs[i % len(inputs)]
        with torch.no_grad():
            z = F.linear(x, w, b)
            return z if case.act is None else acts[case.act](z)

    def proof() -> dict[str, np.ndarray]:
        return {"y": run(0)[:ROWS].float().cpu().numpy()}

    return Contender("PyTorch", run, proof)


def of_matmul(case: Case, arrays: tuple[np.ndarray, ...], place: Place) -> Contender:
    """torch.matmul alone: nothing is compared, for it computes less."""
    import torch

    dtype = getattr(torch, case.dtype)
    x, w = (torch.tensor(a, device=place.pytorch).to(dtype) for a in arrays[:2])
    inputs = [(x, w), *((x.clone(), w.clone()) for _ in range(place.sets(case.bytes) - 1))]

    def run(i: int) -> Any:
        x, w = inputs[i % len(inputs)]
        return torch.matmul(x, w.T)

    return Contender("torch.matmul", run)


def measured(
    case: Case, contenders: list[Contender], arrays: tuple[np.ndarray, ...], clock: Clock
) -> Times:
    agree(contenders, reference(case, arrays), TOLERANCES[case.dtype])
    return contest(contenders, clock)


def against_pytorch(case: Case, limit: float, place: Place, clock: Clock) -> Iterator[Any]:
    arrays = start(case)
    ours, theirs = of_ours(case, arrays, place), of_pytorch(case, arrays, place)
    times = measured(case, [ours, theirs], arrays, clock)
    text = f"{case.label}: ours / PyTorch eager"
    yield Target(text, ratio(times, ours.name, theirs.name), limit), times


def own(place: Place, dtype: str) -> list[str]:
    """The ways that are our own kernels on this GPU."""
    return ["hopper", "ours"] if place.on_hopper and dtype == "bfloat16" else ["ours"]


def against_cublaslt(case: Case, limit: float, place: Place, clock: Clock) -> Iterator[Any]:
    """Our best kernel beside cuBLASLt's with the same epilogue, through the same door."""
    place.need_cublaslt()
    arrays = start(case)
    ours = [of_ours(case, arrays, place, way) for way in own(place, case.dtype)]
    theirs = of_ours(case, arrays, place, "cublaslt")
    times = measured(case, [*ours, theirs], arrays, clock)
    best = fastest(times, [c.name for c in ours])
    text = f"{case.label}: our kernel / cuBLASLt's epilogue"
    yield Target(text, ratio(times, best, theirs.name), limit), times


def share_of_ceiling(case: Case, limit: float, place: Place, clock: Clock) -> Iterator[Any]:
    """Our best kernel's rate over that of the best plain product there is."""
    arrays = start(case)
    ours = [of_ours(case, arrays, place, way) for way in own(place, case.dtype)]
    plain = Case(case.m, case.n, case.k, case.dtype, None)
    ceilings = [of_matmul(case, arrays, place)]
    if place.has_cublaslt:
        ceilings.append(of_ours(plain, arrays, place, "cublaslt"))
    agree(ours, reference(case, arrays), TOLERANCES[case.dtype])
    agree(ceilings, reference(plain, arrays), TOLERANCES[case.dtype])
    times = contest([*ours, *ceilings], clock)
    best, top = (fastest(times, [c.name for c in group]) for group in (ours, ceilings))
    text = f"{case.label}: our kernel, share of {top}"
    yield Target(text, ratio(times, top, best), limit, at_least=True), times


def with_tf32(case: Case, limit: float, place: Place, clock: Clock) -> Iterator[Any]:
    """Both told to use TF32."""
    import torch

    import tinygrad_ai as ta

    before = torch.get_float32_matmul_precision(), ta.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    ta.set_float32_matmul_precision("high")
    try:
        yield from against_pytorch(case, limit, place, clock)
    finally:
        torch.set_float32_matmul_precision(before[0])
        ta.set_float32_matmul_precision(before[1])


SHAPES = {(8192, 1024, 1024): 0.80, (8192, 4096, 4096): 0.95, (4096, 4096, 4096): 0.95}
TO_CUBLASLT, SHARE, TF32 = 1.05, 0.80, 1.00


def figures(place: Place) -> dict[str, Any]:
    """Each by its name: a function that yields targets and times."""
    clock = place.queue_clock
    found: dict[str, Any] = {}
    for shape, limit in SHAPES.items():
        case, tanh = Case(*shape), Case(*shape, act="gelu_tanh")
        found[case.label] = lambda c=case, x=limit: against_pytorch(c, x, place, clock())
        found[f"{tanh.label}, cuBLASLt"] = lambda c=tanh: against_cublaslt(
            c, TO_CUBLASLT, place, clock()
        )
    large, single = Case(8192, 8192, 8192), Case(4096, 4096, 4096, "float32", "relu")
    found[f"{large.label}, ceiling"] = lambda: share_of_ceiling(large, SHARE, place, clock())
    found[f"{single.label}, TF32"] = lambda: with_tf32(single, TF32, place, clock())
    return found
