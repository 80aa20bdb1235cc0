"""PyTorch: as the tutorial writes it, with its fused optimizer, and compiled."""

from __future__ import annotations

import os
from typing import Any

import torch
import torch.nn.functional as F

from ..bert import BertData
from ..bert_job import library
from ..linear import LinearData
from ..overhead import OverheadData
from ..step import StepData
from ..worker import LeftOut, Task
from . import hugging, tutorial

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def step(data: StepData, variant: str) -> Task:
    if variant == "compiled":
        return compiled_step(data)
    options: dict[str, Any] = {"fused": True} if variant == "fused" else {}
    return tutorial.step(torch, torch.nn, torch.optim, data, **options)


def compiled_step(data: StepData) -> Task:
    """A compiler of its own for each batch size; whether it works shows when it first runs."""
    torch._dynamo.reset()

    def compiled(function: Any) -> Any:
        return torch.compile(function, dynamic=False)

    task = tutorial.step(torch, torch.nn, torch.optim, data, compiled=compiled, fused=True)
    try:
        tutorial.step(torch, torch.nn, torch.optim, data, compiled=compiled, fused=True).run()
    except Exception as error:
        first = str(error).strip().splitlines()[:1] or [""]
        raise LeftOut(f"torch.compile failed: {type(error).__name__}: {first[0]}") from error
    return task


def linear(data: LinearData, variant: str) -> Task:
    def layer(x: Any, w: Any, b: Any) -> Any:
        return F.relu(F.linear(x, w, b))

    return tutorial.linear(torch, layer, torch.autograd.grad, data)


def overhead(data: OverheadData, variant: str) -> Task:
    return tutorial.overhead(torch, data)


def bert(data: BertData, variant: str) -> Task:
    return hugging.bert(*library("pytorch"), data)
