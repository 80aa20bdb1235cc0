"""Steps of optimizers on a GPU: a launch for some dozens of tensors.

The learning rate and the numbers of steps are Python's, or arrays on the GPU (float64 () and int64
(n,)), which a captured graph reads when it is replayed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .fused_cuda import Fused, group
from .native import flat

Lists = tuple[list[Any], ...]


@group
class Optimizers(Fused):
    """Lists of float32 or float64 arrays, in any mixture of GPUs and dtypes."""

    entries = ("adam_step", "sgd_step", "rmsprop_step")

    def parts(self, lists: Lists) -> tuple[dict[Any, list[int]], list[int]]:
        """Which tensors go together, by their GPU and dtype; and which are not for us."""
        found: dict[Any, list[int]] = {}
        rest: list[int] = []
        for i, (p, g, *state) in enumerate(zip(*lists, strict=True)):
            kept = [p, *[a for a in state if a is not None]]
            fits = g.dtype == p.dtype and all([a.shape == p.shape for a in (g, *kept)])
            if fits and p.itemsize > 2 and self.dtype(*kept) is not None:
                found.setdefault((p.device.id, str(p.dtype)), []).append(i)
            else:
                rest.append(i)
        return found, rest

    def run(
        self, launch: Callable[..., None], plain: Any, lists: Lists, each: dict[str, Any],
        **numbers: Any,
    ) -> None:  # fmt: skip
        """launch(dtype, places, addresses and sizes) for tensors that go together; the plain entry
        for the rest. The first two lists are the parameters and their gradients."""
        found, rest = self.parts(lists)
        for (gpu, name), places in found.items():
            with self.be.xp.cuda.Device(gpu):
                chosen = [[one[i] for i in places] for one in lists]
                chosen[1] = [flat(g) for g in chosen[1]]
                addresses = [[self.address(a) for a in one] for one in chosen]
                launch(self.dtypes[name], places, [*addresses, [p.size for p in chosen[0]]])
        if rest:
            mine = {name: [values[i] for i in rest] for name, values in each.items()}
            plain(*[[one[i] for i in rest] for one in lists], **mine, **numbers)

    def rate(self, lr: Any) -> tuple[float, int]:
        """The learning rate, or where it stands on the GPU."""
        return (0.0, self.address(lr)) if isinstance(lr, self.be.ndarray) else (float(lr), 0)

    def adam_step(self, plain: Any, *lists: Any, t: Any, lr: Any, **numbers: Any) -> None:
        there = isinstance(t, self.be.ndarray)

        def launch(dtype: Any, places: list[int], addresses: list[Any]) -> None:
            steps = [0 if there else int(t[i]) for i in places]
            at = [self.address(t) + t.itemsize * i if there else 0 for i in places]
            self.module.adam(
                dtype, *addresses, steps, at, *self.rate(lr), **numbers, stream=self.stream()
            )

        self.run(launch, plain, lists, {"t": t}, lr=lr, **numbers)

    def sgd_step(self, plain: Any, *lists: Any, first: Any, lr: Any, **numbers: Any) -> None:
        def launch(dtype: Any, places: list[int], addresses: list[Any]) -> None:
            begins = [first[i] for i in places]
            self.module.sgd(
                dtype, *addresses, begins, *self.rate(lr), **numbers, stream=self.stream()
            )

        self.run(launch, plain, lists, {"first": first}, lr=lr, **numbers)

    def rmsprop_step(self, plain: Any, *lists: Any, lr: Any, **numbers: Any) -> None:
        def launch(dtype: Any, places: list[int], addresses: list[Any]) -> None:
            self.module.rmsprop(dtype, *addresses, *self.rate(lr), **numbers, stream=self.stream())

        self.run(launch, plain, lists, {}, lr=lr, **numbers)
