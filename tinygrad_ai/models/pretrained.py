"""Checkpoints: models from folders in Hugging Face's layout, and into them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from inspect import signature
from pathlib import Path
from typing import Any

from .. import nn
from ..backend import dtypes
from ..errors import ArgumentError, CheckpointError
from ..nn import init
from ..serialization import FETCHING, existing_folder
from .checkpoint import Plan, dtype_of, weight_files
from .config import PretrainedConfig
from .layers import Conv1D
from .resizing import resize
from .saving import bytes_of, save_weights

logger = logging.getLogger("tinygrad_ai.models")

# What Hugging Face's from_pretrained takes and what is always so here.
FIXED: dict[str, tuple[Any, ...]] = {
    "attn_implementation": ("eager", "sdpa", None), "device_map": ("cpu", None),
    "low_cpu_mem_usage": (True, False), "subfolder": ("", None), "use_safetensors": (True, None),
}  # fmt: skip


class PreTrainedModel(nn.Module):
    """A module with a configuration that is loaded from a folder and saved into one.

    A subclass calls `post_init()` at the end of its __init__. `base_model_prefix` is the attribute
    that holds the model without its head; `tied` says which parameters are which others.
    """

    config_class: type[PretrainedConfig] = PretrainedConfig
    base_model_prefix = ""
    ignored_keys: tuple[str, ...] = ()  # patterns of buffers that old files carry
    tied: dict[str, str] = {}
    word_table = ""  # the path of the table of words, in the model without its head
    word_scores = ""  # the path of the layer that gives each word a score, if the model has one
    main_input_name = "input_ids"

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__()
        if not isinstance(config, self.config_class):
            raise ArgumentError(
                f"expected a {self.config_class.__name__}, got {type(config).__name__}",
                f"{type(self).__name__}.from_pretrained(folder) loads one",
            )
        self.config = config

    @property
    def base_model(self) -> Any:
        """The model without its head."""
        return getattr(self, self.base_model_prefix, self)

    @property
    def dtype(self) -> Any:
        return next(self.parameters()).dtype

    @property
    def device(self) -> Any:
        return next(self.parameters()).device

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """How many numbers there are to learn; tied ones count once."""
        tables = {id(m.weight) for m in self.modules() if isinstance(m, nn.Embedding)}
        return sum(
            p.numel()
            for p in self.parameters()
            if (p.requires_grad or not only_trainable)
            and not (exclude_embeddings and id(p) in tables)
        )

    # ---- the vocabulary

    def get_input_embeddings(self) -> Any:
        """The table with a vector for each word."""
        return self.base_model.get_submodule(self.word_table)

    def get_output_embeddings(self) -> Any:
        """The layer that gives each word a score; None if the model has none."""
        return self.get_submodule(self.word_scores) if self.word_scores else None

    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, *, mean_resizing: bool = True
    ) -> Any:
        """Gives the vocabulary this size, as after `tokenizer.add_tokens`; returns the table.

        New words are drawn closely around the mean of the old ones (Hewitt, 2021), or as a new
        model's with mean_resizing=False; the last ones go if there are to be fewer. The parameters
        are new ones: an optimizer is made afterwards.
        """
        if new_num_tokens is not None and new_num_tokens != self.config.vocab_size:
            resize(self, new_num_tokens, mean_resizing)
        return self.get_input_embeddings()

    def option(self, name: str, given: bool | None) -> bool:
        """What a call says, else the configuration."""
        return bool(getattr(self.config, name) if given is None else given)

    def returned(self, out: Any, return_dict: bool | None) -> Any:
        return out if self.option("return_dict", return_dict) else out.to_tuple()

    # ---- initial values

    def post_init(self) -> None:
        """Ties and draws the parameters, unless someone else is about to set them."""
        if not init.skipping():
            self.tie_weights()
            self.init_weights()

    def tie_weights(self) -> None:
        """Makes one parameter of those that the configuration wants to be one."""
        if self.config.tie_word_embeddings:
            for name, source in self.tied.items():
                path, _, own = name.rpartition(".")
                self.get_submodule(path).register_parameter(own, self.get_parameter(source))

    def init_weights(self, only: set[str] | None = None) -> None:
        """Draws all parameters, or those named, as the configuration's initializer_range says."""
        seen: set[int] = set()
        for path, module in self.named_modules():
            for name, p in module.named_parameters(recurse=False):
                full = f"{path}.{name}" if path else name
                if id(p) not in seen and (only is None or full in only):
                    self.init_parameter(full, module, name, p)
                seen.add(id(p))

    def init_parameter(self, full: str, module: Any, name: str, p: Any) -> None:
        """Weights normal, biases 0, norms 1, the row of padding 0."""
        if isinstance(module, (nn.Linear, nn.Embedding, Conv1D)) and name == "weight":
            init.normal_(p, 0.0, self.initial_std(full))
            if getattr(module, "padding_idx", None) is not None:
                init.zeros_(p.detach()[module.padding_idx])
        elif isinstance(module, nn.LayerNorm) and name == "weight":
            init.ones_(p)
        elif isinstance(module, (nn.Linear, Conv1D, nn.LayerNorm)) or name == "bias":
            init.zeros_(p)
        elif hasattr(module, "reset_parameters"):
            module.reset_parameters()

    def initial_std(self, full: str) -> float:
        return float(self.config.initializer_range)

    # ---- files

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: Any, *args: Any,
        config: PretrainedConfig | None = None, ignore_mismatched_sizes: bool = False,
        output_loading_info: bool = False, dtype: Any = None, torch_dtype: Any = None,
        **changes: Any,
    ) -> Any:  # fmt: skip
        """A model in evaluation mode with the weights of a folder (config.json, model.safetensors).

        Further keywords change the configuration (`num_labels=3`), or go to the model. Weights of
        float16 and bfloat16 become `dtype` (the default dtype, unless given; "auto": the file's;
        `torch_dtype` is its older name). What the file lacks is drawn, what it has besides is left;
        both are logged, and returned as a second result with `output_loading_info`.
        CheckpointError says what is wrong with a folder; a weight of another shape is one, unless
        `ignore_mismatched_sizes`: then it is drawn anew. What is said about downloading is ignored.
        """
        folder = existing_folder(pretrained_model_name_or_path, "a model")
        files = weight_files(folder)
        rest = _without_fixed(changes)
        if config is None:
            known = cls.config_class.known()
            of_config = {k: rest.pop(k) for k in list(rest) if k in known}
            config = cls.config_class.from_pretrained(folder, **of_config)
        _check_keywords(cls, rest)
        dtype = dtype_of(files, torch_dtype if dtype is None else dtype)
        with init.skipped(), _default_dtype(dtype):
            model = cls(config, *args, **rest)
        model.tie_weights()
        plan = Plan(model, files, ignore_mismatched_sizes)
        plan.read()
        model.init_weights(plan.to_draw)
        logger.log(*plan.report(cls.__name__, folder))
        return (model.eval(), plan.info()) if output_loading_info else model.eval()

    def save_pretrained(
        self, save_directory: Any, *, max_shard_size: Any = "50GB", **options: Any
    ) -> None:
        """Writes config.json and model.safetensors, whole or not at all; tied weights once.

        Weights of more than `max_shard_size` ("5GB", or bytes) become files of at most that size
        and an index, as in transformers. What an earlier save left besides is removed.
        """
        most = bytes_of(max_shard_size)
        if options.pop("safe_serialization", True) is not True:
            raise ArgumentError("models are saved as safetensors, never pickled")
        if options:
            raise TypeError(f"save_pretrained takes no {', '.join(options)}")
        folder = Path(save_directory)
        if folder.exists() and not folder.is_dir():
            raise CheckpointError(f"expected a folder to save to, {folder} is a file")
        folder.mkdir(parents=True, exist_ok=True)
        self.config.architectures = [type(self).__name__]
        # transformers loads with the dtype that stands here, not with that of the weights
        self.config.dtype = str(self.dtype)
        vars(self.config).pop("torch_dtype", None)  # its older name, out of the file that was read
        state = self.state_dict()
        aliases = self.tied if self.config.tie_word_embeddings else {}
        kept = {name: t for name, t in state.items() if name not in aliases}
        save_weights(folder, kept, most)
        self.config.save_pretrained(folder)

    def is_ignored(self, key: str) -> bool:
        """Whether a file's key is a buffer that is made anew and not loaded."""
        return any(re.search(pattern, key) for pattern in self.ignored_keys)


def _without_fixed(changes: dict[str, Any]) -> dict[str, Any]:
    """The keywords without those whose value makes no difference here."""
    for name, allowed in FIXED.items():
        if name in changes and changes[name] not in allowed:
            raise ArgumentError(f"expected {name} to be one of {allowed}, got {changes[name]!r}")
    return {k: v for k, v in changes.items() if k not in FIXED and k not in FETCHING}


def _check_keywords(kind: type[PreTrainedModel], given: dict[str, Any]) -> None:
    """ArgumentError for a keyword that is not the model's own. One of the configuration's is here
    only if a configuration was given, which says it already."""
    own, known = set(signature(kind).parameters) - {"config"}, kind.config_class.known()
    for name in given.keys() - own:
        if name in known:
            raise ArgumentError(
                f"{name} and config= exclude each other: the configuration has its {name}",
                f"config.{name} = {given[name]!r} before",
            )
        near = get_close_matches(name, own | known, 1)
        raise ArgumentError(
            f"{kind.__name__}.from_pretrained knows no {name!r}",
            f"did you mean {near[0]!r}?" if near else None,
        )


@contextmanager
def _default_dtype(dtype: Any) -> Iterator[None]:
    """New parameters have this dtype inside the block."""
    before = dtypes.get_default_dtype()
    dtypes.set_default_dtype(before if dtype is None else dtype)
    try:
        yield
    finally:
        dtypes.set_default_dtype(before)
