"""Learning rates over time, under PyTorch's names."""

from .combine import ChainedScheduler as ChainedScheduler
from .combine import ReduceLROnPlateau as ReduceLROnPlateau
from .combine import SequentialLR as SequentialLR
from .cycle import CosineAnnealingWarmRestarts as CosineAnnealingWarmRestarts
from .cycle import CyclicLR as CyclicLR
from .cycle import OneCycleLR as OneCycleLR
from .schedule import ConstantLR as ConstantLR
from .schedule import CosineAnnealingLR as CosineAnnealingLR
from .schedule import ExponentialLR as ExponentialLR
from .schedule import LambdaLR as LambdaLR
from .schedule import LinearLR as LinearLR
from .schedule import LRScheduler as LRScheduler
from .schedule import MultiplicativeLR as MultiplicativeLR
from .schedule import MultiStepLR as MultiStepLR
from .schedule import PolynomialLR as PolynomialLR
from .schedule import StepLR as StepLR
