"""The 5,000 handwritten digits that come with the package, 4,000 to train on and 1,000 to test."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

PER_CLASS, TRAIN_PER_CLASS = 500, 400


class ImageArrays(NamedTuple):
    """Images as uint8 (N, 28, 28), labels as int64 (N)."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def load_digits() -> ImageArrays:
    """Real MNIST digits (CC BY-SA 3.0, see DIGITS-NOTICE.txt), split once and for all.

    The file is sorted by class, 500 each. Of every class, every fifth image (the 5th, 10th, ...)
    is for testing: 100 a class, whatever the seed of a run.
    """
    with np.load(Path(__file__).with_name("digits.npz")) as stored:
        images, labels = stored["images"], stored["labels"].astype(np.int64)
    test = np.arange(len(images)) % (PER_CLASS // (PER_CLASS - TRAIN_PER_CLASS)) == 4
    return ImageArrays(images[~test], labels[~test], images[test], labels[test])
