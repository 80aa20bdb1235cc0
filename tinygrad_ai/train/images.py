"""The two data sets of a run: images as tensors in [0, 1], labels as int64."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from .. import from_numpy
from ..data import TensorDataset
from ..data.digits import load_digits
from ..data.idx import load_idx
from ..tensor import Tensor


class Images(NamedTuple):
    train: TensorDataset
    test: TensorDataset


def load_images(folder: str | None, device: str = "cpu") -> Images:
    """The digits of the package, or the IDX files of a folder."""
    found = load_digits() if folder is None else load_idx(Path(folder))
    return Images(
        _dataset(found.train_images, found.train_labels, device),
        _dataset(found.test_images, found.test_labels, device),
    )


def _dataset(images: object, labels: object, device: str) -> TensorDataset:
    return TensorDataset(scaled(from_numpy(images)).to(device), from_numpy(labels).to(device))


def scaled(pixels: Tensor) -> Tensor:
    """Bytes 0 to 255 as float32 0 to 1."""
    return pixels.float() / 255
