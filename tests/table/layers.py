"""Rows for the layers of nn.functional: normalisation, convolution, pooling, attention, vision."""

import numpy as np
import torch

import tinygrad_ai as ta
from tests.optable import distinct, ints, nograd, pos, row, t, val, weights
from tinygrad_ai.ops.attention import _attention
from tinygrad_ai.ops.dropout import _dropout

F = "nn.functional."
# Every query may see its own place; the rest at random.
ALLOWED = val(np.eye(3, dtype=bool) | (np.arange(9).reshape(3, 3) % 4 == 1))


def exact_attention(*args, **kwargs):
    """PyTorch's plain version: the fast ones have no second derivative."""
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        return torch.nn.functional.scaled_dot_product_attention(*args, **kwargs)


def attention(*inputs, **kwargs):
    return row(F + "scaled_dot_product_attention", *inputs, theirs=exact_attention, **kwargs)


def squared(library):
    """The square of an embedding, whose gradient depends on the table again."""
    return lambda i, w: library.nn.functional.embedding(i, w, 1) ** 2


def dropped(library):
    """Dropout by a mask that is known: theirs is the formula."""
    keep = np.arange(12).reshape(3, 4) % 3 > 0
    if library is ta:
        return lambda x: _dropout(x, keep=keep, scale=1.5)
    return lambda x: x * (torch.tensor(keep) * 1.5)


KEEP = np.arange(30).reshape(2, 3, 5) % 4 > 0


def _ours(q, k, v):
    """Attention with dropout by a mask that is known: theirs is the formula."""
    return _attention(q, k, v, scale=0.5, keep=KEEP, grow=1.5)[0]


def _theirs(q, k, v):
    return (q @ k.mT * 0.5).softmax(-1) * (torch.tensor(KEEP) * 1.5) @ v


ROWS = [
    row(F + "layer_norm", t(3, 4), (4,)),
    row(F + "layer_norm", t(2, 3, 4), (3, 4), t(3, 4), t(3, 4)),
    row(F + "layer_norm", t(3, 4), (4,), t(4), None, 1e-3),
    row(F + "layer_norm", t(3, 4), (4,), None, t(4), order=1),  # PyTorch fails at the second order
    row(F + "layer_norm", nograd(3, 4), (4,), t(4), t(4)),
    row(F + "layer_norm", t(3, 4), (4,), weights(4), t(4)),
    row("dropped attention", t(2, 3, 4), t(2, 5, 4), t(2, 5, 2), ours=_ours, theirs=_theirs),
    row("dropout", t(3, 4), ours=dropped(ta), theirs=dropped(torch)),
    row(F + "rms_norm", t(3, 4), (4,), t(4)),
    row(F + "rms_norm", t(2, 3, 4), (3, 4), None, 1e-3),
    row(F + "batch_norm", t(3, 4), nograd(4), weights(4), t(4), t(4)),
    row(F + "batch_norm", t(3, 2, 5), None, None, t(2), t(2), True),
    row(F + "batch_norm", t(3, 2, 4, 5), None, None, None, None, True),
    row(F + "group_norm", t(2, 6, 3), 3, t(6), t(6)),
    row(F + "instance_norm", t(2, 3, 4, 2), None, None, t(3), t(3)),
    row(F + "local_response_norm", t(2, 5, 3), 3, 0.1, 0.75, 1.0),
    row(F + "conv1d", t(2, 3, 7), t(4, 3, 3), t(4)),
    row(F + "conv1d", t(2, 4, 9), t(6, 2, 3), None, 2, 1, 2, 2),
    row(F + "conv1d", t(3, 7), t(4, 3, 3), padding="same"),
    row(F + "conv2d", t(2, 3, 6, 5), t(4, 3, 3, 2), t(4)),
    row(F + "conv2d", t(2, 4, 7, 6), t(4, 2, 3, 3), t(4), (2, 1), (1, 2), (1, 2), 2),
    row(F + "conv2d", t(1, 2, 5, 5), t(3, 2, 3, 3), padding="valid"),
    row(F + "conv2d", t(1, 2, 8, 8), t(3, 2, 3, 3), stride=3),
    row(F + "conv_transpose1d", t(2, 3, 5), t(3, 4, 3), t(4), 2, 1, 1),
    row(F + "conv_transpose2d", t(2, 4, 3, 4), t(4, 2, 3, 2), t(4), (2, 1), (1, 0), (1, 0), 2),
    row(F + "conv_transpose2d", t(4, 3, 4), t(4, 2, 3, 2), dilation=2),
    row(F + "unfold", t(2, 3, 5, 6), (2, 3), 1, 1, 2),
    row(F + "fold", t(2, 12, 9), (4, 4), 2),
    row(F + "fold", t(2, 12, 9), (4, 5), (2, 3), 1, 1, 2),
    row(F + "max_pool1d", distinct(2, 3, 7), 3, 2),
    row(F + "max_pool1d", distinct(2, 3, 7), 3, 2, 1, 2, True),
    row(F + "max_pool2d", distinct(2, 3, 6, 5), 2),
    row(F + "max_pool2d", distinct(2, 6, 7), (3, 2), (2, 1), 1),
    row(F + "max_pool2d", distinct(2, 2, 7, 7), 3, 2, 1, ceil_mode=True, return_indices=True),
    row(F + "avg_pool1d", t(2, 3, 7), 3, 2, 1),
    row(F + "avg_pool1d", t(2, 3, 8), 3, 2, 1, True, False),
    row(F + "avg_pool2d", t(2, 3, 6, 5), 2),
    row(F + "avg_pool2d", t(2, 3, 7, 7), 3, 2, 1, True, False),
    row(F + "avg_pool2d", t(2, 3, 7, 7), 3, 2, 1, True, True),
    row(F + "avg_pool2d", t(2, 3, 6, 6), 3, divisor_override=5),
    row(F + "adaptive_avg_pool1d", t(2, 3, 7), 3),
    row(F + "adaptive_avg_pool2d", t(2, 3, 7, 5), (3, None)),
    row(F + "adaptive_max_pool1d", distinct(2, 3, 7), 3),
    row(F + "adaptive_max_pool2d", distinct(2, 3, 7, 5), (3, 2)),
    row(F + "embedding", ints(5, 2, 3), t(5, 4)),
    row(F + "embedding", ints(5, 6), t(5, 4), padding_idx=1, kink=True),
    row(F + "embedding", ints(3, 6), t(5, 4), scale_grad_by_freq=True, order=1, kink=True),
    row(F + "embedding", ints(5, 0), t(5, 4)),
    row("embedding²", ints(5, 6), t(5, 4), ours=squared(ta), theirs=squared(torch), kink=True),
    attention(t(2, 3, 4), t(2, 5, 4), t(2, 5, 6)),
    attention(
        t(2, 2, 3, 4),
        t(2, 2, 3, 4),
        t(2, 2, 3, 4),
        is_causal=True,
    ),
    attention(t(2, 3, 4), t(2, 5, 4), t(2, 5, 4), is_causal=True),
    attention(t(2, 5, 4), t(2, 3, 4), t(2, 3, 4), is_causal=True),
    attention(t(2, 3, 4), t(2, 5, 4), t(2, 5, 4), t(3, 5), scale=0.3),
    attention(t(2, 3, 4), t(2, 5, 4), t(2, 5, 4), t(2, 1, 5)),
    attention(t(4, 3, 4), t(4, 3, 4), t(4, 3, 4)),
    # A row that may see nothing gives 0, as PyTorch's fused versions do.
    row(
        F + "scaled_dot_product_attention",
        t(1, 1, 2, 4),
        t(1, 1, 3, 4),
        t(1, 1, 3, 4),
        val([[True, False, True], [False] * 3]),
        kink=True,
        order=1,
    ),  # fmt: skip
    attention(
        t(1, 4, 3, 4),
        t(1, 2, 3, 4),
        t(1, 2, 3, 4),
        enable_gqa=True,
    ),
    attention(t(2, 3, 4), t(2, 3, 4), t(2, 3, 4), ALLOWED),
    row(F + "pixel_shuffle", t(2, 8, 2, 3), 2),
    row(F + "pixel_unshuffle", t(2, 2, 4, 6), 2),
    *[row(F + "interpolate", t(2, 3, 4), scale_factor=s) for s in (2, 1.7, 0.6)],
    row(F + "interpolate", t(2, 3, 4, 5), size=(6, 3)),
    row(F + "interpolate", t(2, 3, 4), size=7, mode="linear"),
    row(F + "interpolate", t(2, 3, 4, 5), size=(6, 3), mode="bilinear"),
    row(F + "interpolate", t(2, 3, 4, 5), size=(6, 3), mode="bilinear", align_corners=True),
    row(F + "interpolate", t(2, 3, 4, 5), scale_factor=1.7, mode="bilinear"),
    row(F + "bilinear", t(5, 3), t(5, 4), t(2, 3, 4), t(2)),
    row(F + "normalize", t(3, 4)),
    row(F + "normalize", t(3, 4), 1, 0),
    row(F + "cosine_similarity", t(3, 4), t(3, 4)),
    row(F + "cosine_similarity", t(3, 4), t(4), 0 - 1),
    row(F + "pairwise_distance", t(3, 4), t(3, 4)),
    row(F + "pairwise_distance", pos(3, 4), t(3, 4), 1, keepdim=True),
]
