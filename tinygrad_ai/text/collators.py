"""Collators: samples, dictionaries of lists or numbers, into a batch of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

from ..data import get_worker_info
from ..errors import ArgumentError
from ..ops.create import full
from ..ops.joining import stack
from ..ops.random import Generator, bernoulli, randint
from ..ops.select import where
from ..tensor import Tensor
from .encoding import OURS, BatchEncoding, to_tensor
from .padding import filled, plain

IGNORED = -100  # the label of a position that no loss counts
LABELS = ("label", "label_ids")


def default_data_collator(features: list[Any], return_tensors: str = "ta") -> dict[str, Any]:
    """Stacks values of one shape. "label" and "label_ids" become "labels"; texts are left out."""
    _check_some(features)
    rows = [_fields(row) for row in features]
    batch: dict[str, Any] = {}
    for name, first in rows[0].items():
        if first is not None and not isinstance(first, str):
            values = _values(rows, name)
            made = _stacked(name, values) if isinstance(first, Tensor) else plain(values)
            batch["labels" if name in LABELS else name] = to_tensor(made, return_tensors, name)
    return batch


def _fields(row: Any) -> Any:
    if isinstance(row, Mapping):
        return row
    if not hasattr(row, "__dict__"):
        raise ArgumentError(f"expected samples that are dictionaries, got {type(row).__name__}")
    return vars(row)


def _stacked(name: str, values: list[Any]) -> Tensor:
    if len({tuple(value.shape) for value in values}) > 1:
        came = ", ".join(str(tuple(value.shape)) for value in values)
        raise ArgumentError(
            f"the samples' {name} have different shapes: {came}",
            "Trainer(..., processing_class=tokenizer) or DataCollatorWithPadding(tokenizer) pads",
        )
    return stack(values)


@dataclass
class DefaultDataCollator:
    """`default_data_collator` as an object."""

    return_tensors: str = "ta"

    def __call__(self, features: list[Any], return_tensors: str | None = None) -> dict[str, Any]:
        return default_data_collator(features, return_tensors or self.return_tensors)


@dataclass
class DataCollatorWithPadding:
    """Pads ids and masks to the longest of the batch, or to `max_length`."""

    tokenizer: Any
    padding: Any = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    return_tensors: str = "ta"

    def __call__(self, features: list[Any]) -> BatchEncoding:
        _check_some(features)
        batch = self.tokenizer.pad(
            features, padding=self.padding, max_length=self.max_length,
            pad_to_multiple_of=self.pad_to_multiple_of, return_tensors=self.return_tensors,
        )  # fmt: skip
        return _renamed(batch)


@dataclass
class DataCollatorForTokenClassification:
    """Pads ids, masks, and a label for each token: those of the padding are `label_pad_token_id`,
    which no loss counts.
    """

    tokenizer: Any
    padding: Any = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    label_pad_token_id: int = IGNORED
    return_tensors: str = "ta"

    def __call__(self, features: list[Any]) -> BatchEncoding:
        _check_some(features)
        rows = [_renamed(dict(row)) for row in features]
        labels = [plain(row.pop("labels")) for row in rows if "labels" in row]
        batch = self.tokenizer.pad(
            rows, padding=self.padding, max_length=self.max_length,
            pad_to_multiple_of=self.pad_to_multiple_of, return_tensors=self.return_tensors,
        )  # fmt: skip
        if not labels:
            return batch
        for number, (row, sample) in enumerate(zip(labels, rows)):
            if not isinstance(row, list) or len(row) != len(sample["input_ids"]):
                got = len(row) if isinstance(row, list) else repr(row)
                raise ArgumentError(
                    f"sample {number} has {len(sample['input_ids'])} tokens and labels for {got}"
                )
        length, side = batch["input_ids"].shape[1], self.tokenizer.padding_side
        padded = filled(labels, labels, length, self.label_pad_token_id, side)
        batch["labels"] = to_tensor(padded, self.return_tensors, "labels")
        return batch


@dataclass
class DataCollatorForLanguageModeling:
    """Batches for language modelling, padded, with their labels.

    Masked (`mlm`, BERT): each position that holds no special token is chosen with probability
    `mlm_probability`; of the chosen 80 % become the mask token, 10 % a random token, 10 % stay.
    Labels are the ids at the chosen positions, -100 elsewhere. Causal (`mlm=False`, GPT): labels
    are the ids, -100 at the padding; the model shifts them.

    What is drawn comes from `generator`, from a generator with `seed`, else from the one that
    `manual_seed` sets. In a DataLoader's worker processes each draws by itself, differently in
    every pass.
    """

    tokenizer: Any
    mlm: bool = True
    mlm_probability: float = 0.15
    _: KW_ONLY
    mask_replace_prob: float = 0.8
    random_replace_prob: float = 0.1
    pad_to_multiple_of: int | None = None
    return_tensors: str = "ta"
    seed: int | None = None
    generator: Any = None

    def __post_init__(self) -> None:
        if self.mlm and self.tokenizer.mask_token is None:
            raise ArgumentError("the tokenizer has no mask token", "mlm=False for causal models")
        shares = (self.mlm_probability, self.mask_replace_prob, self.random_replace_prob)
        if not all(0 <= p <= 1 for p in shares) or shares[1] + shares[2] > 1 + 1e-9:
            raise ArgumentError(
                "mlm_probability, mask_replace_prob and random_replace_prob expect numbers in "
                f"[0, 1], the last two together at most 1; got {shares}"
            )
        if self.generator is None and self.seed is not None:
            self.generator = Generator().manual_seed(self.seed)
        self._worker: int | None = None

    def __call__(self, features: list[Any]) -> BatchEncoding:
        _check_some(features)
        rows = [  # a class of the whole text is no input of a language model
            {k: v for k, v in row.items() if k not in LABELS}
            if isinstance(row, Mapping) else {"input_ids": row} for row in features
        ]  # fmt: skip
        same = len({len(row["input_ids"]) for row in rows if "input_ids" in row}) == 1
        padding = not same or self.pad_to_multiple_of is not None
        batch = self.tokenizer.pad(
            rows, padding=padding, pad_to_multiple_of=self.pad_to_multiple_of, return_tensors="ta"
        )
        special = batch.pop("special_tokens_mask", None)
        batch.pop("offset_mapping", None)
        ids = batch["input_ids"]
        if self.mlm:
            batch["input_ids"], batch["labels"] = self._masked(ids, special)
        else:
            pad = self.tokenizer.pad_token_id
            batch["labels"] = ids.clone() if pad is None else ids.masked_fill(ids == pad, IGNORED)
        return batch if self.return_tensors in OURS else batch.convert_to_tensors("np")

    def _masked(self, ids: Tensor, special: Tensor | None) -> tuple[Tensor, Tensor]:
        """What the model sees, and what it is asked for."""
        kept = self._is_special(ids) if special is None else special.bool()
        chosen = self._drawn(ids, self.mlm_probability) & ~kept
        labels = where(chosen, ids, IGNORED)
        hidden = chosen & self._drawn(ids, self.mask_replace_prob)
        seen = where(hidden, self.tokenizer.mask_token_id, ids)
        rest = 1 - self.mask_replace_prob
        if rest > 0 and self.random_replace_prob > 0:
            share = min(1.0, self.random_replace_prob / rest)
            swapped = chosen & ~hidden & self._drawn(ids, share)
            words = randint(0, len(self.tokenizer), ids.shape, generator=self._source())
            seen = where(swapped, words, seen)
        return seen, labels

    def _is_special(self, ids: Tensor) -> Tensor:
        found = full(ids.shape, False)
        for index in self.tokenizer.all_special_ids:
            found = found | (ids == index)
        return found

    def _drawn(self, ids: Tensor, probability: float) -> Tensor:
        return bernoulli(full(ids.shape, float(probability)), generator=self._source()).bool()

    def _source(self) -> Any:
        """The generator; a worker process has its own, or all would draw the same."""
        info = get_worker_info()
        if self.generator is None or info is None:
            return self.generator
        if self._worker != info.seed:
            self._worker = info.seed
            start = self.generator.initial_seed() + info.seed
            self.generator = Generator().manual_seed(start)
        return self.generator


def _renamed(batch: Any) -> Any:
    for name in LABELS:
        if name in batch:
            batch["labels"] = batch.pop(name)
    return batch


def _values(rows: list[Any], name: str) -> list[Any]:
    for number, row in enumerate(rows):
        if row.get(name) is None:
            raise ArgumentError(f"sample {number} of the batch has no {name}, sample 0 has")
    return [row[name] for row in rows]


def _check_some(features: Any) -> None:
    if not len(features):
        raise ArgumentError("a batch needs at least one sample")
