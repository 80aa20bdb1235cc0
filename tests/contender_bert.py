"""Contenders for the tests of `bench bert` that compute something else, each in its way."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

import tinygrad_ai as ta
from benchmarks.bert import BertData
from benchmarks.bert_job import library
from benchmarks.contenders import hugging
from benchmarks.worker import Task


def bert(data: BertData, variant: str) -> Task:
    lib, kind, adamw = library("tinygrad_ai")
    if variant == "sees the padding":
        blind = [{**b, "attention_mask": np.ones_like(b["input_ids"])} for b in data.batches]
        return hugging.bert(lib, kind, adamw, replace(data, batches=blind))
    return hugging.bert(lib, kind, partial(other_rate, variant), data)


def other_rate(variant: str, parameters: Any, lr: float) -> Any:
    factors = {"does not learn": 0.0, "learns faster": 1.2}
    return ta.optim.AdamW(parameters, lr=factors[variant] * lr)
