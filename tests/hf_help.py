"""Twins: a model of transformers with random weights, and ours, loaded from what it saved."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tinygrad_ai import models

os.environ["HF_HUB_OFFLINE"] = "1"

BERT: dict[str, Any] = {
    "vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 48, "max_position_embeddings": 24, "num_labels": 3,
}  # fmt: skip
GPT2: dict[str, Any] = {
    "vocab_size": 60, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 40,
    "bos_token_id": 59, "eos_token_id": 59,
}  # fmt: skip


def library() -> Any:
    """transformers, without its warnings and progress bars."""
    pytest.importorskip("torch", reason="PyTorch is the reference of this test")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hf = pytest.importorskip("transformers", reason="transformers is the reference")
        hf.logging.set_verbosity_error()
        hf.utils.logging.disable_progress_bar()
    return hf


def theirs_of(kind: str, seed: int = 0, **changes: Any) -> Any:
    """A tiny model of transformers in float64: every parameter is random, none as it starts."""
    import torch

    hf = library()
    config = hf.BertConfig(**{**BERT, **changes}) if "Bert" in kind else None
    config = config or hf.GPT2Config(**{**GPT2, **changes})
    model = getattr(hf, kind)(config).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator, dtype=p.dtype)
            norm = "LayerNorm.weight" in name or ".ln_" in name and name.endswith("weight")
            p.copy_(0.3 * noise + norm)
    return model


def twins(kind: str, folder: Path, **changes: Any) -> tuple[Any, Any]:
    """Ours and theirs, with the same weights, in float64, without dropout."""
    theirs = theirs_of(kind, **changes)
    theirs.save_pretrained(folder)
    return getattr(models, kind).from_pretrained(folder, dtype=ta.float64), theirs


def tokens(rows: int = 3, length: int = 9, seed: int = 0, high: int = 59) -> Any:
    return np.random.default_rng(seed).integers(1, high, (rows, length))


def padding(side: str, rows: int = 3, length: int = 9) -> Any:
    """A mask: the first row whole, each further one shorter, on that side, or on both."""
    mask = np.ones((rows, length), dtype=np.int64)
    for i in range(1, rows):
        if side in ("left", "both"):
            mask[i, :i] = 0
        if side in ("right", "both"):
            mask[i, length - 2 * i :] = 0
    return mask


def given(arrays: dict[str, Any], torch: bool) -> dict[str, Any]:
    """Arrays as keyword arguments of one side or the other."""
    if torch:
        import torch as library

        return {k: library.tensor(v) for k, v in arrays.items()}
    return {k: ta.tensor(v) for k, v in arrays.items()}


def close(ours: Any, theirs: Any, what: str = "", tolerance: float = 1e-9) -> None:
    found = ours.detach().numpy() if hasattr(ours, "detach") else ours
    wanted = theirs.detach().numpy() if hasattr(theirs, "detach") else theirs
    np.testing.assert_allclose(found, wanted, tolerance, tolerance, err_msg=what)


def same_gradients(ours: Any, theirs: Any) -> None:
    """Every parameter's, and there are no others."""
    wanted = dict(theirs.named_parameters())
    found = dict(ours.named_parameters())
    assert list(found) == list(wanted)
    for name, p in found.items():
        assert (p.grad is None) == (wanted[name].grad is None), name
        if p.grad is not None:
            close(p.grad, wanted[name].grad, name)
