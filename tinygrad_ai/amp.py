"""PyTorch's `amp` namespace: mixed precision."""

from .ops.autocast import autocast as autocast
from .ops.autocast import is_autocast_enabled as is_autocast_enabled
from .optim.grad_scaler import GradScaler as GradScaler
