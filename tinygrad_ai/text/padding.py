"""Which padding and truncation is asked for, and padding of what was encoded before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import ArgumentError
from ..tensor import Tensor
from .encoding import BatchEncoding

UNLIMITED = int(1e30)  # model_max_length of a tokenizer that knows no limit, as in Hugging Face
LARGE = int(1e20)
PADDINGS = ("longest", "max_length", "do_not_pad")
TRUNCATIONS = ("longest_first", "only_first", "only_second", "do_not_truncate")
FILLED = ("attention_mask", "token_type_ids", "special_tokens_mask")


class Plan(NamedTuple):
    """What to do with the lengths of a batch."""

    padding: str
    truncation: str
    max_length: int | None


def plan(
    tokenizer: Any, padding: Any, truncation: Any, max_length: int | None, multiple: int | None
) -> Plan:
    """Hugging Face's reading of the arguments: True means "longest" or "longest_first", a
    max_length alone truncates, and without one the model's limit counts where it has one.
    """
    if max_length is not None and padding is False and truncation is None:
        truncation = True
    how = _choice("padding", padding, PADDINGS, "longest", "do_not_pad")
    cut = _choice("truncation", truncation, TRUNCATIONS, "longest_first", "do_not_truncate")
    _check_numbers(tokenizer, max_length, multiple)
    if max_length is None and tokenizer.model_max_length > LARGE:
        how = "do_not_pad" if how == "max_length" else how
        cut = "do_not_truncate"
    elif max_length is None and (how == "max_length" or cut != "do_not_truncate"):
        max_length = tokenizer.model_max_length
    if how != "do_not_pad" and tokenizer.pad_token is None:
        raise ArgumentError(
            "the tokenizer has no padding token",
            "tokenizer.pad_token = tokenizer.eos_token, or "
            "tokenizer.add_special_tokens({'pad_token': '[PAD]'})",
        )
    both = how != "do_not_pad" and cut != "do_not_truncate"
    if both and multiple and max_length is not None and max_length % multiple:
        raise ArgumentError(
            f"truncation to max_length={max_length} and padding to a multiple of {multiple} "
            "exclude each other",
            f"max_length={max_length - max_length % multiple or multiple}",
        )
    return Plan(how, cut, max_length)


def _choice(name: str, value: Any, names: tuple[str, ...], yes: str, no: str) -> str:
    value = getattr(value, "value", value)  # an enumeration's member, as in Hugging Face
    if value is True:
        return yes
    if value is False or value is None:
        return no
    if value not in names:
        raise ArgumentError(f"{name} expects True, False, {', '.join(names)}; got {value!r}")
    return value


def _check_numbers(tokenizer: Any, max_length: Any, multiple: Any) -> None:
    for name, value, least in (("max_length", max_length, 0), ("pad_to_multiple_of", multiple, 1)):
        wrong = isinstance(value, bool) or not isinstance(value, int)
        if value is not None and (wrong or value < least):
            raise ArgumentError(f"{name} expects an integer >= {least}, got {value!r}")


def side_of(tokenizer: Any, side: str | None) -> str:
    side = tokenizer.padding_side if side is None else side
    if side not in ("left", "right"):
        raise ArgumentError(f"padding_side expects 'left' or 'right', got {side!r}")
    return side


def pad(
    tokenizer: Any, encoded: Any, padding: Any, max_length: int | None, multiple: int | None,
    side: str | None, mask: bool | None, kind: str | None,
) -> BatchEncoding:  # fmt: skip
    """Pads ids, masks and type ids; other values, labels for example, are kept as they are."""
    batch, found = gathered(encoded)
    kind = kind or found
    how, _, length = plan(tokenizer, padding, False, max_length, multiple)
    side, ids = side_of(tokenizer, side), batch["input_ids"]
    if mask is None:
        mask = "attention_mask" in tokenizer.model_input_names
    single = not ids or not isinstance(ids[0], (list, tuple))
    if single:
        batch = {name: [value] for name, value in batch.items()}
        ids = batch["input_ids"]
    if mask and "attention_mask" not in batch:
        batch["attention_mask"] = [[1] * len(row) for row in ids]
    if how == "longest":
        length = max((len(row) for row in ids), default=0)
    if multiple and length is not None:
        length = -(-length // multiple) * multiple
    if how != "do_not_pad" and length is not None:
        fill = {"input_ids": tokenizer.pad_token_id, "special_tokens_mask": 1}
        for name in ("input_ids", *FILLED):
            if name in batch:
                batch[name] = filled(batch[name], ids, length, fill.get(name, 0), side)
    if single:
        batch = {name: value[0] for name, value in batch.items()}
    return BatchEncoding(batch, tensor_type=kind)


def filled(rows: Any, ids: Any, length: int, value: int, side: str) -> list[list[int]]:
    """Rows of `length`, each padded by as much as its ids lack."""
    more = [[value] * (length - len(row)) for row in ids]
    if side == "right":
        return [list(row) + extra for row, extra in zip(rows, more)]
    return [extra + list(row) for row, extra in zip(rows, more)]


def gathered(encoded: Any) -> tuple[dict[str, Any], str | None]:
    """One dictionary of lists from a dictionary, or from a list of one dictionary a sample; and
    the kind of tensor it came in, if it did.
    """
    if not isinstance(encoded, Mapping):
        encoded = list(encoded)
        if not encoded or not all(isinstance(sample, Mapping) for sample in encoded):
            raise ArgumentError(
                "pad expects an encoding or a list of at least one, "
                f"got {[type(sample).__name__ for sample in encoded][:3]}"
            )
        first = encoded[0]
        for number, sample in enumerate(encoded):
            if sample.keys() != first.keys():
                differ = sorted(sample.keys() ^ first.keys())
                raise ArgumentError(
                    f"sample {number} of the batch and sample 0 do not both have {differ}"
                )
        encoded = {name: [sample[name] for sample in encoded] for name in first}
    if "input_ids" not in encoded:
        raise ArgumentError(f"pad needs input_ids, got {list(encoded)}")
    sample = encoded["input_ids"]
    sample = sample[0] if isinstance(sample, (list, tuple)) and len(sample) else sample
    kind = "ta" if isinstance(sample, Tensor) else "np" if hasattr(sample, "tolist") else None
    return {name: plain(value) for name, value in encoded.items()}, kind


def plain(value: Any) -> Any:
    """Tensors and arrays as Python's numbers, in lists too."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (list, tuple)) and any(hasattr(item, "tolist") for item in value):
        return [plain(item) for item in value]
    return value
