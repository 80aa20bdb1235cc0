"""Losses as modules: the functions of nn.functional with their options kept."""

from __future__ import annotations

import inspect
from typing import Any

from ..tensor import Tensor
from . import functional as F
from .module import Module
from .pooling import PairwiseDistance

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]


class _Loss(Module):
    """A loss function; what follows its tensors are options of the module.

    Options that are tensors (weight, pos_weight) become buffers, so that they move with it.
    """

    function: Any
    tensors = 2  # how many tensors a call takes
    order: tuple[str, ...] = ()  # the constructor's positional arguments

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        parameters = list(inspect.signature(type(self).function).parameters.values())[
            self.tensors :
        ]
        defaults = {p.name: p.default for p in parameters}
        names = self.order or tuple(defaults)
        unknown = set(kwargs) - set(defaults)
        if unknown or len(args) > len(names):
            raise TypeError(
                f"{type(self).__name__} takes {list(names)}, got {sorted(unknown) or args}"
            )
        self._options = tuple(defaults)
        for name, value in {**defaults, **dict(zip(names, args)), **kwargs}.items():
            if isinstance(value, Tensor) or name in ("weight", "pos_weight"):
                self.register_buffer(name, value)
            else:
                setattr(self, name, value)

    def forward(self, *tensors: Tensor) -> Tensor:
        own = self.__dict__
        options = {name: own[name] for name in self._options}
        return type(self).function(*tensors, **options)


def _loss(name: str, function: Any, tensors: int = 2, order: tuple[str, ...] = ()) -> Any:
    body = {"function": staticmethod(function), "tensors": tensors, "order": order}
    return type(name, (_Loss,), {**body, "__doc__": function.__doc__, "__module__": __name__})


L1Loss = _loss("L1Loss", F.l1_loss)
MSELoss = _loss("MSELoss", F.mse_loss)
SmoothL1Loss = _loss("SmoothL1Loss", F.smooth_l1_loss)
HuberLoss = _loss("HuberLoss", F.huber_loss)
CrossEntropyLoss = _loss("CrossEntropyLoss", F.cross_entropy)
NLLLoss = _loss("NLLLoss", F.nll_loss)
BCELoss = _loss("BCELoss", F.binary_cross_entropy)
BCEWithLogitsLoss = _loss("BCEWithLogitsLoss", F.binary_cross_entropy_with_logits)
KLDivLoss = _loss("KLDivLoss", F.kl_div)
HingeEmbeddingLoss = _loss("HingeEmbeddingLoss", F.hinge_embedding_loss)
MarginRankingLoss = _loss("MarginRankingLoss", F.margin_ranking_loss, 3)
SoftMarginLoss = _loss("SoftMarginLoss", F.soft_margin_loss)
MultiLabelSoftMarginLoss = _loss("MultiLabelSoftMarginLoss", F.multilabel_soft_margin_loss)
MultiLabelMarginLoss = _loss("MultiLabelMarginLoss", F.multilabel_margin_loss)
MultiMarginLoss = _loss("MultiMarginLoss", F.multi_margin_loss)
TripletMarginLoss = _loss("TripletMarginLoss", F.triplet_margin_loss, 3)
_Triplet: Any = _loss("_Triplet", F.triplet_margin_with_distance_loss, 3)


class TripletMarginWithDistanceLoss(_Triplet):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), d the 2-norm unless given."""

    def __init__(self, *, distance_function: Any = None, **options: Any) -> None:
        super().__init__(**options)
        self.distance_function = distance_function or PairwiseDistance()


CosineEmbeddingLoss = _loss("CosineEmbeddingLoss", F.cosine_embedding_loss, 3)
GaussianNLLLoss = _loss("GaussianNLLLoss", F.gaussian_nll_loss, 3)
PoissonNLLLoss = _loss("PoissonNLLLoss", F.poisson_nll_loss)
