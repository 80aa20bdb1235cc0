"""Optimizers and learning-rate schedules. They speak Tensors, and know no layer."""

from . import lr_scheduler as lr_scheduler
from .adagrad import Adadelta as Adadelta
from .adagrad import Adagrad as Adagrad
from .adam import Adam as Adam
from .adam import Adamax as Adamax
from .adam import AdamW as AdamW
from .adam import NAdam as NAdam
from .adam import RAdam as RAdam
from .lbfgs import LBFGS as LBFGS
from .matrix import Adafactor as Adafactor
from .matrix import Muon as Muon
from .optimizer import Optimizer as Optimizer
from .rmsprop import RMSprop as RMSprop
from .rmsprop import Rprop as Rprop
from .sgd import ASGD as ASGD
from .sgd import SGD as SGD
