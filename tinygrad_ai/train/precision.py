"""Mixed precision for the Trainer: fp16 and bf16 through autocast, where it has them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ..amp import GradScaler, autocast
from ..backend import dtypes
from ..errors import ArgumentError, TinygradError


def check_precision(args: Any) -> None:
    """ArgumentError if the 16-bit type that is asked for cannot be had."""
    if args.fp16 and args.bf16:
        raise ArgumentError("at most one of fp16 and bf16 can be on")
    try:
        forward_context(args)
    except TinygradError as error:
        name = "bf16" if args.bf16 else "fp16"
        raise ArgumentError(f"{name}=True cannot be had: {error.message}") from None


def forward_context(args: Any) -> AbstractContextManager[Any]:
    """What forward passes run in."""
    if not (args.fp16 or args.bf16):
        return nullcontext()
    name = "bfloat16" if args.bf16 else "float16"
    if not hasattr(dtypes, name):
        raise ArgumentError(f"there is no {name}")
    return autocast(str(args.device).split(":")[0], getattr(dtypes, name))


def scaler(args: Any) -> GradScaler:
    """Loss scaling, which only float16 needs."""
    return GradScaler(str(args.device).split(":")[0], enabled=args.fp16)
