"""Layers and losses as plain functions, under PyTorch's names."""

from ...ops.linear import linear as linear
from ...ops.padding import pad as pad
from ...ops.scatter import one_hot as one_hot
from .activation import *  # noqa: F403
from .attention import *  # noqa: F403
from .classification import *  # noqa: F403
from .convolution import *  # noqa: F403
from .distance import *  # noqa: F403
from .dropout import *  # noqa: F403
from .embedding import *  # noqa: F403
from .loss import *  # noqa: F403
from .normalization import *  # noqa: F403
from .pooling import *  # noqa: F403
from .vision import *  # noqa: F403
