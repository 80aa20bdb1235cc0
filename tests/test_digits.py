"""The digits in the package, and the reader of IDX files with every way they can be wrong."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from tinygrad_ai.data import digits, idx


def test_the_split_is_fixed_and_stratified() -> None:
    d = digits.load_digits()
    assert d.train_images.shape == (4000, 28, 28) and d.test_images.shape == (1000, 28, 28)
    assert np.bincount(d.train_labels).tolist() == [400] * 10
    assert np.bincount(d.test_labels).tolist() == [100] * 10
    assert d.train_images.dtype == np.uint8 and d.train_labels.dtype == np.int64
    train = {i.tobytes() for i in d.train_images}
    assert not any(i.tobytes() in train for i in d.test_images)
    package = Path(digits.__file__).parent
    assert (package / "digits.npz").stat().st_size < 1_000_000
    assert "Attribution-Share Alike 3.0" in (package / "DIGITS-NOTICE.txt").read_text()


def images(n: int, magic: int = 2051) -> bytes:
    pixels = np.arange(n * 4, dtype=np.uint8)
    return struct.pack(">4I", magic, n, 2, 2) + pixels.tobytes()


def labels(values: list[int], magic: int = 2049) -> bytes:
    return struct.pack(">2I", magic, len(values)) + bytes(values)


def fill(folder: Path, dot: str = "-", zipped: bool = False) -> None:
    for part, n in (("train", 3), ("t10k", 2)):
        for kind, rank, content in (("images", 3, images(n)), ("labels", 1, labels([9] * n))):
            path = folder / f"{part}-{kind}{dot}idx{rank}-ubyte"
            path = path.with_name(path.name + ".gz") if zipped else path
            path.write_bytes(gzip.compress(content) if zipped else content)


@pytest.mark.parametrize("dot", ["-", "."])
@pytest.mark.parametrize("zipped", [False, True])
def test_reads_all_names(tmp_path: Path, dot: str, zipped: bool) -> None:
    fill(tmp_path, dot, zipped)
    found = idx.load_idx(tmp_path)
    assert found.train_images.shape == (3, 2, 2) and found.test_labels.tolist() == [9, 9]
    assert found.train_images[0, 0, 1] == 1


BAD = [
    (images(3)[:-1], "is truncated: expected 12 bytes for shape (3, 2, 2), got 11"),
    (images(3) + b"x", "has bytes too many: expected 12 bytes for shape (3, 2, 2), got 13"),
    (b"\0\0", "is truncated: expected a header of 16 bytes, got 2"),
    (images(3, 2049), "got an IDX file of labels (magic number 2049)"),
    (b"PK\x03\x04" + bytes(20), "got another kind of file (magic number 1347093252)"),
]


@pytest.mark.parametrize(("content", "message"), BAD)
def test_says_what_is_wrong_with_images(tmp_path: Path, content: bytes, message: str) -> None:
    fill(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(ValueError) as error:
        idx.load_idx(tmp_path)
    assert message in str(error.value) and "train-images-idx3-ubyte" in str(error.value)


def test_says_what_is_wrong_with_labels(tmp_path: Path) -> None:
    fill(tmp_path)
    path = tmp_path / "t10k-labels-idx1-ubyte"
    path.write_bytes(labels([1, 10]))
    with pytest.raises(ValueError, match="expected labels from 0 to 9, got 10 at position 1"):
        idx.load_idx(tmp_path)
    path.write_bytes(labels([1]))
    with pytest.raises(ValueError, match="has 2 images, t10k-labels-idx1-ubyte 1 labels"):
        idx.load_idx(tmp_path)
    path.unlink()
    with pytest.raises(ValueError, match=r"has no t10k-labels-idx1-ubyte \(nor "):
        idx.load_idx(tmp_path)
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(labels([1, 2]))[:-9])
    with pytest.raises(ValueError, match="cannot be read"):
        idx.load_idx(tmp_path)
    with pytest.raises(ValueError, match="is no folder"):
        idx.load_idx(tmp_path / "nowhere")
