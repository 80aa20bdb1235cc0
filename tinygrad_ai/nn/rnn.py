"""Recurrent networks: cells, and layers that run them along a sequence."""

from __future__ import annotations

import math
from typing import Any

from ..errors import ArgumentError, ShapeError
from ..ops.arithmetic import tanh
from ..ops.create import empty, zeros
from ..ops.elementwise import sigmoid
from ..ops.joining import cat, chunk, stack, unbind
from ..ops.shape import squeeze, transpose, unsqueeze
from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


def rnn_step(x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, act: str = "tanh") -> Any:
    """h' = f(W_ih x + b_ih + W_hh h + b_hh)   (Elman, 1990)"""
    z = F.linear(x, w_ih, b_ih) + F.linear(h, w_hh, b_hh)
    return tanh(z) if act == "tanh" else F.relu(z)


def lstm_step(
    x: Any, state: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, w_hr: Any = None
) -> Any:
    """i, f, g, o from W_ih x + W_hh h;  c' = σ(f) c + σ(i) tanh g;  h' = σ(o) tanh c'
    (Hochreiter & Schmidhuber, 1997), with w_hr projected to W_hr h' (Sak et al., 2014)"""
    h, c = state
    i, f, g, o = chunk(F.linear(x, w_ih, b_ih) + F.linear(h, w_hh, b_hh), 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h = sigmoid(o) * tanh(c)
    return h if w_hr is None else F.linear(h, w_hr), c


def gru_step(x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
    """r, z = σ(...);  n = tanh(W x + r (W h + b));  h' = (1 - z) n + z h   (Cho et al., 2014)"""
    xr, xz, xn = chunk(F.linear(x, w_ih, b_ih), 3, -1)
    hr, hz, hn = chunk(F.linear(h, w_hh, b_hh), 3, -1)
    z = sigmoid(xz + hz)
    n = tanh(xn + sigmoid(xr + hr) * hn)
    return (1 - z) * n + z * h


class _Cell(Module):
    """Weights of one step, uniform within 1/√hidden_size."""

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = self.gates * hidden_size
        self.weight_ih = Parameter(empty(rows, input_size, dtype=dtype))
        self.weight_hh = Parameter(empty(rows, hidden_size, dtype=dtype))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, Parameter(empty(rows, dtype=dtype)) if bias else None)
        bound = 1 / math.sqrt(hidden_size)
        for p in self.parameters():
            init.uniform_(p, -bound, bound)
        if device is not None:
            self.to(device)

    def weights(self) -> tuple[Any, ...]:
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def start(self, x: Tensor) -> Tensor:
        if x.shape[-1] != self.input_size:
            raise ShapeError(f"expected {self.input_size} features, got {x.shape}")
        return zeros((*x.shape[:-1], self.hidden_size), dtype=x.dtype, device=x.device)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(_Cell):
    """One step of a plain recurrent network."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh",
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, bias, device, dtype)
        if nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(f"expected nonlinearity 'tanh' or 'relu', got {nonlinearity!r}")
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        h = self.start(input) if hx is None else hx
        return rnn_step(input, h, *[*self.weights(), self.nonlinearity])

    def extra_repr(self) -> str:
        text = super().extra_repr()
        return text if self.nonlinearity == "tanh" else f"{text}, nonlinearity={self.nonlinearity}"


class LSTMCell(_Cell):
    """One step of a network with long short-term memory: (h, c) to (h, c)."""

    gates = 4

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, Tensor]:
        state = (self.start(input), self.start(input)) if hx is None else hx
        return lstm_step(input, state, *self.weights())


class GRUCell(_Cell):
    """One step of a network of gated recurrent units."""

    gates = 3

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return gru_step(input, self.start(input) if hx is None else hx, *self.weights())


class _Recurrent(Module):
    """Layers and directions of steps along a sequence. Packed sequences are not supported."""

    gates = 1
    has_cell = False

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
        proj_size: int = 0, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if proj_size and not (self.has_cell and 0 < proj_size < hidden_size):
            raise ArgumentError(
                f"proj_size is for LSTM, from 1 to hidden_size - 1, got {proj_size} "
                f"for {type(self).__name__} with hidden_size {hidden_size}"
            )
        self.proj_size, self.output_size = proj_size, proj_size or hidden_size
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, dropout
        self.bidirectional, self.directions = bidirectional, 2 if bidirectional else 1
        rows = self.gates * hidden_size
        for layer in range(num_layers):
            width = input_size if layer == 0 else self.output_size * self.directions
            for end in self.ends(layer):
                setattr(self, f"weight_ih{end}", Parameter(empty(rows, width, dtype=dtype)))
                w_hh = Parameter(empty(rows, self.output_size, dtype=dtype))
                setattr(self, f"weight_hh{end}", w_hh)
                for name in ("bias_ih", "bias_hh") if bias else ():
                    setattr(self, name + end, Parameter(empty(rows, dtype=dtype)))
                if proj_size:
                    w = Parameter(empty(proj_size, hidden_size, dtype=dtype))
                    setattr(self, f"weight_hr{end}", w)
        bound = 1 / math.sqrt(hidden_size)
        for p in self.parameters():
            init.uniform_(p, -bound, bound)
        if device is not None:
            self.to(device)

    def ends(self, layer: int) -> list[str]:
        """The parameter suffixes of a layer, one for each direction."""
        return [f"_l{layer}", f"_l{layer}_reverse"][: self.directions]

    def step(self, x: Any, state: Any, weights: Any) -> Any:
        raise NotImplementedError

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        if input.ndim == 2:  # one sequence without a batch
            lifted = None if hx is None else _each(hx, lambda h: h[:, None])
            at = 0 if self.batch_first else 1
            output, state = self.forward(unsqueeze(input, at), lifted)
            return squeeze(output, at), _each(state, lambda h: h[:, 0])
        if input.ndim != 3 or input.shape[-1] != self.input_size:
            raise ShapeError(f"expected (length, batch, {self.input_size}), got {input.shape}")
        x = transpose(input, 0, 1) if self.batch_first else input
        states = self.initial(x) if hx is None else hx
        finals = []
        for layer in range(self.num_layers):
            outputs = []
            for direction, end in enumerate(self.ends(layer)):
                row = layer * self.directions + direction
                y, last = self.scan(
                    x, _each(states, lambda h, row=row: h[row]), end, direction == 1
                )
                outputs.append(y)
                finals.append(last)
            x = cat(outputs, -1) if len(outputs) > 1 else outputs[0]
            if self.dropout and layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        state = tuple([stack(list(p)) for p in zip(*finals)]) if self.has_cell else stack(finals)
        return transpose(x, 0, 1) if self.batch_first else x, state

    def initial(self, x: Any) -> Any:
        lead = (self.num_layers * self.directions, x.shape[1])
        h = zeros((*lead, self.output_size), dtype=x.dtype, device=x.device)
        c = (*lead, self.hidden_size)
        return (h, zeros(c, dtype=x.dtype, device=x.device)) if self.has_cell else h

    def scan(self, x: Any, state: Any, end: str, backwards: bool) -> tuple[Any, Any]:
        """One layer in one direction along the sequence."""
        names = ("weight_ih", "weight_hh") + (("bias_ih", "bias_hh") if self.bias else ())
        weights = [getattr(self, name + end) for name in names] + (
            [] if self.bias else [None, None]
        )
        if self.proj_size:
            weights.append(getattr(self, "weight_hr" + end))
        steps = list(unbind(x, 0))
        outputs = []
        for item in reversed(steps) if backwards else steps:
            state = self.step(item, state, weights)
            outputs.append(state[0] if self.has_cell else state)
        return stack(outputs[::-1] if backwards else outputs), state

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        for name, default in (
            ("proj_size", 0), ("num_layers", 1), ("bias", True), ("batch_first", False),
            ("dropout", 0.0), ("bidirectional", False),
        ):  # fmt: skip
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)}"
        return text


def _each(state: Any, change: Any) -> Any:
    return tuple([change(h) for h in state]) if isinstance(state, tuple) else change(state)


class RNN(_Recurrent):
    """A plain recurrent network: (length, batch, input) to (length, batch, hidden) and last h."""

    def __init__(self, *args: Any, nonlinearity: str = "tanh", **options: Any) -> None:
        super().__init__(*args, **options)
        if nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(f"expected nonlinearity 'tanh' or 'relu', got {nonlinearity!r}")
        self.nonlinearity = nonlinearity

    def step(self, x: Any, state: Any, weights: Any) -> Any:
        return rnn_step(x, state, *[*weights, self.nonlinearity])


class LSTM(_Recurrent):
    """Long short-term memory: (length, batch, input) to outputs and last (h, c)."""

    gates, has_cell = 4, True

    def step(self, x: Any, state: Any, weights: Any) -> Any:
        return lstm_step(x, state, *weights)


class GRU(_Recurrent):
    """Gated recurrent units: (length, batch, input) to outputs and last h."""

    gates = 3

    def step(self, x: Any, state: Any, weights: Any) -> Any:
        return gru_step(x, state, *weights)
