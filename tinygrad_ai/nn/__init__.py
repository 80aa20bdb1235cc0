"""Layers, losses and what holds them together, under PyTorch's names. They speak Tensor only."""

from . import functional as functional
from . import init as init
from .activation import *  # noqa: F403
from .container import ModuleDict as ModuleDict
from .container import ModuleList as ModuleList
from .container import ParameterDict as ParameterDict
from .container import ParameterList as ParameterList
from .container import Sequential as Sequential
from .flatten import Flatten as Flatten
from .flatten import Unflatten as Unflatten
from .linear import Bilinear as Bilinear
from .linear import Identity as Identity
from .linear import Linear as Linear
from .loss import *  # noqa: F403
from .module import Module as Module
from .parameter import Parameter as Parameter
