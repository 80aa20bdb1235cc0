"""tinygrad_ai: a deep-learning engine to read, to check and to measure. Names are PyTorch's."""

import warnings as _warnings

from . import backend as backend
from . import errors as errors
from .autograd import placement as _placement  # noqa: F401
from .autograd import promote as _promote  # noqa: F401
from .autograd import wide as _wide  # noqa: F401
from .autograd.backward import backward as backward
from .autograd.backward import grad as grad
from .autograd.mode import enable_grad as enable_grad
from .autograd.mode import inference_mode as inference_mode
from .autograd.mode import is_grad_enabled as is_grad_enabled
from .autograd.mode import no_grad as no_grad
from .autograd.mode import set_grad_enabled as set_grad_enabled
from .backend import accelerators as _accelerators
from .backend.device import device as device
from .backend.dtypes import DType as dtype  # noqa: F401
from .backend.dtypes import bool_ as bool  # noqa: F401
from .backend.dtypes import complex64 as complex64
from .backend.dtypes import complex128 as complex128
from .backend.dtypes import finfo as finfo
from .backend.dtypes import float16 as float16
from .backend.dtypes import float32 as float32
from .backend.dtypes import float64 as float64
from .backend.dtypes import get_default_dtype as get_default_dtype
from .backend.dtypes import iinfo as iinfo
from .backend.dtypes import int8 as int8
from .backend.dtypes import int16 as int16
from .backend.dtypes import int32 as int32
from .backend.dtypes import int64 as int64
from .backend.dtypes import promote_types as promote_types
from .backend.dtypes import set_default_dtype as set_default_dtype
from .backend.dtypes import uint8 as uint8
from .backend.memory import empty_cache as empty_cache
from .backend.memory import memory_stats as memory_stats
from .backend.memory import memory_summary as memory_summary
from .backend.native import get_num_threads as get_num_threads
from .backend.native import set_num_threads as set_num_threads
from .backend.precision import get_float32_matmul_precision as get_float32_matmul_precision
from .backend.precision import set_float32_matmul_precision as set_float32_matmul_precision
from .ops import *  # noqa: F403
from .ops.autocast import autocast as autocast
from .ops.autocast import is_autocast_enabled as is_autocast_enabled
from .serialization import load as load
from .serialization import save as save
from .tensor import Tensor as Tensor
from .version import __version__ as __version__

from . import cuda as cuda  # isort: skip
from . import linalg as linalg  # isort: skip
from . import data as data  # isort: skip
from . import nn as nn  # isort: skip
from . import optim as optim  # isort: skip
from . import amp as amp  # isort: skip

_accelerators.check_required()

# As in PyTorch, log(0) and overflow give -inf and inf without a word. NumPy warns; its warnings are
# silenced where our own modules are the ones that compute, and nowhere else.
_warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"tinygrad_ai\.")


def __getattr__(name: str) -> object:
    """bfloat16 is loaded when it is first asked for."""
    if name == "bfloat16":
        return backend.dtypes.bfloat16  # type: ignore[attr-defined]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


Size = tuple  # what .shape is: NumPy's shapes are plain tuples
float = float32
double = float64
half = float16
short = int16
int = int32
long = int64
