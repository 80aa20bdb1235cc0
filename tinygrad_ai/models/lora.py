"""Fine-tuning of few parameters: a frozen model with low-rank additions, or with a head alone."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from difflib import get_close_matches
from numbers import Real
from pathlib import Path
from typing import Any

from .. import nn
from ..autograd.mode import no_grad
from ..errors import ArgumentError, CheckpointError
from ..nn import functional as F
from ..nn import init
from ..ops.activation import _activate
from ..ops.matmul import matmul
from ..ops.shape import transpose
from ..serialization import SafetensorsFile, existing_folder, pickle_error, save_large, write_text
from .layers import Conv1D

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."  # of the names in an adapter's file, as PEFT has them
REFUSED = (  # settings of PEFT that mean another computation, or other layers
    "alora_invocation_tokens", "alpha_pattern", "arrow_config", "exclude_modules", "kasa_config",
    "layer_replication", "layers_to_transform", "lora_bias", "monteclora_config", "rank_pattern",
    "target_parameters", "trainable_token_indices", "use_bdlora", "use_dora", "use_qalora",
    "use_rslora", "velora_config",
)  # fmt: skip


class LoRALinear(nn.Module):
    """y = f(x W + b + α/r B A x), A (r, in), B (out, r), of which only A and B are trained.

    (Hu et al., 2021.) W and b are the very parameters of the layer it stands for, and keep their
    names.
    """

    def __init__(self, base: Any, rank: int, alpha: float, dropout: float) -> None:
        super().__init__()
        self.__dict__["base"] = base  # not registered: its parameters are ours
        self.transposed = isinstance(base, Conv1D)
        self.weight, self.scale, self.activation = base.weight, alpha / rank, base.activation
        self.register_parameter("bias", base.bias)
        inputs, outputs = self.weight.shape[:: 1 if self.transposed else -1]
        options = {"bias": False, "dtype": self.weight.dtype, "device": self.weight.device}
        self.dropout = nn.Dropout(dropout)
        self.lora_A = nn.Linear(inputs, rank, **options)
        self.lora_B = nn.Linear(rank, outputs, **options)
        init.kaiming_uniform_(self.lora_A.weight, math.sqrt(5))
        init.zeros_(self.lora_B.weight)  # so that nothing changes at first

    def forward(self, x: Any) -> Any:
        w = transpose(self.weight, 0, 1) if self.transposed else self.weight
        z = F.linear(x, w, self.bias) + self.lora_B(self.lora_A(self.dropout(x))) * self.scale
        return z if self.activation is None else _activate(z, act=self.activation)

    @no_grad()
    def merged(self) -> Any:
        """The layer it stood for, its weight raised by the product."""
        product = matmul(self.lora_B.weight, self.lora_A.weight) * self.scale
        self.weight.add_(transpose(product, 0, 1) if self.transposed else product)
        return self.base

    def describe(self) -> str:
        return f"LoRA of {self.base.describe()}"


def freeze(model: Any, except_: Iterable[str] | str = ()) -> Any:
    """Stops the training of all parameters but those of the modules named; returns the model.

    `freeze(model, except_=["classifier"])` leaves the head. A name is a parameter, or a module with
    all that is below it, by its full path or by the end of one.
    """
    names = [except_] if isinstance(except_, str) else list(except_)
    found = {name: _under(model, name) for name in names}
    model.requires_grad_(False)
    for params in found.values():
        for p in params:
            p.requires_grad_(True)
    return model


def _under(model: Any, name: str) -> list[Any]:
    """The parameters a name means; ArgumentError if there are none."""
    params = dict(model.named_parameters())
    chosen = [p for path, p in params.items() if f".{name}." in f".{path}."]
    if not chosen:
        parts = sorted({part for path in params for part in path.split(".")})
        near = get_close_matches(name, [*parts, *params], 1)
        raise ArgumentError(
            f"{type(model).__name__} has no parameters under {name!r}",
            f"did you mean {near[0]!r}?" if near else None,
        )
    return chosen


def add_lora(
    model: Any, rank: int = 8, alpha: float = 16, targets: Iterable[str] = ("query", "value"),
    dropout: float = 0.0, modules_to_save: Iterable[str] = (),
) -> Any:  # fmt: skip
    """Freezes the model and gives each linear layer whose path ends in one of `targets` an addition
    of this rank, scaled by alpha / rank; returns the model.

    `modules_to_save`, as PEFT calls them, stay trainable as a whole: a new head, for instance.
    """
    if not isinstance(rank, int) or rank < 1:
        raise ArgumentError(f"expected rank to be a whole number > 0, got {rank!r}")
    if not isinstance(alpha, Real):  # NumPy's are such, too
        raise ArgumentError(f"expected alpha to be a number, got {alpha!r}")
    if any(isinstance(m, LoRALinear) for m in model.modules()):
        raise ArgumentError("the model has LoRA layers already", "merge_lora(model) first")
    targets = [targets] if isinstance(targets, str) else list(targets)
    whole = [modules_to_save] if isinstance(modules_to_save, str) else list(modules_to_save)
    layers = {
        path: m for path, m in model.named_modules() if isinstance(m, (nn.Linear, Conv1D))
    }  # fmt: skip
    for target in targets:
        if not any(_ends(path, target) for path in layers):
            near = get_close_matches(target, {path.rpartition(".")[2] for path in layers}, 1)
            raise ArgumentError(
                f"{type(model).__name__} has no linear layer {target!r}",
                f"did you mean {near[0]!r}?" if near else None,
            )
    chosen = {p: m for p, m in layers.items() if any(_ends(p, target) for target in targets)}
    _check_own(model, chosen)
    added = {path: LoRALinear(m, rank, alpha, dropout) for path, m in chosen.items()}
    freeze(model, whole)
    for path, layer in added.items():
        _replace(model, path, layer)
    model.__dict__["lora"] = {
        "r": rank, "lora_alpha": alpha, "lora_dropout": dropout, "target_modules": targets,
        "modules_to_save": whole or None,
    }  # fmt: skip
    return model.train(model.training)


def _check_own(model: Any, layers: dict[str, Any]) -> None:
    """ArgumentError for a layer whose weight is another one's, too: merged, both would change."""
    names = [(n, id(p)) for n, p in model.named_parameters(remove_duplicate=False)]
    for path, layer in layers.items():
        own = f"{path}.weight"
        other = next((n for n, p in names if p == id(layer.weight) and n != own), None)
        if other is not None:
            raise ArgumentError(
                f"{own} is {other}, too: an addition merged into one would change the other",
                "targets without it, or a model with tie_word_embeddings=False",
            )


def _ends(path: str, target: str) -> bool:
    return path == target or path.endswith(f".{target}")


def _replace(model: Any, path: str, module: Any) -> None:
    parent, _, name = path.rpartition(".")
    model.get_submodule(parent).register_module(name, module)  # at its old place among the others


def merge_lora(model: Any) -> Any:
    """Adds each product to its weight and puts the plain layers back: the same results, without the
    additions. What was frozen stays so; returns the model."""
    for path, module in list(model.named_modules()):
        if isinstance(module, LoRALinear):
            base = module.merged()
            base.train(module.training)
            _replace(model, path, base)
    model.__dict__.pop("lora", None)
    return model


def _adapter_state(model: Any) -> dict[str, Any]:
    """The tensors that belong to the adapter, by the model's names."""
    whole = model.lora["modules_to_save"] or []
    return {
        name: t
        for name, t in model.state_dict(keep_vars=True).items()
        if ".lora_" in name or any(f".{m}." in f".{name}." for m in whole)
    }


def save_adapter(model: Any, save_directory: Any) -> None:
    """Writes what add_lora added, in the layout of PEFT: adapter_config.json and
    adapter_model.safetensors."""
    if "lora" not in model.__dict__:
        raise ArgumentError(f"{type(model).__name__} has no LoRA layers", "add_lora(model)")
    folder = Path(save_directory)
    folder.mkdir(parents=True, exist_ok=True)
    state = {PREFIX + name: t for name, t in _adapter_state(model).items()}
    save_large(folder / WEIGHTS, state, {"format": "pt"})
    transposed = any(m.transposed for m in model.modules() if isinstance(m, LoRALinear))
    config = {
        **model.lora, "peft_type": "LORA", "task_type": None, "bias": "none",
        "fan_in_fan_out": transposed, "inference_mode": True, "base_model_name_or_path": None,
    }  # fmt: skip
    write_text(folder / CONFIG, json.dumps(config, indent=2, sort_keys=True) + "\n")


def load_adapter(model: Any, folder: Any) -> Any:
    """Adds to a plain model what save_adapter (or PEFT) wrote; returns the model."""
    path = existing_folder(folder, "an adapter", "load_adapter(model, 'FOLDER')")
    config = _adapter_config(path / CONFIG)
    file = _adapter_file(path)
    trained = [(p, p.requires_grad) for p in model.parameters()]
    paths = [f".{name}." for name, _ in model.named_parameters()]
    named = dict.fromkeys(config.get("modules_to_save") or ())
    add_lora(  # PEFT names heads of all kinds of models: those that are not here do not count
        model, config["r"], config["lora_alpha"], config["target_modules"],
        config.get("lora_dropout", 0.0),
        [m for m in named if any([f".{m}." in path for path in paths])],
    )  # fmt: skip
    own = {PREFIX + name: t for name, t in _adapter_state(model).items()}
    wrong = sorted(own.keys() ^ set(file.names()))
    wrong += [k for k in file.names() if k in own and file.shape(k) != tuple(own[k].shape)]
    if wrong:
        merge_lora(model)  # B is 0: the model is as it was
        for p, before in trained:
            p.requires_grad_(before)
        raise CheckpointError(
            f"the adapter in {path} does not fit {type(model).__name__}: {', '.join(wrong)}"
        )
    for name, t in own.items():
        file.read_into(name, t)
    return model


def _adapter_file(folder: Path) -> SafetensorsFile:
    pickled = folder / "adapter_model.bin"  # what older versions of PEFT write
    if pickled.is_file() and not (folder / WEIGHTS).is_file():
        raise pickle_error(
            str(pickled),
            "in PyTorch: safetensors.torch.save_file("
            f"torch.load({pickled.name!r}, weights_only=True), {WEIGHTS!r})",
        )
    return SafetensorsFile(folder / WEIGHTS)


def _adapter_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist")
    try:
        config = dict(json.loads(path.read_text("utf-8")))
        kind, _, _ = config["peft_type"], config["r"], config["lora_alpha"]
        targets = config["target_modules"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is no configuration of an adapter: {error}") from None
    asked = [key for key in REFUSED if config.get(key)]
    if kind != "LORA" or asked or config.get("bias", "none") != "none":
        raise CheckpointError(f"{path}: only plain LoRA is known, not {kind} {', '.join(asked)}")
    if not isinstance(targets, list):
        raise CheckpointError(f"{path}: expected target_modules to be a list, got {targets!r}")
    return config
