"""What can be computed. Every file holds ops: forward, rule and formula side by side.

The functions are PyTorch's; those that PyTorch also has as methods attach themselves to Tensor.
"""

from . import operators as operators
from . import values as values
from .arithmetic import *  # noqa: F403
from .select import *  # noqa: F403
