"""What is done to all parameters at once: clipping, and the way to one vector and back."""

from .clip import clip_grad_norm_ as clip_grad_norm_
from .clip import clip_grad_value_ as clip_grad_value_
from .clip import get_total_norm as get_total_norm
from .vector import parameters_to_vector as parameters_to_vector
from .vector import vector_to_parameters as vector_to_parameters
