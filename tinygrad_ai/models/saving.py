"""A model's weights into a folder: one file, or several of a limited size with an index."""

from __future__ import annotations

import json
import re
import tempfile
from os import replace
from pathlib import Path
from typing import Any

from ..errors import ArgumentError
from ..serialization import save_large, write_text
from .checkpoint import INDEX, SINGLE

UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
FORMAT = {"format": "pt"}  # what transformers asks for


def bytes_of(size: Any) -> int:
    """A size in bytes, or as Hugging Face writes it: "5GB", "200MB"."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([KMGT]B)\s*", str(size), re.IGNORECASE)
    count = int(float(found[1]) * UNITS[found[2].upper()]) if found else size
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ArgumentError(
            f"expected max_shard_size to be a number of bytes > 0, got {size!r}",
            'max_shard_size="5GB" (or KB, MB, TB)',
        )
    return count


def shards(tensors: dict[str, Any], most: int) -> list[dict[str, Any]]:
    """The tensors in their order, cut where one more would exceed the limit. One that exceeds it by
    itself stands alone."""
    found: list[dict[str, Any]] = []
    current: dict[str, Any] = {}
    size = 0
    for name, t in tensors.items():
        if t.nbytes > most:
            found.append({name: t})
            continue
        if size + t.nbytes > most:
            found.append(current)
            current, size = {}, 0
        current[name] = t
        size += t.nbytes
    return [shard for shard in (*found, current) if shard]


def save_weights(folder: Path, tensors: dict[str, Any], most: int) -> None:
    """Writes model.safetensors, or model-00001-of-0000N.safetensors and so on with their index, and
    removes what an earlier save left.

    A crash leaves the old weights or the new ones: files of both are never taken for one model.
    """
    parts = shards(tensors, most)
    if len(parts) < 2:
        save_large(folder / SINGLE, tensors, FORMAT)
        _remove(folder, set(), INDEX)
        return
    names = [f"model-{i:05d}-of-{len(parts):05d}.safetensors" for i in range(1, len(parts) + 1)]
    with tempfile.TemporaryDirectory(dir=folder, prefix=".saving.") as scratch:
        for name, part in zip(names, parts):
            save_large(Path(scratch) / name, part, FORMAT)
        (folder / INDEX).unlink(missing_ok=True)
        for name in names:
            replace(Path(scratch) / name, folder / name)
    index = {
        "metadata": {
            "total_parameters": sum(t.numel() for t in tensors.values()),
            "total_size": sum(t.nbytes for t in tensors.values()),
        },
        "weight_map": {key: name for name, part in zip(names, parts) for key in part},
    }
    write_text(folder / INDEX, json.dumps(index, indent=2, sort_keys=True) + "\n")
    _remove(folder, set(names), SINGLE)


def _remove(folder: Path, kept: set[str], *others: str) -> None:
    """Removes files of earlier saves: the other kind's, then shards that are not kept."""
    for name in others:
        (folder / name).unlink(missing_ok=True)
    for file in folder.iterdir():
        if SHARD.fullmatch(file.name) and file.name not in kept:
            file.unlink()
