"""The reference side: PyTorch's modules, losses and optimizers for ours.

The library computes nothing with PyTorch, and nothing of it imports torch: that is a law, checked
by tools/check_house.py. This room compares with PyTorch when a user asks for it, so the one
function below may load it, late and by name; without it a stored reference serves.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ArgumentError
from ..nn.module import Module
from ..optim.optimizer import Optimizer
from ..tensor import Tensor
from .parity_translate import Translator, ours

ACTIVATIONS = {"leaky_relu": "leaky_relu", "relu": "relu", "gelu": "gelu", "silu": "silu",
               "tanh": "tanh", "sigmoid": "sigmoid"}  # fmt: skip
UNBUILT = {"self", "device", "dtype", "size_average", "reduce", "args", "kwargs", "_weight",
           "_freeze"}  # fmt: skip
RECURRENT = ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout",
             "bidirectional")  # fmt: skip


def torch() -> Any:
    """PyTorch; ArgumentError if it is not installed."""
    try:
        return importlib.import_module("torch")
    except ImportError:
        fix = "pip install torch, or reference='FILE', which parity.store wrote where torch was"
        raise ArgumentError("PyTorch is not installed: it cannot be the reference", fix) from None


class Twins:
    """Builds PyTorch's counterparts. Shared parameters stay shared."""

    def __init__(self) -> None:
        self.torch = torch()
        self.known: dict[int, Any] = {}  # parameters of ours that have a counterpart
        self.translator = Translator(self.torch, self.module)

    def module(self, module: Module) -> Any:
        """The twin of a module with all below it, with its values and in its mode."""
        name = type(module).__name__
        theirs = getattr(self.torch.nn, name, None)
        if hasattr(module, "config_class"):
            text = f"no twin is built of {name}: PyTorch has none, transformers has"
            raise ArgumentError(text, f"reference=transformers.{name}(config)")
        if not type(module).__module__.startswith("tinygrad_ai.nn"):
            made = self.custom(module)
        elif theirs is None:
            raise ArgumentError(f"PyTorch has no module {name}", "reference=...")
        else:
            made = self.known_one(module, theirs)
        self.filled(made, module)
        made.training = module.training
        return made

    def known_one(self, module: Module, theirs: Any) -> Any:
        """A module that PyTorch has under the same name."""
        name = type(module).__name__
        act = getattr(module, "activation", None)
        if name == "Linear" and act:
            return self.fused(module, theirs, str(act))
        made = theirs(**self.arguments(module, theirs))
        if name != "MultiheadAttention":  # its own child is another class there
            for child, m in module.named_children():
                made.add_module(child, self.module(m))
        return made

    def fused(self, module: Any, theirs: Any, act: str) -> Any:
        """Linear with its activation inside, which PyTorch does not have."""
        F = self.torch.nn.functional
        if act == "gelu_tanh":
            function: Any = lambda y: F.gelu(y, approximate="tanh")  # noqa: E731
        else:
            function = getattr(F, ACTIVATIONS.get(act, act))

        def forward(own: Any, x: Any) -> Any:
            return function(theirs.forward(own, x))

        fused = type("Linear", (theirs,), {"forward": forward})
        return fused(module.in_features, module.out_features, module.bias is not None)

    def arguments(self, module: Any, theirs: Any) -> dict[str, Any]:
        """The constructor's arguments, from the attributes they became."""
        name, special = type(module).__name__, {}
        if name in ("RNN", "LSTM", "GRU"):
            special = {k: getattr(module, k) for k in RECURRENT}
            special |= {"proj_size": module.proj_size} if module.proj_size else {}
            return special | ({"nonlinearity": module.nonlinearity} if name == "RNN" else {})
        if name == "MultiheadAttention":
            special = {"add_bias_kv": module.bias_k is not None,
                       "bias": module.out_proj.bias is not None}  # fmt: skip
        elif name in ("TransformerEncoderLayer", "TransformerDecoderLayer"):
            special = self.layer(module)
        elif name in ("TransformerEncoder", "TransformerDecoder"):
            kind = "encoder_layer" if name.endswith("Encoder") else "decoder_layer"
            special = {kind: self.module(module.layers[0])}
            special |= {"norm": module.norm and self.module(module.norm)}
            special |= {"enable_nested_tensor": False}  # a fast path without hooks
        elif name == "Transformer":
            special = {"custom_encoder": self.module(module.encoder),
                       "custom_decoder": self.module(module.decoder)}  # fmt: skip
        found = {}
        for p in inspect.signature(theirs.__init__).parameters.values():
            if p.name in special:
                found[p.name] = special[p.name]
            elif p.name not in UNBUILT and p.name in vars(module):
                value = getattr(module, p.name)
                plain = p.name != "bias" or isinstance(value, bool)
                found[p.name] = self.translator(value) if plain else value is not None
        return found

    def layer(self, module: Any) -> dict[str, Any]:
        """What a transformer's layer was made with, read from its parts."""
        return {
            "d_model": module.self_attn.embed_dim, "nhead": module.self_attn.num_heads,
            "dim_feedforward": module.linear1.out_features, "dropout": module.dropout.p,
            "layer_norm_eps": module.norm1.eps, "batch_first": module.self_attn.batch_first,
            "bias": module.linear1.bias is not None,
        }  # fmt: skip

    def custom(self, module: Module) -> Any:
        """A class of the user's: the same functions, with PyTorch's names instead of ours."""
        methods: dict[str, Any] = {}
        for c in reversed(type(module).__mro__):
            if c not in (object, Module) and not c.__module__.startswith("tinygrad_ai.nn"):
                methods |= vars(c)
        left = ("__init__", "__dict__", "__weakref__")
        body = {k: self.translator.member(v) for k, v in methods.items() if k not in left}
        kind: Any = type(type(module).__name__, (self.torch.nn.Module,), body)
        twin = kind.__new__(kind)
        self.torch.nn.Module.__init__(twin)
        own = {"_parameters", "_buffers", "_modules", "_transient", "_hooks", "training"}
        tables = {*module._parameters, *module._buffers, *module._modules}
        for key, value in vars(module).items():
            if key not in own and key not in tables:
                setattr(twin, key, self.translator(value))
        for child, m in module._modules.items():
            twin.add_module(child, None if m is None else self.module(m))
        return twin

    def filled(self, made: Any, module: Module) -> None:
        """Gives a twin the parameters and buffers of its module."""
        for name, p in module._parameters.items():
            if p is not None and id(p) not in self.known:
                value = self.tensor(p.detach().cpu().numpy())
                self.known[id(p)] = self.torch.nn.Parameter(value, requires_grad=p.requires_grad)
            made._parameters[name] = None if p is None else self.known[id(p)]
        for name, b in module._buffers.items():
            value = None if b is None else self.tensor(b.cpu().numpy())
            if name in made._buffers:
                made._buffers[name] = value
            else:
                made.register_buffer(name, value, name not in module._transient)
        if hasattr(made, "flatten_parameters"):
            made._init_flat_weights()

    def tensor(self, array: Any) -> Any:
        own = np.float32 if array.dtype.name == "bfloat16" else array.dtype  # not NumPy's
        return self.torch.from_numpy(np.array(array, own))

    def loss(self, loss: Any) -> Any:
        """A loss's counterpart: a module, a function of ours, or one of the user's."""
        if isinstance(loss, Module):
            return self.module(loss)
        return None if loss is None else self.translator(loss)

    def optimizer(self, mine: Optimizer, parameters: list[Any]) -> Any:
        """PyTorch's optimizer with the groups and the state of one of ours; `parameters` in its
        order."""
        theirs = getattr(self.torch.optim, type(mine).__name__, None)
        if theirs is None or not ours(type(mine)):
            name = type(mine).__name__
            raise ArgumentError(f"PyTorch has no optimizer {name}", "optimizer=(ours, theirs)")
        known = set(inspect.signature(theirs.__init__).parameters)
        rest, groups = list(parameters), []
        for group in mine.param_groups:
            count = len(group["params"])
            options = {k: v for k, v in group.items() if k in known and k != "params"}
            groups.append({"params": rest[:count], **options})
            rest = rest[count:]
        if theirs is self.torch.optim.LBFGS:
            return theirs(**groups[0])
        made = theirs(groups, **({"lr": groups[0]["lr"]} if "lr" in groups[0] else {}))
        if mine.state:
            state = mine.state_dict()["state"]
            values = {
                i: {k: self.tensor(v.numpy()) if isinstance(v, Tensor) else v for k, v in s.items()}
                for i, s in state.items()
            }
            made.load_state_dict({**made.state_dict(), "state": values})
        return made


def same_random(work: Callable[[], Any]) -> Any:
    """Runs what uses PyTorch, and leaves its random numbers and grad mode as they were."""
    lib = torch()
    with lib.random.fork_rng(devices=[]), lib.enable_grad():
        return work()
