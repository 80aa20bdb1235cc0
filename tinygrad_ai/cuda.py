"""PyTorch's `cuda` namespace, over CuPy: which GPUs there are, their streams and their memory.

Nothing here loads CuPy before it is asked. Without CuPy, a driver or a GPU `is_available()` is
False and `device_count()` 0; all else raises a DeviceError that says what is missing.
"""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager
from typing import Any

from . import backend
from .backend import cuda_memory, random
from .backend.device import device as Device
from .errors import ArgumentError
from .graphed import make_graphed_step
from .tensor import Tensor, wrap

__all__ = [
    "Stream", "current_device", "current_stream", "device", "device_count", "empty_cache",
    "get_device_capability", "get_device_name", "get_rng_state", "is_available",
    "make_graphed_step", "manual_seed", "manual_seed_all", "max_memory_allocated",
    "max_memory_reserved", "mem_get_info", "memory_allocated", "memory_reserved",
    "memory_summary", "reset_peak_memory_stats", "set_device", "set_memory_limit",
    "set_rng_state", "stream", "synchronize",
]  # fmt: skip


def is_available() -> bool:
    """Whether a GPU can be used; `python -m tinygrad_ai info` says why not."""
    return not backend.cuda.reason()


def device_count() -> int:
    """How many GPUs there are."""
    return int(_cupy().cuda.runtime.getDeviceCount()) if is_available() else 0


def current_device() -> int:
    """The number of the GPU that "cuda" means: CuPy's current one."""
    return int(_cupy().cuda.runtime.getDevice())


def set_device(device: Any) -> None:
    """Makes a GPU the current one of this thread. DeviceError if there is none of that number."""
    _gpu(device).use()


def _cupy() -> Any:
    return backend.cuda.load().xp


def _number(device: Any) -> int:
    """The GPU meant by a number, a name, a device or None, the current one."""
    wanted = Device("cuda", device) if isinstance(device, int) else Device(device or "cuda")
    if wanted.type != "cuda":
        raise ArgumentError(f"expected a GPU, got {wanted}", "'cuda:0'")
    return int(backend.cuda.full_name(wanted).index or 0)


def _gpu(device: Any) -> Any:
    return _cupy().cuda.Device(_number(device))


class device(AbstractContextManager["device"]):
    """`with ta.cuda.device(1):` makes a GPU the current one inside the block."""

    def __init__(self, device: Any) -> None:
        self.gpu = _gpu(device)
        self.idx = int(self.gpu.id)

    def __enter__(self) -> device:
        self.gpu.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.gpu.__exit__(*error)


def synchronize(device: Any = None) -> None:
    """Waits until a GPU (the current one) has done all it was given."""
    _gpu(device).synchronize()


class Stream:
    """A queue of work on the current GPU, beside the one that is used otherwise."""

    def __init__(self, device: Any = None, priority: int = 0, *, made: Any = None) -> None:
        if made is None:
            with _gpu(device):
                made = _cupy().cuda.Stream(non_blocking=True)
        self.cupy = made

    @property
    def cuda_stream(self) -> int:
        """The stream's address, as CUDA's functions take it."""
        return int(self.cupy.ptr)

    def synchronize(self) -> None:
        """Waits until all its work is done."""
        self.cupy.synchronize()

    def wait_stream(self, stream: Stream) -> None:
        """Work given from now on waits for what another stream was given so far."""
        self.cupy.wait_event(stream.cupy.record())


def current_stream(device: Any = None) -> Stream:
    """The stream that operations go to: CuPy's current one."""
    with _gpu(device):
        return Stream(made=_cupy().cuda.get_current_stream())


def stream(stream: Stream) -> AbstractContextManager[Any]:
    """`with ta.cuda.stream(s):` sends the operations inside the block to a stream."""
    return stream.cupy  # type: ignore[no-any-return]


def get_device_name(device: Any = None) -> str:
    """What the maker calls the GPU."""
    name = _cupy().cuda.runtime.getDeviceProperties(_number(device))["name"]
    return name.decode() if isinstance(name, bytes) else str(name)


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The GPU's compute capability, as (9, 0)."""
    found = str(_gpu(device).compute_capability)
    return int(found[:-1]), int(found[-1])


def manual_seed(seed: int) -> None:
    """Starts the current GPU's default stream of random numbers that belongs to `seed`."""
    random.default_on("cuda").manual_seed(seed)


def manual_seed_all(seed: int) -> None:
    """The same for all GPUs."""
    for i in range(device_count()):
        random.default_on(f"cuda:{i}").manual_seed(seed)


def get_rng_state(device: Any = "cuda") -> Tensor:
    """The state of a GPU's default stream of random numbers, as bytes on the CPU."""
    return wrap(random.default_on(f"cuda:{_number(device)}").get_state())


def set_rng_state(new_state: Any, device: Any = "cuda") -> None:
    """Puts a GPU's default stream into a state of get_rng_state."""
    state = new_state.array if isinstance(new_state, Tensor) else new_state
    random.default_on(f"cuda:{_number(device)}").set_state(state)


def _asked(device: Any, question: str) -> int:
    return cuda_memory.in_pool(_cupy(), _number(device), question)


def memory_allocated(device: Any = None) -> int:
    """Bytes that arrays hold."""
    return _asked(device, "used_bytes")


def memory_reserved(device: Any = None) -> int:
    """Bytes that CuPy's pool holds: arrays', and those that wait to be used again."""
    return _asked(device, "total_bytes")


def reset_peak_memory_stats(device: Any = None) -> None:
    """Peaks start from what there is now. The first call starts the counting, which CuPy's pool
    does not do by itself: call it before what you want to measure, in the thread that computes."""
    cuda_memory.reset(_number(device))


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that arrays held since reset_peak_memory_stats. Without that call a warning
    says so, and counting starts here."""
    index = _number(device)
    if cuda_memory.counted() is None:
        warnings.warn(
            "nobody counted until now: this is what arrays hold at present\n"
            "  fix: call ta.cuda.reset_peak_memory_stats() before the work to be measured",
            stacklevel=2,
        )
        cuda_memory.reset(index)
    return cuda_memory.counted().most[index]  # type: ignore[union-attr]


def max_memory_reserved(device: Any = None) -> int:
    """The most bytes that CuPy's pool held, since reset_peak_memory_stats or the start."""
    return cuda_memory.note_reserved(_number(device))


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Free and total bytes of the GPU, all programs counted."""
    free, total = _gpu(device).mem_info
    return int(free), int(total)


def memory_summary(device: Any = None) -> str:
    """All this in words."""
    numbers = [_asked(device, q) for q in ("used_bytes", "total_bytes", "get_limit")]
    used, held, limit, free, total = [
        f"{n / 2**20:.1f} MiB" for n in (*numbers, *mem_get_info(device))
    ]
    index, peaks = _number(device), cuda_memory.counted()
    peak = f" (at the peak {peaks.most[index] / 2**20:.1f} MiB)" if peaks else ""
    return (
        f"cuda:{index} ({get_device_name(device)}): arrays hold {used}{peak} of the {held} in "
        f"CuPy's pool{f', at most {limit}' if numbers[2] else ''}; {free} of {total} are free"
    )


def empty_cache() -> None:
    """Gives the memory that waits in CuPy's pool back, on the current GPU."""
    cuda_memory.note_reserved(current_device())
    _cupy().get_default_memory_pool().free_all_blocks()


def set_memory_limit(size: int | None = None, device: Any = None, *, fraction: Any = None) -> None:
    """The most that CuPy's pool may take, in bytes or as a fraction of the GPU's memory; None and
    0 are no limit. Beyond it arrays raise CuPy's OutOfMemoryError."""
    if fraction is not None and not 0 <= fraction <= 1:
        raise ArgumentError(f"expected a fraction in [0, 1], got {fraction}")
    with _gpu(device):
        how = {"size": size or 0} if fraction is None else {"fraction": fraction}
        _cupy().get_default_memory_pool().set_limit(**how)
