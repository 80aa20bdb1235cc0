"""MNIST's own files: the IDX format of images and labels, plain or gzipped.

A header of big-endian 32-bit numbers (magic, count, and for images rows and columns), then one
byte a pixel or label. Magic 2051 stands for images, 2049 for labels.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from ..errors import DataError
from .digits import ImageArrays

IMAGES, LABELS = 2051, 2049
CLASSES = 10


def load_idx(folder: Path) -> ImageArrays:
    """Reads the four files of MNIST or Fashion-MNIST from a folder. DataError says which file is
    missing, truncated, of another kind, or holds a label above 9.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder", "--data takes the folder with the IDX files")
    parts = []
    for part in ("train", "t10k"):
        images_path, labels_path = find(folder, part, "images", 3), find(folder, part, "labels", 1)
        images, labels = read_images(images_path), read_labels(labels_path)
        if len(images) != len(labels):
            raise DataError(
                f"{images_path.name} has {len(images)} images, "
                f"{labels_path.name} {len(labels)} labels"
            )
        parts += [images, labels]
    return ImageArrays(*parts)


def find(folder: Path, part: str, kind: str, rank: int) -> Path:
    """The file under any of its names: with - or . before idx, with or without .gz."""
    names = [f"{part}-{kind}{dot}idx{rank}-ubyte{end}" for dot in "-." for end in ("", ".gz")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"{folder} has no {names[0]} (nor {', '.join(names[1:])})")


def read_images(path: Path) -> np.ndarray:
    """(N, rows, columns) bytes."""
    content = read(path, IMAGES, 16)
    count, rows, columns = np.frombuffer(content, ">u4", 3, offset=4).tolist()
    return body(path, content, 16, (count, rows, columns))


def read_labels(path: Path) -> np.ndarray:
    """(N) labels from 0 to 9, as int64."""
    content = read(path, LABELS, 8)
    labels = body(path, content, 8, tuple(np.frombuffer(content, ">u4", 1, offset=4).tolist()))
    if labels.size and labels.max() >= CLASSES:
        at = int((labels >= CLASSES).argmax())
        raise DataError(f"{path}: expected labels from 0 to 9, got {labels[at]} at position {at}")
    return labels.astype(np.int64)


def read(path: Path, magic: int, header: int) -> bytes:
    """The bytes of a file that begins with the magic number expected."""
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    if len(content) < header:
        raise DataError(
            f"{path} is truncated: expected a header of {header} bytes, got {len(content)}"
        )
    found = int.from_bytes(content[:4], "big")
    if found != magic:
        kinds = {IMAGES: "an IDX file of images", LABELS: "an IDX file of labels"}
        raise DataError(
            f"{path}: expected {kinds[magic]} (magic number {magic}), "
            f"got {kinds.get(found, 'another kind of file')} (magic number {found})"
        )
    return content


def body(path: Path, content: bytes, header: int, shape: tuple[int, ...]) -> np.ndarray:
    """What follows the header, which must be exactly one byte for each element."""
    expected, got = int(np.prod(shape, dtype=np.int64)), len(content) - header
    if got != expected:
        what = "is truncated" if got < expected else "has bytes too many"
        raise DataError(
            f"{path} {what}: expected {expected:,} bytes for shape {shape}, got {got:,}"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
