"""The library `tokenizers`, imported when it is first needed: the package runs without it."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError, CheckpointError


class MissingLibraryError(ArgumentError, ImportError):  # type: ignore[misc]
    """A library of an extra that is not installed."""


def tokenizers() -> Any:
    """The module, or an error that names the extra it comes with."""
    try:
        import tokenizers as module
    except ImportError:
        raise MissingLibraryError(
            "the library tokenizers is not installed", "pip install 'tinygrad-ai[text]'"
        ) from None
    return module


def added(token: Any, **flags: Any) -> Any:
    """A token as the library's AddedToken: from a string, from the dictionary that stands for it
    in JSON files, or as it is. Of a string the flags are the library's defaults and those given.
    """
    kind = tokenizers().AddedToken
    if isinstance(token, dict):
        fields = {k: v for k, v in token.items() if k not in ("__type", "id")}
        return kind(**(fields | flags))
    return token if isinstance(token, kind) else kind(token, **flags)


def built(make: Any, where: str) -> Any:
    """What `make()` gives; the library's errors (plain Exceptions) become ours, with the place."""
    try:
        return make()
    except (CheckpointError, MissingLibraryError):
        raise
    except Exception as error:
        raise CheckpointError(f"{where}: {error}") from None
