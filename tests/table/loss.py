"""Rows for nn/functional/loss.py."""

import numpy as np

from tests.optable import Input, ints, pos, row, t, val, weights

F = "nn.functional."
SIGNS = val([1, -1, 1, -1])
PLUS_MINUS = Input(lambda rng: np.where(rng.random((3, 4)) < 0.5, -1.0, 1.0), grad=False)
CHANCES = Input(lambda rng: rng.dirichlet(np.ones(5), 4), grad=False)
BITS = Input(lambda rng: (rng.random((3, 4)) < 0.5).astype(float), grad=False)
INSIDE = Input(lambda rng: rng.uniform(0.1, 0.9, (3, 4)))
ENDS = Input(lambda rng: np.array([0.0, 1.0, 1.0]), grad=False)
IGNORED = val([1, -100, 0, 3])


def every(name, *inputs, **options):
    """A row for each reduction."""
    return [row(F + name, *inputs, reduction=r, **options) for r in ("mean", "sum", "none")]


ROWS = [
    row(F + "mse_loss", t(3, 4), t(3, 4), weight=pos(3, 4)),
    row(F + "l1_loss", t(3, 4), t(3, 4), weight=pos(3, 4), reduction="sum"),
    row(F + "huber_loss", t(3, 4), t(3, 4), weight=pos(3, 4), reduction="none"),
    row(F + "hinge_embedding_loss", t(5), t(5)),
    *every("cross_entropy", t(4, 5), ints(5, 4)),
    *every("cross_entropy", t(4, 5), ints(5, 4), weight=weights(5)),
    *every("cross_entropy", t(4, 5), IGNORED),
    *every("cross_entropy", t(4, 5), IGNORED, weight=weights(5), label_smoothing=0.1),
    *every("cross_entropy", t(4, 5), ints(5, 4), label_smoothing=0.2),
    *every("cross_entropy", t(2, 5, 3), ints(5, 2, 3)),
    *every("cross_entropy", t(4, 5), CHANCES, weight=weights(5), label_smoothing=0.1),
    row(F + "cross_entropy", t(4, 5), CHANCES),
    row(F + "cross_entropy", t(5), val(3)),
    row(F + "cross_entropy", val([[1000.0, -1000.0], [0.0, 0.0]]), val([1, 0]), kink=True),
    row(F + "cross_entropy", t(4, 5), val([2, 2, 2, 2]), ignore_index=2, reduction="sum"),
    *every("nll_loss", t(4, 5), ints(5, 4), weight=weights(5)),
    *every("nll_loss", t(2, 5, 3), ints(5, 2, 3)),
    row(F + "nll_loss", t(4, 5), IGNORED),
    *every("mse_loss", t(3, 4), t(3, 4)),
    *every("l1_loss", t(3, 4), t(3, 4)),
    *every("smooth_l1_loss", t(3, 4), t(3, 4), beta=0.7),
    row(F + "smooth_l1_loss", t(3, 4), t(3, 4), beta=0.0),
    *every("huber_loss", t(3, 4), t(3, 4), delta=0.7),
    *every("binary_cross_entropy", INSIDE, BITS),
    row(F + "binary_cross_entropy", INSIDE, BITS, weights(4)),
    row(F + "binary_cross_entropy", val([0.0, 1.0, 0.0]), ENDS, kink=True, order=0),
    *every("binary_cross_entropy_with_logits", t(3, 4), BITS),
    *every(
        "binary_cross_entropy_with_logits", t(3, 4), BITS, weight=weights(4), pos_weight=weights(4)
    ),
    row(F + "kl_div", t(3, 4), pos(3, 4), reduction="none"),
    row(F + "kl_div", t(3, 4), pos(3, 4), reduction="batchmean"),
    row(F + "kl_div", t(3, 4), t(3, 4), log_target=True, reduction="sum"),
    *every("hinge_embedding_loss", t(3, 4), PLUS_MINUS, margin=0.7),
    *every("margin_ranking_loss", t(4), t(4), SIGNS, margin=0.3),
    *every("soft_margin_loss", t(3, 4), PLUS_MINUS),
    *every("multilabel_soft_margin_loss", t(3, 4), BITS, weight=weights(4)),
    *every("multi_margin_loss", t(4, 5), ints(5, 4), margin=0.7, order=1),
    row(F + "multi_margin_loss", t(4, 5), ints(5, 4), 2, weight=weights(5), order=1),
    *every("multilabel_margin_loss", t(2, 4), val([[3, 0, -1, 1], [1, -1, 2, 0]]), order=1),
    *every("triplet_margin_loss", t(4, 3), t(4, 3), t(4, 3)),
    row(F + "triplet_margin_loss", t(4, 3), t(4, 3), t(4, 3), margin=3.0, p=1, swap=True),
    row(F + "triplet_margin_with_distance_loss", t(4, 3), t(4, 3), t(4, 3), margin=2.0),
    *every("cosine_embedding_loss", t(4, 3), t(4, 3), SIGNS, margin=0.1),
    *every("gaussian_nll_loss", t(3, 4), t(3, 4), pos(3, 4), full=True),
    row(F + "gaussian_nll_loss", t(3, 4), t(3, 4), pos(3, 1)),
    *every("poisson_nll_loss", t(3, 4), pos(3, 4), full=True),
    row(F + "poisson_nll_loss", pos(3, 4), pos(3, 4), log_input=False),
]
