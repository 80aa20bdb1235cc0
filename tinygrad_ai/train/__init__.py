"""Whole programs: the Trainer, and the command that trains on digits."""

from .arguments import TrainingArguments as TrainingArguments
from .callbacks import EarlyStoppingCallback as EarlyStoppingCallback
from .callbacks import TrainerCallback as TrainerCallback
from .evaluation import EvalPrediction as EvalPrediction
from .logs import PrinterCallback as PrinterCallback
from .logs import ProgressCallback as ProgressCallback
from .randomness import set_seed as set_seed
from .schedules import get_constant_schedule as get_constant_schedule
from .schedules import get_constant_schedule_with_warmup as get_constant_schedule_with_warmup
from .schedules import get_cosine_schedule_with_warmup as get_cosine_schedule_with_warmup
from .schedules import get_linear_schedule_with_warmup as get_linear_schedule_with_warmup
from .schedules import get_scheduler as get_scheduler
from .state import TrainerControl as TrainerControl
from .state import TrainerState as TrainerState
from .trainer import Trainer as Trainer
from .trainer_checkpoint import get_last_checkpoint as get_last_checkpoint
