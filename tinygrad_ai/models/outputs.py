"""What models return: results by name, by attribute and by place, those that are None left out."""

from __future__ import annotations

from typing import Any


class ModelOutput(dict[str, Any]):
    """A dictionary in the order of `names`: `out.logits`, `out["logits"]` and `out[0]` are alike.

    A result that was not asked for is None as an attribute, and is no key.
    """

    names: tuple[str, ...] = ()

    def __init__(self, **values: Any) -> None:
        unknown = set(values) - set(self.names)
        if unknown:
            raise TypeError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}")
        super().__init__({n: values[n] for n in self.names if values.get(n) is not None})

    def __getattr__(self, name: str) -> Any:
        if name in type(self).names:
            return self.get(name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.names:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        values = {**self, name: value}
        self.clear()
        self.update({n: values[n] for n in self.names if values.get(n) is not None})

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(key) if isinstance(key, str) else self.to_tuple()[key]

    def to_tuple(self) -> tuple[Any, ...]:
        return tuple(self.values())


class BaseModelOutputWithPooling(ModelOutput):
    """Of an encoder: the last layer (N, L, E), and its first place through the pooler (N, E)."""

    names = ("last_hidden_state", "pooler_output", "hidden_states", "attentions")


class BaseModelOutputWithPast(ModelOutput):
    """Of a decoder: the last layer (N, L, E), and keys and values to go on from."""

    names = ("last_hidden_state", "past_key_values", "hidden_states", "attentions")


class CausalLMOutput(ModelOutput):
    """Scores (N, L, vocabulary) for what comes after each place."""

    names = ("loss", "logits", "past_key_values", "hidden_states", "attentions")


class MaskedLMOutput(ModelOutput):
    """Scores (N, L, vocabulary) for what stands at each place."""

    names = ("loss", "logits", "hidden_states", "attentions")


class SequenceClassifierOutput(ModelOutput):
    """Scores (N, labels) for each text."""

    names = ("loss", "logits", "hidden_states", "attentions")


class TokenClassifierOutput(ModelOutput):
    """Scores (N, L, labels) for each place."""

    names = ("loss", "logits", "hidden_states", "attentions")
