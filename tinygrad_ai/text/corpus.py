"""Texts from files: blocks of tokens for pre-training, and labelled rows for fine-tuning."""

from __future__ import annotations

import csv
import gzip
import io
import json
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import ArgumentError, DataError
from .padding import LARGE

PIECE = 1 << 20  # characters of a file that are tokenized at once


class Text(str):
    """A text where a path could stand."""


def texts(*contents: str) -> list[Text]:
    """Texts for the functions that read files, in place of their paths."""
    return [Text(content) for content in contents]


def listed(corpus: Any) -> Iterable[Any]:
    """The files of a corpus; one alone counts as a list of one."""
    return [corpus] if isinstance(corpus, str) or hasattr(corpus, "__fspath__") else corpus


def read_text(path: Any) -> Iterator[str]:
    """A text file (UTF-8, or .gz) in pieces that end with a line; a Text is its own content."""
    if isinstance(path, Text):
        yield str(path)
        return
    path, rest = Path(path), ""
    try:
        with _opened(path) as file:
            while piece := file.read(PIECE):
                cut = (rest + piece).rfind("\n") + 1 or len(rest + piece)
                yield (rest + piece)[:cut]
                rest = (rest + piece)[cut:]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from None
    if rest:
        yield rest


def _opened(path: Path) -> Any:
    if not path.is_file():
        raise DataError(f"{path} is no file")
    opened: Any = gzip.open if path.suffix == ".gz" else open
    return opened(path, "rt", encoding="utf-8-sig", newline="")


def _unreadable(path: Path, error: Exception) -> DataError:
    fix = "save it as UTF-8" if isinstance(error, UnicodeDecodeError) else None
    return DataError(f"{path} cannot be read: {error}", fix)


def _content(path: Path) -> str:
    try:
        with _opened(path) as file:
            return file.read()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from None


class TokenBlocks:
    """A data set of blocks of `block_size` ids, from text files, for pre-training: all texts one
    after the other, an end token between them (`eos_token`, else `sep_token`), cut into blocks;
    what is left at the end is dropped. With a tokenizer like BERT's every block begins with
    [CLS] and ends with [SEP], which count.

    Each sample is {"input_ids": [...]}: a collator for language modelling makes its labels.
    """

    def __init__(self, tokenizer: Any, corpus: Iterable[Any], block_size: int = 128) -> None:
        empty, limit = tokenizer("")["input_ids"], tokenizer.model_max_length
        if not len(empty) < block_size <= limit:
            most = f", at most {limit}, the model's limit" if limit < LARGE else ""
            raise ArgumentError(f"block_size={block_size} must be more than {len(empty)}{most}")
        first = (tokenizer.cls_token_id, tokenizer.bos_token_id)
        begins = int(bool(empty) and empty[0] in first)
        self.before, self.after = empty[:begins], empty[begins:]
        self.room, self.ids = block_size - len(empty), array("i")
        end = tokenizer.eos_token_id
        end = tokenizer.sep_token_id if end is None else end
        options = {"add_special_tokens": False, "truncation": False, "verbose": False}
        for path in listed(corpus):
            for text in read_text(path):
                self.ids.extend(tokenizer(text, **options)["input_ids"])
            if end is not None:
                self.ids.append(end)
        if len(self.ids) < self.room:
            raise DataError(
                f"the corpus has {len(self.ids)} tokens, too few for one block of {block_size}",
                "a smaller block_size, or more text",
            )

    def __len__(self) -> int:
        return len(self.ids) // self.room

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"block {index} of {len(self)}")
        start = index % len(self) * self.room
        return {"input_ids": [*self.before, *self.ids[start : start + self.room], *self.after]}


class LabelledTexts(NamedTuple):
    """Texts, their labels as numbers from 0, and the labels' names in that order."""

    texts: list[str]
    labels: list[int]
    names: list[str]


def read_labelled(
    path: Any, text_column: str = "text", label_column: str = "label", names: Any = None
) -> LabelledTexts:
    """Rows with a text and a label from a .csv with a header, or a .jsonl with an object a line
    (also gzipped). Labels that are all whole numbers from 0 are taken as they are, others get
    their number in the alphabetical order; `names` fixes the order instead, for a second file.
    """
    path = Path(path)
    kind = path.suffixes[-2] if path.suffix == ".gz" and len(path.suffixes) > 1 else path.suffix
    if kind not in (".csv", ".jsonl", ".json"):
        raise DataError(f"{path}: expected a file ending in .csv or .jsonl")
    rows = _csv(path) if kind == ".csv" else _jsonl(path)
    found, said = [], []
    for line, row in rows:
        for column in (text_column, label_column):
            if column not in row:
                raise DataError(
                    f"{path}, line {line}: no {column!r}; the columns are {', '.join(row)}",
                    "text_column= and label_column= (--text-column, --label-column) name them",
                )
            if row[column] is None:
                raise DataError(f"{path}, line {line}: {column!r} is null")
        found.append(str(row[text_column]))
        said.append(_label(row[label_column], f"{path}, line {line}"))
    if not found:
        raise DataError(f"{path} has no rows")
    names = _names(said) if names is None else [str(name) for name in names]
    number = {name: i for i, name in enumerate(names)}
    for i, label in enumerate(said):
        if label not in number:
            raise DataError(f"{path}, row {i + 1}: the label {label!r} is none of {names}")
    return LabelledTexts(found, [number[label] for label in said], names)


def _label(value: Any, where: str) -> str:
    if isinstance(value, (dict, list, float)):
        raise DataError(f"{where}: a label is a whole number or a word, got {value!r}")
    if not str(value).strip():
        raise DataError(f"{where}: the label is empty")
    return str(value)


def _names(labels: list[str]) -> list[str]:
    """0, 1, … up to the largest where all are whole numbers, else the words in order."""
    if all(label.isdecimal() and label == str(int(label)) for label in labels):
        most = max(map(int, labels))
        if most >= max(1000, 2 * len(labels)):
            raise DataError(f"a label is {most}: labels are the numbers of classes, from 0")
        return [str(i) for i in range(most + 1)]
    return sorted(set(labels))


def _csv(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader(io.StringIO(_content(path), newline=""), strict=True)
    try:
        header = next(reader, [])
        for row in reader:
            if row and len(row) != len(header):
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(row)} values for the {len(header)} "
                    f"columns {', '.join(header)}",
                    'quotes around a text with commas: "good, really",1',
                )
            if row:
                yield reader.line_num, dict(zip(header, row))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from None


def _jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(_content(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}, line {number}: {error}") from None
        if not isinstance(row, dict):
            raise DataError(f"{path}, line {number}: expected an object, got {row!r}"[:200])
        yield number, row
