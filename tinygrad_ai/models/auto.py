"""AutoModel and its kin: the class that a folder's config.json is for."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError, CheckpointError
from ..serialization import existing_folder
from .bert import BertConfig, BertModel
from .bert_heads import (
    BertForMaskedLM,
    BertForSequenceClassification,
    BertForTokenClassification,
)  # fmt: skip
from .config import CONFIG_NAME, PretrainedConfig, read_config
from .gpt2 import GPT2Config, GPT2LMHeadModel, GPT2Model
from .pretrained import PreTrainedModel

CONFIGS: dict[str, type[PretrainedConfig]] = {"bert": BertConfig, "gpt2": GPT2Config}


class AutoConfig:
    """`AutoConfig.from_pretrained(folder)` gives a BertConfig or a GPT2Config."""

    def __init__(self) -> None:
        raise ArgumentError("AutoConfig is not made", "AutoConfig.from_pretrained(folder)")

    @staticmethod
    def from_pretrained(pretrained_model_name_or_path: Any, **changes: Any) -> Any:
        folder = existing_folder(pretrained_model_name_or_path, "a model")
        came = read_config(folder / CONFIG_NAME).get("model_type")
        if came not in CONFIGS:
            raise CheckpointError(
                f"{folder / CONFIG_NAME}: expected model_type {' or '.join(CONFIGS)}, got {came!r}"
            )
        return CONFIGS[came].from_pretrained(folder, **changes)


class AutoModel:
    """`AutoModel.from_pretrained(folder)` gives a model without a head."""

    classes: dict[str, type[PreTrainedModel]] = {"bert": BertModel, "gpt2": GPT2Model}

    def __init__(self) -> None:
        kind = type(self).__name__
        raise ArgumentError(f"{kind} is not made", f"{kind}.from_pretrained(folder)")

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: Any, *args: Any, config: Any = None, **options: Any
    ) -> Any:
        """What the class of the folder's model gives: see PreTrainedModel.from_pretrained."""
        folder = pretrained_model_name_or_path
        made = cls._class_of(config or AutoConfig.from_pretrained(folder))
        return made.from_pretrained(folder, *args, config=config, **options)

    @classmethod
    def from_config(cls, config: Any) -> Any:
        """A new model, its weights drawn."""
        return cls._class_of(config)(config)

    @classmethod
    def _class_of(cls, config: Any) -> Any:
        kind = getattr(config, "model_type", type(config).__name__)
        if kind not in cls.classes:
            raise ArgumentError(
                f"{cls.__name__} has no model for {kind!r}, only for {', '.join(cls.classes)}"
            )
        return cls.classes[kind]


class AutoModelForSequenceClassification(AutoModel):
    """One answer for each text."""

    classes = {"bert": BertForSequenceClassification}


class AutoModelForTokenClassification(AutoModel):
    """A class for each token."""

    classes = {"bert": BertForTokenClassification}


class AutoModelForMaskedLM(AutoModel):
    """A word for each gap."""

    classes = {"bert": BertForMaskedLM}


class AutoModelForCausalLM(AutoModel):
    """The next word."""

    classes = {"gpt2": GPT2LMHeadModel}
