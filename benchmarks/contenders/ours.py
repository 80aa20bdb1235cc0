"""tinygrad_ai as its README uses it; TINYGRAD_AI_NATIVE=0 makes it the one that is not compiled."""

from __future__ import annotations

from typing import Any

import tinygrad_ai as ta
import tinygrad_ai.nn as nn
import tinygrad_ai.nn.functional as F
import tinygrad_ai.optim as optim

from ..bert import BertData
from ..bert_job import library
from ..linear import LinearData
from ..overhead import OverheadData
from ..step import StepData
from ..worker import Task
from . import hugging, tutorial


def fused(nn: Any, sizes: tuple[int, int, int]) -> Any:
    """The tutorial's network with the activation in the layer, which only we have."""
    model = tutorial.network(nn, sizes)
    model.fc1, model.relu = nn.Linear(*sizes[:2], activation="relu"), nn.Identity()
    return model


def step(data: StepData, variant: str) -> Task:
    build = fused if variant == "fused" else tutorial.network
    return tutorial.step(ta, nn, optim, data, build)


def linear(data: LinearData, variant: str) -> Task:
    def layer(x: Any, w: Any, b: Any) -> Any:
        return F.linear(x, w, b, act="relu")

    return tutorial.linear(ta, layer, ta.grad, data)


def overhead(data: OverheadData, variant: str) -> Task:
    return tutorial.overhead(ta, data)


def bert(data: BertData, variant: str) -> Task:
    return hugging.bert(*library("tinygrad_ai"), data)
