"""Modules that hold modules or parameters: in sequence, by index, by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..errors import RangeError
from ..tensor import Tensor
from .module import Module
from .parameter import Parameter


class _Indexed(Module):
    """Children under the names "0", "1", ..., with the manners of a list."""

    _table = "_modules"

    def _items(self) -> list[Any]:
        return list(getattr(self, self._table).values())

    def _refill(self, items: Iterable[Any]) -> None:
        for name in list(getattr(self, self._table)):
            delattr(self, name)
        for i, item in enumerate(items):
            setattr(self, str(i), item)

    def __len__(self) -> int:
        return len(getattr(self, self._table))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items())

    def _at(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise RangeError(
                f"index {index} is outside {type(self).__name__} of length {len(self)}"
            )
        return index % len(self)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(self._items()[index])  # type: ignore[call-arg]
        return self._items()[self._at(index)]

    def __setitem__(self, index: int, item: Any) -> None:
        setattr(self, str(self._at(index)), item)

    def __delitem__(self, index: Any) -> None:
        items = self._items()
        del items[index if isinstance(index, slice) else self._at(index)]
        self._refill(items)

    def append(self, item: Any) -> Any:
        setattr(self, str(len(self)), item)
        return self

    def extend(self, items: Iterable[Any]) -> Any:
        for item in items:
            self.append(item)
        return self

    def insert(self, index: int, item: Any) -> Any:
        items = self._items()
        items.insert(index, item)
        self._refill(items)
        return self

    def pop(self, index: int = -1) -> Any:
        item = self[index]
        del self[index]
        return item


class Sequential(_Indexed):
    """Modules called one after the other; a dictionary gives them names."""

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.add_module(name, module)
            return
        for i, module in enumerate(args):
            self.add_module(str(i), module)

    def forward(self, input: Any) -> Any:
        for module in self._modules.values():
            input = module(input)
        return input

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Sequential(dict(list(self._modules.items())[index]))
        return self._items()[self._at(index)]

    def __setitem__(self, index: int, item: Any) -> None:
        setattr(self, list(self._modules)[self._at(index)], item)


class ModuleList(_Indexed):
    """A list of modules."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules or [])


class ParameterList(_Indexed):
    """A list of parameters; tensors are made parameters."""

    _table = "_parameters"

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self.extend(values or [])

    def append(self, item: Any) -> Any:
        return super().append(_parameter(item))

    def __setitem__(self, index: int, item: Any) -> None:
        super().__setitem__(index, _parameter(item))

    def __repr__(self) -> str:
        return _listing(self)


class _Named(Module):
    """Children by name, with the manners of a dictionary."""

    _table = "_modules"

    def _dict(self) -> dict[str, Any]:
        return getattr(self, self._table)

    def __getitem__(self, key: str) -> Any:
        return self._dict()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        (self.register_module if self._table == "_modules" else self.register_parameter)(key, value)

    def __delitem__(self, key: str) -> None:
        del self._dict()[key]

    def __len__(self) -> int:
        return len(self._dict())

    def __iter__(self) -> Iterator[str]:
        return iter(self._dict())

    def __contains__(self, key: str) -> bool:
        return key in self._dict()

    def keys(self) -> Any:
        return self._dict().keys()

    def values(self) -> Any:
        return self._dict().values()

    def items(self) -> Any:
        return self._dict().items()

    def update(self, other: Any) -> None:
        for key, value in other.items() if isinstance(other, Mapping) else other:
            self[key] = value

    def pop(self, key: str) -> Any:
        value = self[key]
        del self[key]
        return value

    def clear(self) -> None:
        for key in list(self._dict()):
            del self[key]


class ModuleDict(_Named):
    """A dictionary of modules."""

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        self.update(modules or {})


class ParameterDict(_Named):
    """A dictionary of parameters; tensors are made parameters."""

    _table = "_parameters"

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self.update(parameters or {})

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, _parameter(value))

    def __repr__(self) -> str:
        return _listing(self)


def _parameter(value: Any) -> Any:
    return (
        Parameter(value)
        if isinstance(value, Tensor) and not isinstance(value, Parameter)
        else value
    )


def _listing(module: Module) -> str:
    """A line for each parameter: its dtype and size."""
    lines = []
    for name, p in module._parameters.items():
        size = "x".join([str(n) for n in p.shape])
        lines.append(f"({name}): Parameter containing: [{p.dtype} of size {size}]")
    body = "\n  ".join(lines)
    return f"{type(module).__name__}(\n  {body}\n)" if lines else f"{type(module).__name__}()"
