"""How gradients come about: the op record, the walk, and what is built on them."""

from . import functional as functional
from . import graph as graph
from .anomaly import detect_anomaly as detect_anomaly
from .anomaly import set_detect_anomaly as set_detect_anomaly
from .backward import backward as backward
from .backward import grad as grad
from .function import Function as Function
from .gradcheck import GradcheckError as GradcheckError
from .gradcheck import gradcheck as gradcheck
from .gradcheck import gradgradcheck as gradgradcheck
from .mode import enable_grad as enable_grad
from .mode import inference_mode as inference_mode
from .mode import is_grad_enabled as is_grad_enabled
from .mode import no_grad as no_grad
from .mode import set_grad_enabled as set_grad_enabled
from .op import op as op
