"""Hugging Face's names for what models/, text/ and train/ hold: a program for transformers runs
with its import changed to `from tinygrad_ai.transformers import …`.

Nothing is imported before it is asked for.
"""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import Any

from .errors import TinygradError

_WHERE = {
    "models": (
        "AutoConfig", "AutoModel", "AutoModelForCausalLM", "AutoModelForMaskedLM",
        "AutoModelForSequenceClassification", "AutoModelForTokenClassification", "BertConfig",
        "BertForMaskedLM", "BertForSequenceClassification", "BertForTokenClassification",
        "BertModel", "GPT2Config", "GPT2LMHeadModel", "GPT2Model", "PreTrainedModel",
        "PretrainedConfig",
    ),
    "text": (
        "AutoTokenizer", "BatchEncoding", "BertTokenizer", "BertTokenizerFast",
        "DataCollatorForLanguageModeling", "DataCollatorForTokenClassification",
        "DataCollatorWithPadding", "DefaultDataCollator", "GPT2Tokenizer", "GPT2TokenizerFast",
        "PreTrainedTokenizerFast", "default_data_collator",
    ),
    "train": (
        "EarlyStoppingCallback", "EvalPrediction", "PrinterCallback", "ProgressCallback", "Trainer",
        "TrainerCallback", "TrainerControl", "TrainerState", "TrainingArguments",
        "get_constant_schedule", "get_constant_schedule_with_warmup",
        "get_cosine_schedule_with_warmup", "get_linear_schedule_with_warmup", "get_scheduler",
        "set_seed",
    ),
}  # fmt: skip
_TABLE = {name: room for room, names in _WHERE.items() for name in names}

__all__ = sorted(_TABLE)


class MissingNameError(TinygradError, ImportError):  # type: ignore[misc]
    """A name of transformers that has no counterpart here."""


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    if name not in _TABLE:
        near = difflib.get_close_matches(name, _TABLE, 1, 0.5)
        fix = f"the nearest is {near[0]}" if near else f"it has {', '.join(__all__)}"
        raise MissingNameError(f"tinygrad_ai.transformers has no {name}", fix)
    found = getattr(import_module(f".{_TABLE[name]}", __package__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
