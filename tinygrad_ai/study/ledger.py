"""Who owns memory: the arrays that are alive, what each is for, and how much there was over time.

Memory belongs to the array that owns it: views cost nothing. The ledger keeps no array alive; a
weak reference tells it when one is gone. It knows bytes and categories, and nothing of a tape.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from ..backend.storage import root

CATEGORIES = (
    "parameters", "optimizer state", "inputs", "gradients", "activations", "temporaries",
)  # fmt: skip


class Origin(NamedTuple):
    """What made an array: an op or an optimizer, in which layer, on which line."""

    op: str = ""
    path: str = ""
    place: str = ""


class Sample(NamedTuple):
    """The bytes alive from a moment on, and the event that made or freed the last of them. What an
    op makes counts from its beginning."""

    seconds: float
    event: Origin
    sizes: tuple[int, ...]  # in the order of CATEGORIES

    @property
    def bytes(self) -> int:
        return sum(self.sizes)

    @property
    def by_category(self) -> dict[str, int]:
        return dict(zip(CATEGORIES, self.sizes, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "seconds": self.seconds, **self.event._asdict(), "bytes": self.bytes,
            "by_category": self.by_category,
        }  # fmt: skip


@dataclass(frozen=True)
class Holder:
    """An array that was alive at the peak. `op`, `path` and `place` say what made it; of an input,
    where it was first used."""

    bytes: int
    shape: tuple[int, ...]
    dtype: str
    category: str
    op: str
    path: str
    place: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


@dataclass(eq=False)
class Block:
    """The memory of one array. `uses`: its categories, each with the sample it began with."""

    key: int
    bytes: int
    shape: tuple[int, ...]
    dtype: str
    origin: Origin
    uses: list[tuple[int, str]]
    nodes: int = 0  # of the tape, that saved it
    ref: Callable[[], Any] | None = field(default=None, repr=False)

    @property
    def category(self) -> str:
        return self.uses[-1][1]

    def category_at(self, index: int) -> str | None:
        """What it was for at a sample; None if it came later."""
        return next((c for i, c in reversed(self.uses) if i <= index), None)


class Ledger:
    """Blocks enter, change their category and are buried; `sample` writes down where it stands.

    What was alive at the peak is known without a list of everything that ever was: those alive now
    that are old enough, and those of them that died since.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock, self.start = clock, clock()
        self.live: dict[int, Block] = {}
        self.dead: deque[Block] = deque()  # died, and still counted
        self.gone: list[Block] = []  # buried since the peak
        self.sizes = dict.fromkeys(CATEGORIES, 0)
        self.samples: list[Sample] = []
        self.highest = 0  # the sample at the peak

    def find(self, array: Any) -> Block | None:
        """The block behind an array, if it is known."""
        owner = root(array)
        block = self.live.get(id(owner))
        return block if block and block.ref and block.ref() is owner else None

    def enter(self, array: Any, category: str, origin: Origin) -> Block:
        """The block behind an array; a new one is of this category."""
        known = self.find(array)
        if known:
            return known
        owner = root(array)
        block = Block(id(owner), owner.nbytes, tuple(owner.shape), str(owner.dtype), origin,
                      [(len(self.samples), category)])  # fmt: skip
        dead = self.dead
        block.ref = weakref.ref(owner, lambda _: dead.append(block))
        self.live[block.key] = block
        self.sizes[category] += block.bytes
        return block

    def move(self, block: Block, category: str) -> None:
        """From now on it is for something else."""
        if self.live.get(block.key) is block and block.category != category:
            self.sizes[block.category] -= block.bytes
            self.sizes[category] += block.bytes
            block.uses.append((len(self.samples), category))

    def bury(self) -> None:
        """Stops counting what has died."""
        while self.dead:
            block = self.dead.popleft()
            self.sizes[block.category] -= block.bytes
            if self.live.get(block.key) is block:
                del self.live[block.key]
            if block.category_at(self.highest):
                self.gone.append(block)

    def sample(self, event: Origin, since: float | None = None) -> None:
        """Writes down where it stands, if that changed: now, or as of `since`, when an event began
        in which arrays were made."""
        sizes = tuple(self.sizes.values())
        before = self.samples[-1] if self.samples else None
        if before and sizes == before.sizes:
            return
        seconds = (self.clock() if since is None else since) - self.start
        seconds = max(seconds, before.seconds) if before else seconds
        self.samples.append(Sample(seconds, event, sizes))
        if self.samples[-1].bytes > self.samples[self.highest].bytes:
            self.highest = len(self.samples) - 1
            self.gone.clear()

    def holders(self) -> Iterator[Holder]:
        """What was alive at the peak, in no order."""
        self.bury()
        for b in (*self.live.values(), *self.gone):
            category = b.category_at(self.highest)
            if category:
                yield Holder(b.bytes, b.shape, b.dtype, category, *b.origin)

    def close(self) -> None:
        """Takes the weak references off the arrays."""
        self.bury()
        for block in self.live.values():
            block.ref = None
