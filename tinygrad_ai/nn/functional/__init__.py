"""Layers and losses as plain functions, under PyTorch's names."""

from ...ops.linear import linear as linear
from .activation import *  # noqa: F403
from .distance import *  # noqa: F403
from .loss import *  # noqa: F403
