"""The real weights of all-MiniLM-L6-v2, beside transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_ai as ta
from tests.hf_help import library
from tinygrad_ai import models

pytestmark = pytest.mark.large
hf = library()
torch = pytest.importorskip("torch", reason="PyTorch is the reference of this test")


@pytest.fixture(scope="module")
def folder() -> Path:
    data = pytest.importorskip("examples.data", reason="examples/ is not beside the tests")
    return pytest.importorskip("tests.large").large(data.minilm)  # type: ignore[no-any-return]


def batch() -> tuple[Any, Any]:
    """Texts of several lengths, padded on the right."""
    ids = np.random.default_rng(0).integers(1000, 30000, (6, 48))
    mask = np.ones_like(ids)
    for i, length in enumerate((48, 40, 31, 17, 5, 2)):
        mask[i, length:] = ids[i, length:] = 0
    return ids, mask


def embedding(states: Any, mask: Any) -> Any:
    """The mean over a text's places, of length 1."""
    weights = mask[:, :, None]
    mean = (states * weights).sum(1) / weights.sum(1)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def test_hidden_states_and_embeddings(folder: Path) -> None:
    ours, info = models.BertModel.from_pretrained(folder, output_loading_info=True)
    assert not any(info.values())
    theirs = hf.BertModel.from_pretrained(folder)
    ids, mask = batch()
    with ta.no_grad():
        found = ours(ta.tensor(ids), ta.tensor(mask), output_hidden_states=True)
    with torch.no_grad():
        wanted = theirs(torch.tensor(ids), torch.tensor(mask), output_hidden_states=True)
    real = mask[:, :, None] == 1
    assert len(found.hidden_states) == 7
    for mine, other in zip(found.hidden_states, wanted.hidden_states, strict=True):
        assert mine.dtype == ta.float32
        assert (abs(mine.numpy() - other.numpy()) * real).max() < 1e-4
    assert abs(found.pooler_output.numpy() - wanted.pooler_output.numpy()).max() < 1e-4
    mine, other = [embedding(x[0].numpy(), mask) for x in (found, wanted)]
    assert (mine * other).sum(1).min() > 0.99999


def test_a_step_of_training(folder: Path) -> None:
    """Loss and gradients in float32, of all weights, without dropout."""
    ours = models.BertForSequenceClassification.from_pretrained(folder, num_labels=2)
    theirs = hf.BertForSequenceClassification.from_pretrained(folder, num_labels=2).eval()
    with ta.no_grad():
        ours.classifier.weight.copy_(ta.tensor(theirs.classifier.weight.detach().numpy()))
    ids, mask = batch()
    labels = np.array([0, 1, 1, 0, 1, 0])
    found = ours(ta.tensor(ids), ta.tensor(mask), labels=ta.tensor(labels)).loss
    wanted = theirs(torch.tensor(ids), torch.tensor(mask), labels=torch.tensor(labels)).loss
    assert abs(found.item() - wanted.item()) < 1e-5
    found.backward()
    wanted.backward()
    reference = dict(theirs.named_parameters())
    for name, p in ours.named_parameters():
        other = reference[name].grad.numpy()
        # The gradients of keys' biases are zero but for rounding, so that the scale is not theirs.
        limit = 2e-4 * max(np.linalg.norm(other), 1e-4)
        assert np.linalg.norm(p.grad.numpy() - other) < limit, name
