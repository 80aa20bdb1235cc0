"""What can be computed. Every file holds ops: forward, rule and formula side by side.

The functions are PyTorch's; those that PyTorch also has as methods attach themselves to Tensor.
"""

from . import indexing as indexing
from . import inplace as inplace
from . import operators as operators
from . import values as values
from .activation import *  # noqa: F403
from .arithmetic import *  # noqa: F403
from .compare import *  # noqa: F403
from .convert import *  # noqa: F403
from .create import *  # noqa: F403
from .cumulative import *  # noqa: F403
from .decompositions import *  # noqa: F403
from .diagonal import *  # noqa: F403
from .distance import *  # noqa: F403
from .einsum import *  # noqa: F403
from .elementwise import *  # noqa: F403
from .gather import *  # noqa: F403
from .joining import *  # noqa: F403
from .linear import linear as linear
from .matmul import *  # noqa: F403
from .norm import *  # noqa: F403
from .random import *  # noqa: F403
from .reduce import *  # noqa: F403
from .rounding import *  # noqa: F403
from .scatter import *  # noqa: F403
from .select import *  # noqa: F403
from .shape import *  # noqa: F403
from .softmax import *  # noqa: F403
from .sorting import *  # noqa: F403
from .special import *  # noqa: F403
from .statistics import *  # noqa: F403
from .trigonometry import *  # noqa: F403
from .types import *  # noqa: F403
