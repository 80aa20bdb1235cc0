"""`python -m tinygrad_ai predict RUN IMAGE...`: what a trained network sees in pictures."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .. import from_numpy, no_grad
from ..errors import DataError
from ..models import MLP
from ..nn import functional as F
from ..serialization import load
from ..tensor import Tensor
from .config import Config
from .images import scaled

SIDE = 28


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="a folder that train made")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="picture files")


def load_model(run: Path) -> MLP:
    """The network of a run folder, ready to classify."""
    model = MLP(hidden=Config.load(run).hidden)
    model.load_state_dict(load(run / "model.safetensors"))
    return model.eval()


def read_image(path: Path) -> Tensor:
    """A picture as the network knows them: 28x28, bright strokes on black, (1, 28, 28) in [0, 1].

    Dark strokes on a bright ground, as on paper, are inverted.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise DataError(
            "reading pictures needs Pillow", "pip install 'tinygrad-ai[plot]'"
        ) from None
    try:
        picture = Image.open(path).convert("L")
    except OSError as error:
        raise DataError(f"{path} is no picture that can be read: {error}") from None
    border: Any = [
        picture.getpixel((x, y)) for x in (0, picture.width - 1) for y in (0, picture.height - 1)
    ]
    if sum(border) > 2 * 255:
        picture = ImageOps.invert(picture)
    picture = ImageOps.pad(picture, (SIDE, SIDE), color=0)
    import numpy as np

    return scaled(from_numpy(np.array(picture, dtype=np.uint8))).reshape(1, SIDE, SIDE)


def run(args: argparse.Namespace) -> int:
    """The command; returns the exit code."""
    model = load_model(args.run)
    for path in args.images:
        with no_grad():
            chances = F.softmax(model(read_image(path)), dim=1)[0]
        values, classes = chances.topk(3)
        best, *others = zip(classes.tolist(), values.tolist(), strict=True)
        rest = ", ".join(f"{label} {value:.1%}" for label, value in others)
        print(f"{path}: {best[0]} ({best[1]:.1%}; then {rest})")
    return 0
